package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A helper that was copied, and is not the one beside the program, is told of: it stays as it was when the program is replaced.
func TestStaleHelper(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(self), "satchel-helper") // of the test's own program
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(beside, "new")
	t.Cleanup(func() { os.Remove(beside) })
	p := helperPlace{t.TempDir()}
	if got := p.stale(); got != "" {
		t.Errorf("none is installed: %q", got)
	}
	if err := p.copy(beside); err != nil {
		t.Fatal(err)
	}
	if got := p.stale(); got != "" {
		t.Errorf("right after it was installed: %q", got)
	}
	write(beside, "newer")
	if got := p.stale(); got != p.path(helperBinary) {
		t.Errorf("after an upgrade: %q", got)
	}
	if err := p.drop(false); err != nil {
		t.Fatal(err)
	}
	if got := p.stale(); got != "" {
		t.Errorf("after it was removed: %q", got)
	}
}
