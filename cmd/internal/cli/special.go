package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// IsSpecial tells whether a path leads, by a symlink too, to a device, a pipe, a socket or what a process has open, as /dev/stdout does
// even if that is a file: what content can be written into, and what no file may take the place of.
func IsSpecial(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return false
	}
	_, open := descriptor(path)
	return open || !info.Mode().IsRegular()
}

// descriptor tells whether a path leads to what a process has open; number is that of a descriptor of this process, or -1.
func descriptor(path string) (number int, open bool) {
	for range 40 { // as many links as the kernel follows
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return 0, false
		}
		n, err := strconv.Atoi(filepath.Base(path))
		if proc := strings.HasPrefix(dir, "/proc/") && filepath.Base(dir) == "fd"; err == nil && (proc || dir == "/dev/fd") {
			if own := fmt.Sprintf("/proc/%d/", os.Getpid()); proc && !strings.HasPrefix(dir, own) {
				n = -1
			}
			return n, true
		}
		target, err := os.Readlink(path)
		if err != nil {
			return 0, false
		}
		if path = target; !filepath.IsAbs(path) {
			path = filepath.Join(dir, target)
		}
	}
	return 0, false
}

// WriteSpecial has write fill such a path. A pipe that nobody reads yet is waited for until ctx ends.
func WriteSpecial(ctx context.Context, path string, write func(io.Writer) error) error {
	f, err := openSpecial(ctx, path)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) { // pipes and terminals keep nothing
			err = nil
		}
	}
	return errors.Join(err, f.Close())
}

func openSpecial(ctx context.Context, path string) (*os.File, error) {
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := openForWriting(path)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		go func() { // should a reader come yet
			if o := <-done; o.err == nil {
				o.f.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// openForWriting opens a special path. What this process has open itself goes on where it is, at the end of a log for example.
func openForWriting(path string) (*os.File, error) {
	n, open := descriptor(path)
	if !open || n < 0 {
		return os.OpenFile(path, os.O_WRONLY, 0)
	}
	own, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(own), path), nil
}
