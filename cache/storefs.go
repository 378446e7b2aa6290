package cache

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"satchel/api"
)

// storeFS is the file system under Pebble. It makes Sync of the write-ahead log a
// no-op (the data is written to the file, not forced to the disk) unless the
// store says hard, and it survives a full disk, or a quota: a write that finds no room left
// gives up the ballast and goes on, because Pebble ends the process otherwise.
type storeFS struct {
	vfs.FS
	s *store
}

// full tells whether the disk has no room, or the user's quota on it has none: the ballast counts as his too.
func full(err error) bool { return err != nil && kindOf(err) == api.NoSpace }

func (f storeFS) wrap(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &storeFile{File: file, s: f.s, log: strings.HasSuffix(name, ".log")}, nil
}

func (f storeFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") {
		f.s.beforeTable()
	}
	before := f.s.space.times.Load()
	file, err := f.FS.Create(name, c)
	if full(err) && f.s.space.gave(before) {
		file, err = f.FS.Create(name, c)
	}
	return f.wrap(name, file, err)
}

func (f storeFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, c)
	return f.wrap(newname, file, err)
}

type storeFile struct {
	vfs.File
	s   *store
	log bool
}

func (f *storeFile) Write(p []byte) (n int, err error) {
	for {
		var k int
		before := f.s.space.times.Load()
		k, err = f.File.Write(p[n:])
		n += k
		if !full(err) || !f.s.space.gave(before) {
			return n, err
		}
	}
}

func (f *storeFile) soft() bool { return f.log && f.s.hard.Load() == 0 }

func (f *storeFile) Sync() error {
	if f.log {
		return f.SyncData()
	}
	return f.File.Sync()
}

func (f *storeFile) SyncData() error {
	if f.soft() {
		return nil
	}
	return f.File.SyncData()
}

func (f *storeFile) SyncTo(length int64) (bool, error) {
	if f.soft() {
		return false, nil
	}
	return f.File.SyncTo(length)
}

// Close syncs a log, so that a later log is never durable before an earlier one.
func (f *storeFile) Close() error {
	if f.log {
		if err := f.File.SyncData(); err != nil {
			f.File.Close()
			return err
		}
	}
	return f.File.Close()
}
