package main

import (
	"strings"
	"testing"
)

// Wrong usage is exit code 2, and says whose help has more.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args, out, errs string
		code            int
	}{
		{"", "Usage: satcheld <command>", "", 2},
		{"--help", "Usage: satcheld <command>", "", 0},
		{"--version", "satcheld ", "", 0},
		{"version --json", `"version": "`, "", 0},
		{"backup", "", "see: satcheld backup --help\n", 2},
		{"bogus", "", "see: satcheld --help\n", 2},
		{"serve --bogus", "", "see: satcheld serve --help\n", 2},
	} {
		code, out, errs := satcheld(t, "", strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.HasSuffix(errs, c.errs) {
			t.Errorf("satcheld %s: exit code %d, %q, %q", c.args, code, out, errs)
		}
	}
}
