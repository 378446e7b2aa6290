package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"satchel/api"
)

// What a cache has goes, and nothing else; not while it is in use.
func TestRemove(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("letter", "x"))
	mustQuiet(t, a, b)
	dir := a.dir()
	if err := Remove(dir); api.KindOf(err) != api.Exists {
		t.Errorf("a cache in use: %v", err)
	}
	if text, err := a.read("letter"); err != nil || text != "x" {
		t.Errorf("after that: %q, %v", text, err)
	}
	must(t, a.d.Close())
	a.d = nil
	must(t, os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o600))
	must(t, Remove(dir))
	names, err := os.ReadDir(dir)
	must(t, err)
	if len(names) != 1 || names[0].Name() != "mine" {
		t.Errorf("left: %v", slices.Collect(func(yield func(string) bool) {
			for _, e := range names {
				yield(e.Name())
			}
		}))
	}
	must(t, os.Remove(filepath.Join(dir, "mine")))
	must(t, Remove(dir))
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty directory stays: %v", err)
	}
	must(t, Remove(dir)) // gone already
}
