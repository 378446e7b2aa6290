package main

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
	"strings"

	"satchel/api"
	"satchel/api/client"
	"satchel/cmd/internal/cli"
)

type sharedCmd struct {
	List   sharedListCmd   `cmd:"" default:"1" help:"List what others share with you, and where it is in your drive."`
	Add    sharedAddCmd    `cmd:"" help:"Put a folder that another one shares into your drive: it is in the mounted folder then, and stays his."`
	Remove sharedRemoveCmd `cmd:"" help:"Take it out of your drive again; what is in it stays as it is."`
	Get    sharedGetCmd    `cmd:"" help:"Copy a file or folder that another one shares to this machine."`
}

type sharedListCmd struct{}

func (cmd *sharedListCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := c.Theirs(sh.ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return sh.answer(all, "nobody shares anything with you yet")
	}
	return list(sh, all, "NAME\tFROM\tMAY\tIN YOUR DRIVE", func(t api.Theirs) string {
		name, may, at := cli.Printable(theirName(t)), levelOf(t.Permissions), "-"
		if t.Ended {
			may = "ended"
		}
		if t.Type == api.Directory {
			name += "/"
		}
		if t.Path != "" {
			at = cli.Printable(string(t.Path)) + "/"
		}
		return strings.Join([]string{name, cli.Printable(cmp.Or(sharer(t), "-")), may, at}, "\t")
	})
}

// theirName is what something of another's is called here: one name of a directory, whatever its sharer calls himself
// and whatever the server says. A whole drive has no name of its own.
func theirName(t api.Theirs) string {
	by := cmp.Or(t.FromEmail, "somebody")
	if api.PlainPersonName(t.From) {
		by = t.From
	}
	return oneName(cmp.Or(string(t.Name), "All files of "+by))
}

// sharer is who shares something, for people; "" if that is not told.
func sharer(t api.Theirs) string { return api.Person(t.From, t.FromEmail) }

// oneName makes a text that others chose a name that [api.Name.Check] takes, and so one that leads nowhere else.
func oneName(text string) string {
	name := strings.NewReplacer("/", "_", "\x00", "_").Replace(text)
	if len(name) > api.MaxName {
		name = strings.ToValidUTF8(name[:api.MaxName], "")
	}
	if api.Name(name).Check() != nil { // "", "." or ".."
		name = "_" + name
	}
	return name
}

