package main

import (
	"github.com/alecthomas/kong"

	"satchel/cmd/internal/cli"
)

type helpCmd struct{ cli.HelpCommand }

func (cmd *helpCmd) Run(ctx *kong.Context) error {
	if err := cmd.Print(ctx); err != nil {
		return usageError{err.Error()}
	}
	return nil
}
