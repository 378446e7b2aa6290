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

// storeKey writes a restored sealing key beside the key file, and returns what
// makes it the installation's. One that is there already and differs gets another
// name then, if replace says so.
func (p *program) storeKey(key []byte, replace bool) (store func() error, err error) {
	if len(key) != len(auth.SealingKey{}) {
		return nil, api.Errorf(api.Invalid, "the sealing key in the backup is damaged")
	}
	path := p.keyPath()
	there, err := auth.ReadSealingKey(path)
	switch {
	case err == nil && there == auth.SealingKey(key):
		return func() error { return nil }, nil
	case err == nil && !replace:
		return nil, api.Errorf(api.Exists, "the key file %s holds another key than the backup: move it away, or give --replace", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	other := err == nil
	if err := p.dropKey(); err != nil {
		return nil, err
	}
	if err := auth.WriteSealingKey(p.restoredKey(), auth.SealingKey(key)); err != nil {
		return nil, fmt.Errorf("store the sealing key: %w", err)
	}
	return func() error {
		if other {
			if err := setAside(path); err != nil {
				return err
			}
		}
		if err := os.Rename(p.restoredKey(), path); err != nil {
			return err
		}
		return syncDir(filepath.Dir(path))
	}, nil
}

// restoredKey is where the key of a backup waits until all else is restored.
func (in *installation) restoredKey() string { return in.keyPath() + ".restored" }

// dropKey removes a key that a restore which failed left there.
func (in *installation) dropKey() error {
	if err := os.Remove(in.restoredKey()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// setAside gives a file another name too, which no file has.
func setAside(path string) error {
	name := path + ".replaced"
	for n := 2; ; n++ {
		if err := os.Link(path, name); !errors.Is(err, fs.ErrExist) {
			return err
		}
		name = fmt.Sprintf("%s.replaced-%d", path, n)
	}
}
