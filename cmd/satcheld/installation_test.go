package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAMistypedDataIsNoInstallation: what works on an installation makes none, so that a backup of nothing is no success.
func TestAMistypedDataIsNoInstallation(t *testing.T) {
	data := dataDir(t)
	backup := filepath.Join(t.TempDir(), "backup")
	for _, args := range [][]string{
		{"user", "list"}, {"user", "disable", "a@example.org"}, {"keys", "list"}, {"bans"}, {"fsck"}, {"gc"}, {"backup", backup}, {"migrate"}, {"psql-url"},
		{"blobs", "copy", "file:" + t.TempDir(), "postgres:"},
	} {
		code, out, errs := satcheld(t, "", append(args, "--data", data)...)
		if code != 1 || out != "" || !strings.Contains(errs, "there is no installation at "+data+": check --data (or SATCHELD_DATA)") {
			t.Errorf("%q: exit code %d, %q, %q", args, code, out, errs)
		}
	}
	for _, path := range []string{data, backup} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was made: %v", path, err)
		}
	}
}
