package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"satchel/cmd/internal/cli/clitest"
)

func TestHelp(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	app := parserOf(t).Model
	clitest.Help(t, app, "testdata/help.golden", func(words ...string) string {
		var out strings.Builder
		if code := run(t.Context(), words, strings.NewReader(""), &out, &out); code != 0 {
			t.Errorf("%q: exit code %d", words, code)
		}
		// Where data is by default depends on who asks, and so does where lines end.
		text, _, found := strings.Cut(out.String(), "      --data=DIR")
		if _, rest, ok := strings.Cut(out.String(), "($SATCHELD_DATA).\n"); found && ok {
			text += "      --data=DIR                …\n" + rest
		}
		return text
	})
	parses := func(args []string) error {
		_, err := parserOf(t).Parse(args)
		return err
	}
	clitest.Examples(t, "satcheld", examples, parses)
	clitest.Documents(t, "satcheld", "../..", parses)
	clitest.Manual(t, app, manual)
	clitest.Flags(t, app, "SATCHELD")
	clitest.Variables(t, app, "SATCHELD", "../..")
}

func parserOf(t *testing.T) *kong.Kong {
	t.Helper()
	p, err := newParser(new(commands), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
