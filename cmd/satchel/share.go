package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type shareCmd struct {
	Path          *string       `arg:"" optional:"" help:"A file or folder, ${path}; without it, all that is shared is shown." complete:"remote,file"`
	With          *string       `placeholder:"EMAIL" help:"Let this user of the server use it, who sees it with satchel shared; --may says how."`
	May           string        `enum:"read,write,all" default:"read" help:"With --with: read; write, which is to change and add too; all, which is to delete too, as editors and git do with files of their own (${default})."`
	Link          bool          `help:"Make a link with which anyone can read it, and print it: a page for browsers; the file, or the folder's ZIP archive, for programs such as curl."`
	For           time.Duration `placeholder:"D" help:"With --link: how long it works, such as 48h; by default until it is ended."`
	PasswordStdin bool          `help:"With --link: it asks for the password that is read from standard input."`
	Public        bool          `help:"Let everybody read it."`
	Stop          *string       `placeholder:"WHOM" help:"End what was begun: a user's EMAIL, a link or its id, or public, as satchel share shows them." complete:"guest"`
}

func (cmd *shareCmd) Help() string {
	return "With only a PATH it shows who may use it. What is shared is shared with all that is below it, now and later."
}

// shareLevels are what --may gives.
var shareLevels = map[string]api.Permissions{"read": api.MayRead, "write": api.MayWrite, "all": api.AllPermissions}

func (cmd *shareCmd) Run(sh *shell) error {
	if err := cmd.check(); err != nil {
		return err
	}
	password := ""
	if cmd.PasswordStdin {
		var err error
		if password, err = readPassword(sh.stdin); err != nil {
			return err
		}
	}
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	if cmd.Path == nil {
		all, err := t.Shares(sh.ctx, "")
		if err != nil {
			return err
		}
		return printShares(sh, "", all, "nothing is shared")
	}
	p, err := t.existing(sh.ctx, *cmd.Path)
	if err != nil {
		return err
	}
	path := "/" + api.JoinPath(p.path)
	if cmd.Link {
		l := api.NewLink{Path: path, Password: password}
		if cmd.For > 0 {
			l.Expires = time.Now().Add(cmd.For).UTC()
		}
		made, err := t.AddLink(sh.ctx, l)
		if err != nil {
			return err
		}
		if made.Password && !sh.json { // which a browser asks for, and a program has to be told
			fmt.Fprintf(sh.stderr, "programs give the password so, with any name: curl -fOJ -u link %s\n", made.URL)
		}
		return sh.answer(made, "%s", made.URL)
	}
	all, err := cmd.change(sh, t, path)
	if err != nil {
		return err
	}
	return printShares(sh, path, all, p.String()+" is shared with nobody")
}

func (cmd *shareCmd) check() error {
	asked := 0
	for _, yes := range []bool{cmd.Public, cmd.With != nil, cmd.Link, cmd.Stop != nil} {
		if yes {
			asked++
		}
	}
	empty := func(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }
	switch {
	case empty(cmd.With):
		return usageError{"--with needs the EMAIL of a user"}
	case empty(cmd.Stop):
		return usageError{"--stop needs to know for whom: an EMAIL, a link or its id, or public"}
	case asked > 1:
		return usageError{"give one of --with, --link, --public and --stop at a time"}
	case asked == 1 && cmd.Path == nil:
		return usageError{"say which path"}
	case !cmd.Link && (cmd.For != 0 || cmd.PasswordStdin):
		return usageError{"--for and --password-stdin go with --link"}
	case cmd.With == nil && cmd.May != "read":
		return usageError{"--may goes with --with EMAIL"}
	}
	return nil
}

// change does what the flags ask for, if anything, and returns who may use the path then.
func (cmd *shareCmd) change(sh *shell, t *tree, path string) (api.Shares, error) {
	switch {
	case cmd.Public:
		return t.SharePublic(sh.ctx, api.SharePublic{Path: path, Public: true})
	case cmd.With != nil:
		return t.ShareWith(sh.ctx, api.ShareWith{Path: path, Email: *cmd.With, Permissions: shareLevels[cmd.May]})
	}
	all, err := t.Shares(sh.ctx, path)
	if err != nil || cmd.Stop == nil {
		return all, err
	}
	return cmd.stop(sh, t, path, all)
}

