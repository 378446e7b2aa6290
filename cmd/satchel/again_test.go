package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What is broken off before anything arrived leaves no empty directory, into which the next time would copy.
func TestBrokenOffAtTheBeginning(t *testing.T) {
	dir := t.TempDir()
	empty, full := filepath.Join(dir, "empty"), filepath.Join(dir, "full")
	for _, d := range []string{empty, full, filepath.Join(full, "sub")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	g := newGetter(&shell{stderr: os.Stderr}, nil, false)
	g.fresh = []string{empty, full}
	broken := errors.New("broken off")
	if err := g.finish(false, broken); err != broken {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 || left[0] != full {
		t.Errorf("left: %q, %v", left, err)
	}
}

// A part that another command is writing stays.
func TestDropPart(t *testing.T) {
	dir := t.TempDir()
	used, err := os.Create(filepath.Join(dir, partPrefix+"used"))
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	if err := unix.Flock(int(used.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, partPrefix+"old"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for part := range parts(dir) {
		dropPart(part)
	}
	if left := parts(dir); len(left) != 1 || !left[used.Name()] {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
		t.Error(err)
	}
}
