package cli

import (
	"errors"

	"github.com/alecthomas/kong"
)

// HelpCommand is `PROGRAM help COMMAND…`, which prints what `PROGRAM COMMAND… --help` does.
type HelpCommand struct {
	Command []string `arg:"" optional:"" help:"The command; without it, all of them are listed."`
}

// Print prints the help. The error is that there is no such command; it says where to read on.
func (cmd HelpCommand) Print(ctx *kong.Context) error {
	program := ctx.Model.Name
	at := ctx.Model.Node
	for _, word := range cmd.Command {
		child := childOf(at, word)
		if child == nil {
			return errors.New(unexpected(at, word) + readOn(program, at))
		}
		at = child
	}
	asked, err := kong.Trace(ctx.Kong, append(cmd.Command, "--help")) // with the flag no command below is chosen by default
	if err != nil {
		return err
	}
	return asked.PrintUsage(false)
}

// childOf is the command below another that a word names; nil when there is none.
func childOf(at *kong.Node, word string) *kong.Node {
	for _, child := range at.Children {
		if child.Name == word {
			return child
		}
	}
	return nil
}
