package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestProgramsOf32Bits: a 32-bit program sees and does on the mount what it does on a plain folder, whose
// file system has inode numbers of 32 bits.
func TestProgramsOf32Bits(t *testing.T) {
	program := filepath.Join(parts.Bin, "bits32")
	t.Setenv("GOARCH", "386")
	must(t, parts.Build(t.Context(), program, "./integration/bits32"))
	laptop := newAccount(t, server(t), "anna").mountNew(t, "laptop")
	look := func(dir string) string {
		dir = filepath.Join(dir, "bits32")
		must(t, os.Mkdir(dir, 0o755))
		write(t, filepath.Join(dir, "small"), "text")
		must(t, os.Link(filepath.Join(dir, "small"), filepath.Join(dir, "hard")))
		write(t, filepath.Join(dir, "large"), "")
		must(t, os.Truncate(filepath.Join(dir, "large"), 5<<30))
		must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o750))
		for _, name := range []string{"small", "large", "dir"} {
			must(t, os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Unix(4_000_000_000, 5)))
		}
		out := command(t, "", program, dir)
		must(t, os.Remove(filepath.Join(dir, "large"))) // nobody shall send it
		return out
	}
	if plain, mounted := look(plainFolder(t, nil)), look(laptop.Mount); plain != mounted {
		t.Errorf("on a plain folder:\n%s\non the mount:\n%s", plain, mounted)
	} else {
		t.Log(plain)
	}
}
