package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"satchel/cmd/internal/cli/clitest"
)

func TestHelp(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	app := parserOf(t, new(commands)).Model
	clitest.Help(t, app, "testdata/help.golden", func(words ...string) string {
		var out strings.Builder
		if code := run(words, strings.NewReader(""), &out, &out); code != 0 {
			t.Errorf("%q: exit code %d", words, code)
		}
		return out.String()
	})
	parses := func(args []string) error {
		_, err := parserOf(t, new(commands)).Parse(args)
		return err
	}
	clitest.Examples(t, "satchel", examples, parses)
	clitest.Documents(t, "satchel", "../..", parses)
	clitest.Manual(t, app, manual)
	clitest.Flags(t, app, "SATCHEL")
	clitest.Variables(t, app, "SATCHEL", "../..")
}

func parserOf(t *testing.T, cmds *commands) *kong.Kong {
	t.Helper()
	p, err := newParser(cmds, places{config: t.TempDir()}, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