// findTheirs is what others share that somebody names: as it is called, with the address or the name of who shares it
// before it and a colon between if several are called so, by its id, or by where it is in the drive. What is left of an ended one counts if ended says so.
func (sh *shell) findTheirs(c *client.Client, name string, ended bool) (found api.Theirs, err error) {
	all, err := c.Theirs(sh.ctx)
	if err != nil {
		return found, err
	}
	path, err := sh.driveNames(name)
	if err != nil {
		path = nil // it may be a name all the same: what a sharer calls himself can be in it
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	is := func(t api.Theirs) bool {
		from, of := strings.CutSuffix(name, ":"+theirName(t))
		// A name that is like an address does not stand for it.
		of = of && from != "" && (strings.EqualFold(from, t.FromEmail) || from == t.From && api.PlainPersonName(from))
		return theirName(t) == name || of || t.Node.String() == name || t.Path != "" && string(t.Path) == api.JoinPath(path)
	}
	for _, t := range all {
		switch {
		case !is(t) || t.Ended && !ended:
		case found.Node.IsZero():
			found = t
		default:
			return found, api.Errorf(api.Invalid, "several things that others share are called %s\nsay from whom, by the address, as EMAIL:NAME; see: %s", cli.Printable(name), sh.command("shared"))
		}
	}
	if found.Node.IsZero() {
		return found, api.Errorf(api.NotFound, "nobody shares %s with you\nsee what others do: %s", cli.Printable(name), sh.command("shared"))
	}
	return found, nil
}

type sharedAddCmd struct {
	Name string  `arg:"" help:"The folder, as satchel shared lists it." complete:"addable"`
	Path *string `arg:"" optional:"" help:"Where it shall be in your drive, ${path}; by default at the top, by its own name." complete:"remote,file"`
}

func (cmd *sharedAddCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	t, err := sh.findTheirs(c, cmd.Name, false)
	if err != nil {
		return err
	}
	name := theirName(t)
	switch {
	case t.Type != api.Directory:
		return api.Errorf(api.NotDirectory, "%s is not a folder, and only folders can be in your drive\nfetch it with: %s", cli.Printable(name), sh.command("shared get", name))
	case t.Path != "":
		return api.Errorf(api.Exists, "%s is in your drive already: %s", cli.Printable(name), cli.Printable(string(t.Path)))
	}
	b := api.BindTheirs{Drive: t.Drive, Node: t.Node}
	if cmd.Path != nil {
		names, err := sh.driveNames(*cmd.Path)
		if err != nil {
			return err
		}
		if b.Path = api.JoinPath(names); b.Path == "" {
			return usageError{"it needs a name of its own in your drive"}
		}
	}
	at, err := c.BindTheirs(sh.ctx, b)
	if err != nil {
		return err
	}
	sh.settleBinds(c)
	return sh.answer(at, "%s is in your drive now: %s\nit shows in the mounted folder; take it out again with: %s", cli.Printable(name), cli.Printable(string(at.Path)), sh.command("shared remove", string(at.Path)))
}

type sharedRemoveCmd struct {
	Name string `arg:"" help:"The folder, as satchel shared lists it, or its path in your drive." complete:"added"`
}

func (cmd *sharedRemoveCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	t, err := sh.findTheirs(c, cmd.Name, true)
	if err != nil {
		return err
	}
	name := cli.Printable(theirName(t))
	if t.Path == "" {
		return api.Errorf(api.NotFound, "%s is not in your drive", name)
	}
	if err := c.Unbind(sh.ctx, t.Bind); err != nil {
		return err
	}
	sh.settleBinds(c)
	return sh.answer(api.BoundAt{Path: t.Path}, "%s is not in your drive any more", name)
}

type sharedGetCmd struct {
	Name  string `arg:"" help:"The file or folder, as satchel shared lists it." complete:"theirs"`
	Local string `arg:"" optional:"" default:"." help:"Where to: a new name or a directory; by default here. - is standard output." complete:"file"`
	Check bool   `help:"Read files in directories, too, that are here already with the size and time of the drive's, and fetch what differs."`
}

func (cmd *sharedGetCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	t, err := sh.findTheirs(c, cmd.Name, false)
	if err != nil {
		return err
	}
	to, into := cmd.Local, false
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		if to, err = filepath.EvalSymlinks(to); err != nil {
			return err
		}
		into = true
	} else if to != "-" && strings.HasSuffix(to, "/") {
		return noDirectory(to)
	}
	d := c.Drive(t.Drive.String())
	n, err := d.Node(sh.ctx, t.Node)
	if err != nil {
		return err
	}
	g := newGetter(sh, &tree{Drive: d, sh: sh, client: c, root: t.Node, binds: map[api.ID]api.Bind{}}, cmd.Check)
	g.expect(n)
	if into {
		if to, err = g.place(n, theirName(t), to, cmd.Local); err != nil {
			return err
		}
	}
	return g.finish(to == "-", g.fetch(n, cli.Printable(theirName(t)), to, !into))
}

// noDirectory is that files are to go where there is no directory.
func noDirectory(local string) error {
	return api.Errorf(api.NotDirectory, "%s is not a directory\nmake it with: mkdir -p %s", local, quoted(local))
}

// fetch copies a node that people call what to standard output, which is -, or to a place of this machine. A device or pipe is written into,
// if it is named itself.
func (g *getter) fetch(n api.Node, what, to string, named bool) error {
	special := named && to != "-" && cli.IsSpecial(to)
	switch {
	case to != "-" && !special:
		if _, err := os.Lstat(to); err != nil && n.Type == api.Directory {
			g.fresh = append(g.fresh, to)
		}
		return g.get(g.sh.ctx, n, to, g.check || n.Type == api.File)
	case n.Type != api.File && special:
		return api.Errorf(api.IsDirectory, "%s is not a file: only files go to %s", what, to)
	case n.Type != api.File:
		return api.Errorf(api.IsDirectory, "%s is not a file: only files go to standard output", what)
	case special:
		err := cli.WriteSpecial(g.sh.ctx, to, func(w io.Writer) error { return g.copy(g.sh.ctx, w, n) })
		if err == nil {
			g.files.Add(1)
		}
		return err
	}
	return g.copy(g.sh.ctx, g.sh.stdout, n)
}
