package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"satchel/api"
)

const (
	exclusive = syscall.LOCK_EX
	shared    = syscall.LOCK_SH
)

// lock opens and locks a file, or returns errBusy at once. Closing the file
// releases the lock, and so does any death of the process; children do not
// inherit it.
func lock(path string, how int) (*os.File, error) {
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	if err := flock(f, how); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return nil, denied(filepath.Dir(path), err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	return f, giveToOwner(f)
}

func flock(f *os.File, how int) error {
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

// giveToOwner makes a file that root wrote belong to its directory's owner, so
// that root's commands do not lock an ordinary user out of his own database.
func giveToOwner(f *os.File) error {
	if os.Getuid() != 0 {
		return nil
	}
	dir, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	st := dir.Sys().(*syscall.Stat_t)
	return f.Chown(int(st.Uid), int(st.Gid))
}

// makeDir makes the database's directory. Others may pass through it (the
// user postgres must), but not list it.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o711)
	switch {
	case err == nil:
		// The umask may have taken the x that the user postgres needs.
		return os.Chmod(dir, 0o711)
	case errors.Is(err, fs.ErrPermission):
		return denied(filepath.Dir(dir), err)
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("make the database directory: %w", err)
	}
	st, err := os.Stat(dir)
	if errors.Is(err, fs.ErrPermission) {
		return denied(dir, err)
	}
	if err == nil && !st.IsDir() {
		return api.Errorf(api.Invalid, "%s is not a directory", dir)
	}
	return err
}

// denied says whose a directory is that we may not use.
func denied(dir string, cause error) error {
	owner := "another user"
	if st, err := os.Stat(dir); err == nil {
		owner = "the user " + userName(st.Sys().(*syscall.Stat_t).Uid)
	}
	return api.Errorf(api.Permission, "%s belongs to %s: run this as that user or as root, or choose another --data (%w)", dir, owner, cause)
}
