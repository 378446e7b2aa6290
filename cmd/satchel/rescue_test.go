package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"satchel/api"
)

// What was refused is kept whole or not at all, under a name that nothing had.
func TestKeep(t *testing.T) {
	dir, device := t.TempDir(), api.NewID()
	has := func(want map[string]string) {
		t.Helper()
		found, err := os.ReadDir(dir)
		if err != nil || len(found) != len(want) {
			t.Errorf("there are %v, %v", found, err)
		}
		for name, text := range want {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != text {
				t.Errorf("%.40q is %q, %v", name, b, err)
			}
		}
	}
	broken := errors.New("no room")
	if as, err := keep(dir, device, "letter", io.MultiReader(strings.NewReader("half a"), iotest.ErrReader(broken))); as != "" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", as, err)
	}
	has(nil)

	// A daemon was killed before.
	if err := os.WriteFile(filepath.Join(dir, unfinished+device.String()), []byte("half a letter, and more than all of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("字", api.MaxName/3)
	for name, wants := range map[string][]string{"letter": {"letter", "2 letter", "3 letter"}, long: {long, "2 " + strings.Repeat("字", 84)}} {
		for _, want := range wants {
			if as, err := keep(dir, device, api.Name(name), strings.NewReader("text of "+want)); as != want || err != nil {
				t.Errorf("%q, %v, wanted %q", as, err, want)
			}
		}
	}
	// Another device's, which syncs the folder too, is left alone.
	others := unfinished + api.NewID().String()
	if err := os.WriteFile(filepath.Join(dir, others), []byte("half of another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if as, err := keep(dir, device, "picture", strings.NewReader("text of picture")); as != "picture" || err != nil {
		t.Errorf("%q, %v", as, err)
	}
	want := map[string]string{others: "half of another"}
	for _, name := range []string{"letter", "2 letter", "3 letter", long, "2 " + strings.Repeat("字", 84), "picture"} {
		want[name] = "text of " + name
	}
	has(want)
}
