package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// resolve makes a mount point absolute and free of symlinks. It does not
// touch the mounted file system, which may be dead.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for range 40 { // as many symlinks as the kernel follows (path_resolution(7))
		parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
		if errors.Is(err, fs.ErrNotExist) {
			return "", api.Errorf(api.NotFound, "%s does not exist", filepath.Dir(abs))
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", dir, cause(err))
		}
		abs = filepath.Join(parent, filepath.Base(abs))
		target, err := os.Readlink(abs)
		if err != nil {
			return abs, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(parent, target)
		}
		abs = target
	}
	return "", fmt.Errorf("%s: too many symlinks", dir)
}

// cause is the error below the operation and the path, which our own words
// name already.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// checkMountpoint checks that a drive can be mounted at a resolved directory. A
// dead mount there is no hindrance, and stays until [clearMountpoint]: as long as it is
// there, programs that try again fail, and do not write into the directory below it.
func checkMountpoint(dir string) error {
	kind, err := mountedType(dir)
	if err != nil {
		return err
	}
	if kind == fsType && deadSoon(dir) {
		return nil
	}
	if kind == fsType {
		return api.Errorf(busy, "%s has a drive mounted already\nunmount it with: satchel umount %s", dir, quoted(dir))
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return api.Errorf(api.NotFound, "%s does not exist\nmake it with: mkdir -p %s", dir, quoted(dir))
	case err != nil:
		return fmt.Errorf("%s cannot be used: %w", dir, cause(err))
	case !info.IsDir():
		return api.Errorf(api.NotDirectory, "%s is not a directory\nchoose an empty directory to mount at", dir)
	case kind != "":
		return api.Errorf(busy, "%s is in use as a mount point already (%s)\nchoose another directory", dir, kind)
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("%s cannot be used: %w", dir, cause(err))
	}
	defer f.Close()
	if names, _ := f.Readdirnames(1); len(names) > 0 {
		return api.Errorf(api.NotEmpty, "%s is not empty\nchoose an empty directory, or move away what is in it", dir)
	}
	return nil
}

// clearMountpoint takes a dead mount away; the next moment something is to be
// mounted there.
func clearMountpoint(dir string) error {
	kind, err := mountedType(dir)
	if err != nil || kind != fsType || !dead(dir) {
		return err
	}
	if err := detach(dir); err != nil {
		return fmt.Errorf("%s has a dead mount that cannot be taken away: %w", dir, err)
	}
	return checkMountpoint(dir)
}

// dead tells whether the daemon of a mount has ended without unmounting. It
// asks for what the kernel never answers from its cache.
func dead(dir string) bool {
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
}

// deadSoon is dead, but asks again where there is an answer: a daemon that was killed a
// moment ago may have given its last one. While it ends there are none, and asking waits.
func deadSoon(dir string) bool {
	for range 5 {
		if dead(dir) {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}
