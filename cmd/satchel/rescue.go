package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"satchel/api"
)

// rescue keeps what a shared folder's owner does not let the user store: in the
// Recovered folder of his own drive, which gets a number where something else has the name.
func (b *boundFolders) rescue(name string, content io.Reader) (as string, err error) {
	if kind, err := mountedType(b.mountpoint); err != nil || kind != fsType {
		return "", api.Errorf(api.Unavailable, "the drive is not mounted any more") // the next mount hears of it again
	}
	dir, err := recoveredFolder(b.mountpoint)
	if err != nil {
		return "", err
	}
	name = oneName(name)
	for i := 1; ; i++ {
		as := filepath.Join(dir, name)
		if i > 1 {
			as = filepath.Join(dir, fmt.Sprintf("%d %.200s", i, name))
		}
		f, err := os.OpenFile(filepath.Join(b.mountpoint, as), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = io.Copy(f, content)
		return as, errors.Join(err, f.Sync(), f.Close())
	}
}

// recoveredFolder finds or makes the Recovered folder in a drive, and returns its name.
func recoveredFolder(drive string) (name string, err error) {
	name = "Recovered"
	for i := 2; ; i++ {
		path := filepath.Join(drive, name)
		if err := os.Mkdir(path, 0o700); !errors.Is(err, os.ErrExist) {
			return name, err
		}
		if is, err := os.Lstat(path); err != nil || is.IsDir() {
			return name, err
		}
		name = fmt.Sprintf("Recovered %d", i)
	}
}
