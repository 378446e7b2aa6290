package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fsType is how our mounts show in /proc/self/mountinfo.
const fsType = "fuse.satchel"

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
			return "", fmt.Errorf("%s does not exist", filepath.Dir(abs))
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
		return fmt.Errorf("%s has a drive mounted already\nunmount it with: satchel umount %[1]s", dir)
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist\nmake it with: mkdir -p %[1]s", dir)
	case err != nil:
		return fmt.Errorf("%s cannot be used: %w", dir, cause(err))
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory\nchoose an empty directory to mount at", dir)
	case kind != "":
		return fmt.Errorf("%s is in use as a mount point already (%s)\nchoose another directory", dir, kind)
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("%s cannot be used: %w", dir, cause(err))
	}
	defer f.Close()
	if names, _ := f.Readdirnames(1); len(names) > 0 {
		return fmt.Errorf("%s is not empty\nchoose an empty directory, or move away what is in it", dir)
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

// mountedType is the type of the file system that is mounted at exactly this
// directory, the topmost one; "" when none is.
func mountedType(dir string) (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	kind := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 36 35 98:0 /root /mount\040point options [optional…] - type source options (proc(5))
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if len(fields) >= 5 && unescapeOctal(fields[4]) == dir {
			kind, _, _ = strings.Cut(after, " ")
		}
	}
	return kind, nil
}

func unescapeOctal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// detach unmounts at once and lazily: programs that have files open there keep
// them, and everybody else sees the directory below.
func detach(dir string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(dir, unix.MNT_DETACH)
	}
	return fusermount("-u", "-z", "--", dir)
}

// unmount unmounts and fails when the mount is in use.
func unmount(dir string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(dir, 0)
	}
	return fusermount("-u", "--", dir)
}

func fusermount(args ...string) error {
	out, err := exec.Command("fusermount3", args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("fusermount3 is not installed: install the package fuse3")
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(strings.TrimSpace(string(out)), "fusermount3: "))
	}
	return nil
}

// checkFUSE tells what keeps this user from mounting anything.
func checkFUSE(allowOther bool) error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no /dev/fuse\nload the kernel's module with: sudo modprobe fuse")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("no permission to open /dev/fuse\nmend it with: sudo chmod 0666 /dev/fuse")
	case err != nil:
		return fmt.Errorf("/dev/fuse cannot be opened: %w", cause(err))
	}
	f.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return errors.New("fusermount3 is not installed\ninstall it with: sudo apt install fuse3")
	}
	if allowOther && !userAllowOther() {
		return errors.New("--allow-other is for root, unless /etc/fuse.conf has a line user_allow_other")
	}
	return nil
}

func userAllowOther() bool {
	b, _ := os.ReadFile("/etc/fuse.conf")
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}
