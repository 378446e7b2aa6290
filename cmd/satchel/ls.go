package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type lsCmd struct {
	Path *string `arg:"" optional:"" help:"A directory or file, ${path}; without it, where you are in the mounted folder, else the drive's top." complete:"remote,file"`
	Long bool    `short:"l" help:"Show mode, size and time too."`
}

func (cmd *lsCmd) Run(sh *shell) error {
	t, err := sh.openTree()
	if err != nil {
		return err
	}
	defer t.close()
	p, err := t.existing(sh.ctx, cmd.path(sh))
	if err != nil {
		return err
	}
	if sh.json {
		return cmd.printJSON(sh, t, p)
	}
	show := func(s string) string { return s }
	if cli.IsTerminal(sh.stdout) {
		show = cli.Printable
	}
	if !p.isDir() {
		cmd.line(sh.stdout, show(api.JoinPath(p.path)), p.node, show)
		return nil
	}
	return t.children(sh.ctx, p.node.ID, func(c child) error {
		cmd.line(sh.stdout, show(string(c.name)), c.node, show)
		return nil
	})
}

// path is what to list.
func (cmd *lsCmd) path(sh *shell) string {
	if cmd.Path != nil {
		return *cmd.Path
	}
	if here, err := os.Getwd(); err == nil {
		if m, _, ok := sh.places.mountOf(here); ok && m.Profile == sh.profile {
			return here
		}
	}
	return "/"
}

// listed is an entry as JSON.
type listed struct {
	Name api.Name `json:"name"`
	api.Node
}

func (cmd *lsCmd) printJSON(sh *shell, t *tree, p place) error {
	all := []listed{}
	if !p.isDir() {
		return sh.printJSON(append(all, listed{p.name(), p.node}))
	}
	if err := t.children(sh.ctx, p.node.ID, func(c child) error {
		all = append(all, listed{c.name, c.node})
		return nil
	}); err != nil {
		return err
	}
	return sh.printJSON(all)
}

// line prints an entry; a directory ends in a slash.
func (cmd *lsCmd) line(w io.Writer, name string, n api.Node, show func(string) string) {
	if n.Type == api.Directory {
		name = cli.Paint(w, cli.Place, name) + "/"
	}
	if !cmd.Long {
		fmt.Fprintln(w, name)
		return
	}
	if n.Type == api.Symlink {
		name += " -> " + show(string(n.Target))
	}
	kind := string(n.Type)
	if n.Type == api.File {
		kind = "-"
	}
	fmt.Fprintf(w, "%s%s %12d %s %s\n", kind, permissions(n.Mode), n.Size,
		time.Unix(0, n.Mtime).Format("2006-01-02 15:04"), name)
}

// permissions is the nine letters of ls(1).
func permissions(mode uint32) string {
	b := []byte("rwxrwxrwx")
	for i := range b {
		if mode&(1<<(8-i)) == 0 {
			b[i] = '-'
		}
	}
	return string(b)
}
