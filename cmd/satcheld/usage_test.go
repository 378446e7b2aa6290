package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Wrong usage is exit code 2, and says whose help has more.
func TestUsage(t *testing.T) {
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	t.Setenv("SATCHELD_PASSWORD_STDIN", "true")
	for _, c := range []struct {
		args, out, errs string
		code            int
	}{
		{"", "Usage: satcheld <command>", "", 2},
		{"--help", "Usage: satcheld <command>", "", 0},
		{"--version", "satcheld ", "", 0},
		{"version --json", `"version": "`, "", 0},
		{"backup", "", "see: satcheld backup --help\n", 2},
		{"user add a@example.org", "", "missing flags: --password-stdin\nsee: satcheld user add --help\n", 2},
		{"bogus", "", "see: satcheld --help\n", 2},
		{"serve --bogus", "", "see: satcheld serve --help\n", 2},
		{"serve --config " + write("listen = :0\nrepair = true\n"), "", "sets \"repair\", which is for the command line only\nsee: satcheld serve --help\n", 2},
	} {
		code, out, errs := satcheld(t, "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.HasSuffix(errs, c.errs) {
			t.Errorf("satcheld %s: exit code %d, %q, %q", c.args, code, out, errs)
		}
	}
}
