package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// Remove removes what a cache has in a directory, and the directory if nothing else is in it. What the server lacks is lost: whoever
// calls it has asked. The error is of kind Exists when a mount uses the cache.
func Remove(dir string) error {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) { // it is half gone already
		lock, err = nil, nil
	}
	if err != nil {
		return err
	}
	if lock != nil {
		defer lock.Close()
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return api.Errorf(api.Exists, "the cache %s is in use by another satchel: is the drive mounted?", dir)
		}
	}
	weighed, err := filepath.Glob(filepath.Join(dir, "weigh-*"))
	if err != nil {
		return err
	}
	for i := range weighed {
		weighed[i] = filepath.Base(weighed[i])
	}
	// Names before content: a removal that was broken off leaves no replica whose content is missing.
	for _, name := range append([]string{replicaDir, newDir, oldDir, "replica.damaged", "damaged", "content", driveFile, formatFile, "ballast", "lock"}, weighed...) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(dir); !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
