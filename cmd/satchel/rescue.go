package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// rescue keeps what a shared folder's owner does not let the user store: in the
// Recovered folder of his own drive, which gets a number where something else has the name.
func (b *boundFolders) rescue(name string, content io.Reader) (as string, err error) {
	if kind, err := mountedType(b.mountpoint); err != nil || kind != fsType {
		return "", api.Errorf(api.Unavailable, "the drive is not mounted any more") // the next mount hears of it again
	}
	b.rescuing.Lock()
	defer b.rescuing.Unlock()
	dir, err := recoveredFolder(b.mountpoint)
	if err != nil {
		return "", err
	}
	if as, err = keep(filepath.Join(b.mountpoint, dir), b.base.Device, api.Name(oneName(name)), content); err != nil {
		return "", err
	}
	return filepath.Join(dir, as), nil
}

// unfinished begins the name of what has not all come yet to a device. One that is left by a daemon that was killed is overwritten by the next:
// what it has is still where it came from.
const unfinished = ".unfinished-"

// keep makes a file in a directory, whole or not at all, and returns its name, which gets a number where something else has it, once both are
// durable: then what it came from may go. One call at a time on a device.
func keep(dir string, device api.ID, name api.Name, content io.Reader) (as string, err error) {
	part := filepath.Join(dir, unfinished+device.String())
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, content)
	err = errors.Join(err, f.Sync(), f.Close())
	for i := 1; err == nil; i++ {
		as = string(name.Numbered(i))
		if err = renameNew(part, filepath.Join(dir, as)); err == nil {
			return as, syncDir(dir)
		}
		if errors.Is(err, os.ErrExist) {
			err = nil
		}
	}
	os.Remove(part) // the room may be needed
	return "", err
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
