package rig

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// OpenFuse lets ordinary users open /dev/fuse, which on some bare machines only root may, until done is called and nobody
// else here needs it: several packages' tests run at a time.
func OpenFuse() (done func() error, err error) {
	f, err := os.Open("/dev/fuse")
	if err != nil {
		return nil, err
	}
	done = f.Close
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	mode := info.Mode().Perm()
	if mode&0o006 == 0o006 {
		return done, nil
	}
	done = func() error {
		var err error
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil { // else it stays so for the others
			err = f.Chmod(mode)
		}
		return errors.Join(err, f.Close())
	}
	return done, f.Chmod(0o666)
}
