package web

import (
	"io/fs"
	"strings"
	"testing"
)

// TestBudget: all that the pages load of ours, in bytes before any compression.
func TestBudget(t *testing.T) {
	const budget = 150 << 10
	total := int64(0)
	err := fs.WalkDir(files, "static", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil || total > budget {
		t.Errorf("the assets have %d bytes of %d, %v", total, budget, err)
	}
	t.Logf("the assets have %d bytes", total)
}

// TestNothingInline: the pages' policy forbids scripts and styles in them, so
// one would only be dead.
func TestNothingInline(t *testing.T) {
	err := fs.WalkDir(files, "templates", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := files.ReadFile(path)
		for _, bad := range []string{" style=", " onclick=", " onload=", "<style", "<script>", "javascript:"} {
			if strings.Contains(string(b), bad) {
				t.Errorf("%s has %q", path, bad)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1234: "1.2 kB", 99_500: "100 kB", 999_499: "999 kB", 999_500: "1.0 MB", 5e12: "5.0 TB"} {
		if got := Bytes(n); !strings.EqualFold(got, want) {
			t.Errorf("%d bytes are %q, not %q", n, got, want)
		}
	}
}

// TestCopyOf: the copy of a file keeps its extension.
func TestCopyOf(t *testing.T) {
	for file, want := range map[string]string{"r.md": "r copy.md", "a.b/r": "a.b/r copy", "a/.bashrc": "a/.bashrc copy", "x.tar.gz": "x.tar copy.gz"} {
		if got := copyOf(file); got != want {
			t.Errorf("the copy of %s is to be %s, want %s", file, got, want)
		}
	}
}
