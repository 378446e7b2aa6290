package main

import "satchel/cmd/internal/cli"

type manCmd struct {
	Dir string `arg:"" help:"Where to write them: man finds them in a directory man1 of its path, such as ~/.local/share/man/man1." complete:"dir"`
}

func (cmd *manCmd) Run(sh *shell) error {
	if err := manual.Write(sh.model, cmd.Dir); err != nil {
		return err
	}
	return sh.answer(map[string]string{"dir": cmd.Dir}, "wrote the manual pages into %s", cmd.Dir)
}

var manual = cli.Manual{
	Section: "1",
	About: "satchel keeps a personal drive on this machine. It logs in to a server (satcheld), shows the drive as a folder that any program works with, and copies files to and from it without a folder.\n\n" +
		"The folder is answered from this machine: it goes on without the network, and what was changed is sent when there is one. Two machines that changed the same file keep both.",
	Files: [][2]string{
		{"$XDG_CONFIG_HOME/satchel/config", "Defaults of flags: lines of flag = value."},
		{"$XDG_CONFIG_HOME/satchel/PROFILE.json", "A login. The secret is in the system's keyring, or here where there is none."},
		{"$XDG_CACHE_HOME/satchel/", "Content and names of mounted drives, and what was not sent yet."},
		{"$XDG_STATE_HOME/satchel/PROFILE.log", "What the daemon of a mounted folder has to say."},
	},
	Remains: "satchel sync --wait while content that the server refused waits in Recovered, satchel logout --local when the server could not be told.",
	SeeAlso: []string{"satcheld(8)", "fusermount3(1)"},
}
