package fusefs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/fusefs"
	"satchel/integration/require"
)

// capability is the attribute by which a program gets capabilities (capabilities(7)), and a value: cap_net_raw, permitted and effective.
const capability = "security.capability"

var netRaw = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// What a file was allowed to do it is not after it was written, cut or given to somebody else, whoever did that: as on a local file system, with
// and without passthrough.
func TestCapabilitiesDoNotOutliveAChange(t *testing.T) {
	require.Root(t)
	open := func(flags int, then func(f *os.File) error) func(string) error {
		return func(path string) error {
			f, err := os.OpenFile(path, flags, 0)
			if err != nil {
				return err
			}
			return errors.Join(then(f), f.Close())
		}
	}
	changes := map[string]struct {
		change func(path string) error
		stays  bool
	}{
		"write":     {open(os.O_WRONLY, func(f *os.File) error { _, err := f.Write([]byte("x")); return err }), false},
		"truncate":  {func(path string) error { return os.Truncate(path, 1) }, false},
		"ftruncate": {open(os.O_RDWR, func(f *os.File) error { return f.Truncate(1) }), false},
		"O_TRUNC":   {open(os.O_WRONLY|os.O_TRUNC, func(*os.File) error { return nil }), false},
		"chown":     {func(path string) error { return os.Chown(path, 1, -1) }, false},
		"chgrp":     {func(path string) error { return os.Chown(path, -1, 1) }, false},
		"fallocate": {open(os.O_RDWR, func(f *os.File) error { return unix.Fallocate(int(f.Fd()), 0, 0, 8192) }), false},
		"chmod":     {func(path string) error { return os.Chmod(path, 0o700) }, true},
		"utimes":    {func(path string) error { return os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 0)) }, true},
		"read":      {func(path string) error { _, err := os.ReadFile(path); return err }, true},
	}
	dirs := map[string]string{"local": t.TempDir()}
	for name, passes := range map[string]bool{"passthrough": true, "requests": false} {
		remote := &noServer{api.DriveInfo{ID: api.NewID(), Root: api.NewID(), Epoch: api.NewID(), Seq: 1}}
		dirs[name], _ = mountAlone(t, t.TempDir(), remote, fusefs.Options{NoPassthrough: !passes})
	}
	for where, dir := range dirs {
		for name, c := range changes {
			t.Run(fmt.Sprint(where, " ", name), func(t *testing.T) {
				path := filepath.Join(dir, name)
				must(t, os.WriteFile(path, []byte("a program"), 0o755))
				must(t, unix.Setxattr(path, capability, netRaw, 0))
				must(t, c.change(path))
				_, err := unix.Getxattr(path, capability, nil)
				if stays := err == nil; stays != c.stays || err != nil && err != syscall.ENODATA {
					t.Errorf("it has it still: %v, %v", stays, err)
				}
			})
		}
	}
}
