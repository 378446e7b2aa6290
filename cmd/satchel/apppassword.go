package main

import (
	"fmt"
	"slices"
	"strings"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type appPasswordCmd struct {
	Add    appPasswordAddCmd    `cmd:"" help:"Make a password for one program and print it."`
	List   appPasswordListCmd   `cmd:"" default:"1" help:"List the programs that have one."`
	Revoke appPasswordRevokeCmd `cmd:"" help:"End a program's password."`
}

type appPasswordAddCmd struct {
	Name string `arg:"" optional:"" default:"WebDAV" help:"The program, for people (${default})."`
}

// errNamelessProgram is that nobody could tell later what a secret is for.
var errNamelessProgram = usageError{"the name is empty: write for which program it is, such as phone"}

func (cmd *appPasswordAddCmd) Run(sh *shell) error {
	if strings.TrimSpace(cmd.Name) == "" {
		return errNamelessProgram
	}
	c, l, err := sh.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := c.AppPasswords(sh.ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(p api.AppPassword) bool { return p.Name == cmd.Name }) {
		return api.Errorf(api.Exists, "there is an app password called %q already\nuse another name, or end that one with: %s", cmd.Name, sh.command("app-password revoke", cmd.Name))
	}
	p, err := c.AddAppPassword(sh.ctx, cmd.Name)
	if err != nil {
		return err
	}
	if !sh.json {
		// The password alone on standard output, so that a script can take it.
		fmt.Fprintf(sh.stderr, "%s as %s; it is shown this once, and revoked with: %s\n", l.Server+"/dav/", l.Email, sh.command("app-password revoke", p.Name))
	}
	return sh.answer(p, "%s", p.Password)
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
	if len(all) == 0 {
		return sh.answer(all, "there are no app passwords\nmake one with: %s", sh.command("app-password add PROGRAM"))
	}
	return list(sh, all, "NAME\tID\tMADE\tLAST USED", func(p api.AppPassword) string {
		return strings.Join([]string{cli.Printable(p.Name), p.ID.String(), stamp(p.Created), everSeen(p.Seen)}, "\t")
	})
}

type appPasswordRevokeCmd struct {
	Name string `arg:"" help:"The program's name, or the password's id." complete:"app-password"`
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
	is := func(p api.AppPassword) bool { return p.Name == cmd.Name || p.ID.String() == cmd.Name }
	found, err := one(all, is, "app password", cmd.Name, sh.command("app-password list"))
	if err != nil {
		return err
	}
	if err := c.RevokeAppPassword(sh.ctx, found.ID); err != nil {
		return err
	}
	return sh.answer(map[string]string{"revoked": found.ID.String()}, "revoked %q", cmd.Name)
}
