package main

import (
	"fmt"

	"satchel/cmd/internal/cli"
)

// answer prints what a command has done: v with --json, else a sentence.
func (p *program) answer(v any, format string, args ...any) error {
	if p.json {
		return cli.PrintJSON(p.stdout, v)
	}
	_, err := fmt.Fprintf(p.stdout, format+"\n", args...)
	return err
}

// list prints items: an array with --json, else a table.
func list[T any](p *program, items []T, head string, row func(T) string) error {
	return cli.PrintList(p.stdout, p.json, items, head, row)
}
