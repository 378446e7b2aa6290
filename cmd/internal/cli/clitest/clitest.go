// Package clitest holds a command line to what its help and its examples say.
package clitest

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"satchel/cmd/internal/cli"
	"satchel/integration/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Help compares the help of every command with a golden file, which `go test
// -update` writes. run gives the help of a command's words.
func Help(t *testing.T, app *kong.Application, golden string, run func(words ...string) string) {
	t.Helper()
	var all strings.Builder
	for _, n := range append([]*kong.Node{app.Node}, app.Leaves(true)...) {
		all.WriteString("$ " + n.FullPath() + " --help\n" + run(append(strings.Fields(n.Path()), "--help")...) + "\n")
	}
	if *update {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := all.String(); got != string(want) {
		new := filepath.Join(t.TempDir(), "help")
		os.WriteFile(new, []byte(got), 0o644)
		diff, _ := exec.Command("diff", "-u", golden, new).Output()
		t.Errorf("the help is not what %s has; if it shall be, run go test -update:\n%s", golden, diff)
	}
}

// Examples parses each example's command line.
func Examples(t *testing.T, program string, examples cli.Examples, parse func(args []string) error) {
	t.Helper()
	seen := 0
	for command, text := range examples {
		for _, e := range cli.Lines(text) {
			parts, err := split(e.Line)
			if err != nil {
				t.Errorf("%s: %q: %v", command, e.Line, err)
			}
			for _, words := range parts {
				if len(words) > 0 && words[0] == "sudo" {
					words = words[1:]
				}
				if len(words) == 0 || words[0] != program {
					continue
				}
				seen++
				if err := parse(words[1:]); err != nil {
					t.Errorf("%s: %q: %v", command, e.Line, err)
				}
			}
		}
	}
	if seen < len(examples) {
		t.Errorf("%d examples for %d commands", seen, len(examples))
	}
}

// split is the words of a pipeline's programs as a shell has them, without
// redirections.
func split(line string) (parts [][]string, err error) {
	var words []string
	var word strings.Builder
	file := false // what follows is a redirection's
	quote, in := rune(0), false
	end := func() {
		if in && !file {
			words = append(words, word.String())
		}
		word.Reset()
		in = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ':
			end()
		case r == '|':
			end()
			parts = append(parts, words)
			words, file = nil, false
		case r == '<' || r == '>':
			end()
			file = true
		default:
			word.WriteRune(r)
			in = true
		}
	}
	end()
	if quote != 0 {
		err = errors.New("a quote is open")
	}
	return append(parts, words), err
}

// Manual writes the pages and lets mandoc read them.
func Manual(t *testing.T, app *kong.Application, m cli.Manual) {
	t.Helper()
	dir := t.TempDir()
	if err := m.Write(app, dir); err != nil {
		t.Fatal(err)
	}
	pages, _ := filepath.Glob(filepath.Join(dir, "*."+m.Section))
	if want := len(cli.Pages(app.Node)); len(pages) != want {
		t.Errorf("%d pages, want %d", len(pages), want)
	}
	for _, n := range cli.Pages(app.Node) { // of a group too
		page := filepath.Join(dir, strings.ReplaceAll(n.FullPath(), " ", "-")+"."+m.Section)
		if _, err := os.Stat(page); err != nil {
			t.Error(err)
		}
	}
	mandoc := require.Tool(t, "mandoc")
	out, err := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "missing date") { // a page is of no day: it is of the program that wrote it
			t.Error(strings.TrimSpace(line))
		}
	}
}

// Flags wants that every setting can be given by the environment, by the variable that one would guess, and that no
// other flag can.
func Flags(t *testing.T, app *kong.Application, prefix string) {
	t.Helper()
	settings := 0
	for _, n := range append([]*kong.Node{app.Node}, app.Leaves(false)...) {
		for _, f := range n.Flags {
			if f.Name == "help" {
				continue
			}
			if f.Help == "" && !f.Hidden {
				t.Errorf("%s --%s has no help", n.FullPath(), f.Name)
			}
			switch {
			case !f.Tag.Has("setting"):
				if len(f.Envs) > 0 || len(f.Tag.Envs) > 0 {
					t.Errorf("%s --%s says what to do, and yet the variable %q can", n.FullPath(), f.Name, f.Envs)
				}
			case len(f.Envs) == 0 || f.Envs[0] != prefix+"_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")):
				t.Errorf("%s --%s is given by %q", n.FullPath(), f.Name, f.Envs)
			default:
				settings++
			}
		}
	}
	if settings < 10 {
		t.Errorf("there are %d settings", settings)
	}
}
