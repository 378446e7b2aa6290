package cache

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"satchel/api"
)

// A tightFS has no room for the journal, when it is tight, for as long as the ballast takes some.
type tightFS struct {
	vfs.FS
	ballast string
	errno   syscall.Errno
	tight   atomic.Bool
	refused atomic.Int64
}

func (f *tightFS) room() error {
	if st, err := os.Stat(f.ballast); f.tight.Load() && err == nil && st.Size() > 0 {
		f.refused.Add(1)
		return &os.PathError{Op: "write", Path: "a file", Err: f.errno}
	}
	return nil
}

func (f *tightFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.room(); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return &tightFile{file, f}, err
}

func (f *tightFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(from, to, c)
	return &tightFile{file, f}, err
}

type tightFile struct {
	vfs.File
	fs *tightFS
}

func (f *tightFile) Write(b []byte) (int, error) {
	if err := f.fs.room(); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

// The journal goes on in the ballast's room when there is no other, whether it is the disk that is full or a quota.
func TestJournalHasAReserve(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		t.Run(errno.Error(), func(t *testing.T) {
			dir, server := t.TempDir(), newShelf()
			disk := &tightFS{FS: vfs.Default, ballast: filepath.Join(dir, "ballast"), errno: errno}
			open := func() *Drive {
				cfg := Config{Dir: dir, Remote: server, DeviceName: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
				cfg.seam.replica = disk
				d, err := Open(cfg)
				if err != nil {
					t.Fatal(err)
				}
				d.Start(noKernel{})
				soon(t, func() bool { return d.connected.Load() })
				return d
			}
			d := open()
			create := func(name string) error {
				a, _, err := d.Create(rootFID, name, 0o644, unix.O_WRONLY, Cred{}, nil)
				if err == nil {
					d.Release(a.FID, unix.O_WRONLY)
				}
				return err
			}
			if err := create("before"); err != nil {
				t.Fatal(err)
			}
			disk.tight.Store(true)
			soon(t, func() bool { // calls are refused while the ballast is gone, and it comes back
				err := create("while")
				if err != nil && api.KindOf(err) != api.NoSpace {
					t.Fatal(err)
				}
				return err == nil
			})
			soon(t, func() bool { return disk.refused.Load() > 0 }) // when the journal is written out
			disk.tight.Store(false)
			soon(t, func() bool { return create("after") == nil })
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			d = open()
			defer d.Close()
			for _, name := range []string{"before", "while", "after"} {
				find(t, d, name)
			}
		})
	}
}
