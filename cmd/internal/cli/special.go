package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
)

// IsSpecial tells whether a path leads, by a symlink too, to a device, a pipe or a socket: what content can be written into, as into
// standard output, and what no file may take the place of.
func IsSpecial(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
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
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
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
