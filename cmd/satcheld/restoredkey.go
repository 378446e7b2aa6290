package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"satchel/api"
	"satchel/api/auth"
)

// restoredKey is the sealing key of a backup. It waits beside the key file until
// all else is restored.
type restoredKey struct {
	path    string // of the key file
	replace bool   // another key may be there
	aside   string // another name of that one; "" if there is none
	pending bool   // it is written, and not all else is restored
}

func (k *restoredKey) waiting() string { return k.path + ".restored" }

// write writes the key beside the key file, and gives one that is there and
// differs another name too, if k.replace says so. Then store makes it the
// installation's.
func (k *restoredKey) write(key []byte) (store func() error, err error) {
	if len(key) != len(auth.SealingKey{}) {
		return nil, api.Errorf(api.Invalid, "the sealing key in the backup is damaged")
	}
	there, err := auth.ReadSealingKey(k.path)
	switch {
	case err == nil && there == auth.SealingKey(key):
		return func() error { return nil }, nil
	case err == nil && !k.replace:
		return nil, api.Errorf(api.Exists, "the key file %s holds another key than the backup: move it away, or give --replace", k.path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	other := err == nil
	if err := os.Remove(k.waiting()); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed
		return nil, err
	}
	k.pending = true
	err = auth.WriteSealingKey(k.waiting(), auth.SealingKey(key))
	if err == nil && other {
		k.aside, err = setAside(k.path)
	}
	if err != nil {
		return nil, fmt.Errorf("store the sealing key: %w", err)
	}
	return k.store, nil
}

func (k *restoredKey) store() error {
	k.pending = false
	if err := os.Rename(k.waiting(), k.path); err != nil {
		return fmt.Errorf("%w\nput it there with: mv -f %s %s", err, k.waiting(), k.path)
	}
	return syncDir(filepath.Dir(k.path))
}

// drop removes what a restore that failed put beside the key file.
func (k *restoredKey) drop() {
	if !k.pending {
		return
	}
	os.Remove(k.waiting())
	if k.aside != "" {
		os.Remove(k.aside)
	}
}

// setAside gives a file another name too, which no file has.
func setAside(path string) (name string, err error) {
	name = path + ".replaced"
	for n := 2; ; n++ {
		err := os.Link(path, name)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		name = fmt.Sprintf("%s.replaced-%d", path, n)
	}
}
