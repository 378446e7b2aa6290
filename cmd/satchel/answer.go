package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

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

// confirm asks on the terminal whether to do what can't be undone, unless --yes has said so. Who can't be asked is
// refused; so is who does not say yes.
func (sh *shell) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !sh.canAsk() {
		return errNobodyToAsk
	}
	fmt.Fprintf(sh.stderr, "%s [y/N] ", question)
	line, _ := bufio.NewReader(sh.stdin).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return api.Errorf(api.Cancelled, "not done: it was not confirmed with y")
}

// errNobodyToAsk is that something is to be confirmed where there is no terminal.
var errNobodyToAsk = usageError{"there is no terminal to ask whether this is meant: confirm it with --yes"}

// canAsk tells whether somebody sits at a terminal who can answer.
func (sh *shell) canAsk() bool {
	f, ok := sh.stdin.(*os.File)
	return ok && cli.IsTerminal(f) && cli.IsTerminal(sh.stderr)
}

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
