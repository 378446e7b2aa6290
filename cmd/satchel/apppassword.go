package main

import (
	"fmt"
	"text/tabwriter"

	"satchel/api"
)

type appPasswordCmd struct {
	Add    appPasswordAddCmd    `cmd:"" default:"withargs" help:"Make a password for one program and print it."`
	List   appPasswordListCmd   `cmd:"" help:"List the programs that have one."`
	Revoke appPasswordRevokeCmd `cmd:"" help:"End a program's password."`
}

type appPasswordAddCmd struct {
	Name string `arg:"" optional:"" default:"WebDAV" help:"The program, for people (${default})."`
}

func (cmd *appPasswordAddCmd) Run(sh *shell) error {
	c, l, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.AddAppPassword(sh.ctx, cmd.Name)
	if err != nil {
		return err
	}
	// The password alone on standard output, so that a script can take it.
	fmt.Fprintf(sh.stderr, "%s as %s; it is shown this once, and revoked with: satchel app-password revoke %s\n", l.Server+"/dav/", l.Email, p.ID)
	fmt.Fprintln(sh.stdout, p.Password)
	return nil
}

type appPasswordListCmd struct{}

func (cmd *appPasswordListCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := c.AppPasswords(sh.ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tMADE\tLAST SEEN")
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(p.Name), p.ID, stamp(p.Created), stamp(p.Seen))
	}
	return w.Flush()
}

type appPasswordRevokeCmd struct {
	Name string `arg:"" help:"The program's name, or the password's id."`
}

func (cmd *appPasswordRevokeCmd) Run(sh *shell) error {
	c, _, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := c.AppPasswords(sh.ctx)
	if err != nil {
		return err
	}
	var found []api.AppPassword
	for _, p := range all {
		if p.Name == cmd.Name || p.ID.String() == cmd.Name {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return fmt.Errorf("there is no app password %q; see: satchel app-password list", cmd.Name)
	case 1:
	default:
		return fmt.Errorf("%d app passwords are called %q: name one by its id; see: satchel app-password list", len(found), cmd.Name)
	}
	if err := c.RevokeAppPassword(sh.ctx, found[0].ID); err != nil {
		return err
	}
	fmt.Fprintf(sh.stdout, "revoked %q\n", cmd.Name)
	return nil
}