// stop ends one of the shares of a path, and returns those that are left.
func (cmd *shareCmd) stop(sh *shell, t *tree, path string, all api.Shares) (api.Shares, error) {
	whom := strings.TrimSpace(*cmd.Stop)
	end := []func() error{}
	isTold := func(g api.SharedWith) bool { return strings.EqualFold(g.Email, whom) || g.UserID == whom }
	// People choose their names: one that is another's address, or public, does not stand for that.
	byName := whom != "public" && api.PlainPersonName(whom) && !slices.ContainsFunc(all.Grants, isTold)
	above := "" // a folder through which it is shared so
	for _, g := range all.Grants {
		public, named := g.UserID == api.Anonymous && whom == "public", isTold(g) || byName && g.Name == whom
		switch {
		case g.Through != "":
			if public || named {
				above = g.Through
			}
		case public:
			end = append(end, func() error {
				_, err := t.SharePublic(sh.ctx, api.SharePublic{Path: path})
				return err
			})
		case named:
			end = append(end, func() error {
				_, err := t.ShareWith(sh.ctx, api.ShareWith{Path: path, UserID: g.UserID})
				return err
			})
		}
	}
	for _, l := range all.Links {
		switch {
		case l.ID.String() != whom && l.URL != whom:
		case l.Through != "":
			above = l.Through
		default:
			end = append(end, func() error { return t.RemoveLink(sh.ctx, l.ID) })
		}
	}
	if len(end) == 0 && above == "" && strings.Contains(whom, "@") { // shared before the server took down by which address
		end = append(end, func() error {
			_, err := t.ShareWith(sh.ctx, api.ShareWith{Path: path, Email: whom})
			return err
		})
	}
	at := cli.Printable(*cmd.Path)
	switch len(end) {
	case 0:
		if above != "" {
			return all, api.Errorf(api.Invalid, "%s is shared with %s through %s\nend it there: %s", at, cli.Printable(whom), cli.Printable(sharedAt(above)), sh.command("share --stop "+quoted(whom), sharedAt(above)))
		}
		return all, api.Errorf(api.NotFound, "%s is not shared with %s\nsee with whom it is: %s", at, cli.Printable(whom), sh.command("share", *cmd.Path))
	case 1:
		err := end[0]()
		if api.KindOf(err) == api.NotFound {
			err = api.Errorf(api.NotFound, "%s is not shared with %s\nsee with whom it is: %s", at, cli.Printable(whom), sh.command("share", *cmd.Path))
		}
		if err != nil {
			return all, err
		}
		return t.Shares(sh.ctx, path)
	}
	return all, api.Errorf(api.Invalid, "%s is shared with %d who are called %s: name one by the address or the id in %s", at, len(end), cli.Printable(whom), sh.command("share --json", *cmd.Path))
}

// readPassword is what standard input says, but for the end of its line.
func readPassword(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", usageError{"there is no password on standard input"}
	}
	return password, nil
}

// shares is [api.Shares] as this program's JSON has names.
type shares struct {
	Grants []granted  `json:"grants"`
	Links  []api.Link `json:"links"`
}

type granted struct {
	Path        string          `json:"path"`
	Permissions api.Permissions `json:"permissions"`
	User        string          `json:"user"` // its id, or anonymous: everybody, or authenticated: whoever is logged in
	Name        string          `json:"name,omitempty"`
	Email       string          `json:"email,omitempty"`   // by which it was shared
	URL         string          `json:"url,omitempty"`     // where everybody reads a public file
	Through     string          `json:"through,omitempty"` // the folder above whose share it is
}

func sharesOf(all api.Shares) shares {
	s := shares{Grants: []granted{}, Links: all.Links}
	for _, g := range all.Grants {
		s.Grants = append(s.Grants, granted{g.Path, g.Permissions, g.UserID, g.Name, g.Email, g.URL, g.Through})
	}
	return s
}

// person is with whom something is shared: by what --stop takes, with his name before his address.
func person(g api.SharedWith) string {
	if g.Email == "" && !api.PlainPersonName(g.Name) { // --stop takes no such name
		return api.Person(g.Name, "") + " " + g.UserID
	}
	return cmp.Or(api.Person(g.Name, g.Email), g.UserID)
}

// printShares shows who may use a path, or, with "", what; nobody, if nobody may.
func printShares(sh *shell, asked string, all api.Shares, nobody string) error {
	if sh.json || len(all.Grants)+len(all.Links) == 0 {
		return sh.answer(sharesOf(all), "%s", nobody)
	}
	var rows []string
	row := func(path, through, who, may, until, link string) {
		if through != "" {
			path, who = api.Name(asked).Escape(), who+" (through "+cli.Printable(sharedAt(through))+")"
		}
		rows = append(rows, strings.Join([]string{cli.Printable(sharedAt(path)), who, may, until, link}, "\t"))
	}
	for _, g := range all.Grants {
		who := cli.Printable(person(g))
		switch {
		case g.UserID == api.Anonymous:
			who = "everybody"
		case g.UserID == api.Authenticated:
			who = "whoever is logged in"
		}
		row(g.Path, g.Through, who, levelOf(g.Permissions), "-", g.URL)
	}
	for _, l := range all.Links {
		who := "whoever has the link"
		if l.Password {
			who += " and its password"
		}
		row(l.Path, l.Through, who, "read", stamp(l.Expires), l.URL)
	}
	return list(sh, rows, "PATH\tWITH\tMAY\tUNTIL\tLINK", func(row string) string { return row })
}

// sharedAt is a path that the server named as this program's commands take it.
func sharedAt(path string) string {
	return string(api.Unescape(cmp.Or(strings.TrimPrefix(path, "/"), "/")))
}

// levelOf is the level of --may that permissions are, or their names.
func levelOf(p api.Permissions) string {
	for name, level := range shareLevels {
		if p == level {
			return name
		}
	}
	return strings.Join(p.Names(), ",")
}
