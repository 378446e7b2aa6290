package main

import (
	"fmt"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

// answer prints what a command has done: v with --json, else a sentence.
func (sh *shell) answer(v any, format string, args ...any) error {
	if sh.json {
		return sh.printJSON(v)
	}
	_, err := fmt.Fprintf(sh.stdout, format+"\n", args...)
	return err
}

func (sh *shell) printJSON(v any) error { return cli.PrintJSON(sh.stdout, v) }

// list prints items: an array with --json, else a table.
func list[T any](sh *shell, items []T, head string, row func(T) string) error {
	return cli.PrintList(sh.stdout, sh.json, items, head, row)
}

// one is the only item that people mean by a name; what names it in messages,
// and command lists them all.
func one[T any](items []T, is func(T) bool, what, name, command string) (found T, err error) {
	n := 0
	for _, item := range items {
		if is(item) {
			found = item
			n++
		}
	}
	switch {
	case n == 0:
		return found, api.Errorf(api.NotFound, "there is no %s %q; see: %s", what, name, command)
	case n > 1:
		return found, api.Errorf(api.Invalid, "%d %ss are called %q: name one by its id; see: %s", n, what, name, command)
	}
	return found, nil
}
