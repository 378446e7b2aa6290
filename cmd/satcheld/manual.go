package main

import (
	"fmt"

	"github.com/alecthomas/kong"

	"satchel/cmd/internal/cli"
)

type manCmd struct {
	Dir string `arg:"" help:"Where to write them: man finds them in a directory man8 of its path." complete:"dir"`
}

// Run writes the manual pages.
func (cmd *manCmd) Run(p *program, app *kong.Application) error {
	if err := manual.Write(app, cmd.Dir); err != nil {
		return err
	}
	return p.answer(map[string]string{"dir": cmd.Dir}, "wrote the manual pages into %s", cmd.Dir)
}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the script.
func (cmd *completionCmd) Run(p *program) error {
	script, err := cli.Script(cmd.Shell, "satcheld")
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(p.stdout, script)
	return err
}

var manual = cli.Manual{
	Section: "8",
	About: "satcheld is the server of Satchel, a personal drive. It serves the APIs and the web page over PostgreSQL, which has the names, versions and who may see what, and a store of content: files, an S3 bucket or the database.\n\n" +
		"Without --database-url it runs a PostgreSQL of its own under --data. Its other commands work while it runs, and while it does not.",
	Files: [][2]string{
		{"/var/lib/satchel", "Where root's server keeps everything; --data is another place."},
		{"DATA/key", "The key that seals secrets in the database: keep a copy of it apart from the backup."},
	},
	SeeAlso: []string{"satchel(1)"},
}
