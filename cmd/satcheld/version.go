package main

import "satchel/cmd/internal/cli"

type versionCmd struct{}

// Run prints the version.
func (*versionCmd) Run(p *program) error {
	return p.answer(map[string]string{"version": cli.Version()}, "satcheld %s", cli.Version())
}
