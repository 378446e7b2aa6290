package main

import "satchel/cmd/internal/cli"

type versionCmd struct{}

func (*versionCmd) Run(sh *shell) error {
	return sh.answer(map[string]string{"version": cli.Version()}, "satchel %s", cli.Version())
}
