package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"satchel/storage/blob"
)

// Put is part of [blob.Store].
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	return failed("put", key, s.put(ctx, key, r))
}

func (s *Store) put(ctx context.Context, key string, r io.Reader) error {
	if err := s.at("create"); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.incoming, key+".*")
	if err != nil {
		return err
	}
	err = s.fill(ctx, f, r)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return s.publish(f.Name(), s.path(key))
}

func (s *Store) fill(ctx context.Context, f *os.File, r io.Reader) error {
	buf := pieces.Get().(*[piece]byte)
	defer pieces.Put(buf)
	if _, err := io.CopyBuffer(&writer{s: s, f: f}, blob.Until(ctx, r), buf[:]); err != nil {
		return err
	}
	if err := s.at("sync"); err != nil {
		return err
	}
	return f.Sync()
}

const (
	piece  = 256 << 10 // bytes written at once
	stride = 4 << 20   // bytes after which the disk is set to work
)

var pieces = sync.Pool{New: func() any { return new([piece]byte) }}

// writer writes to a file of the store's. The disk begins while more is on its
// way, so that the sync at the end waits for the last bytes only.
type writer struct {
	s             *Store
	f             *os.File
	size, started int64
}

func (w *writer) Write(b []byte) (int, error) {
	if err := w.s.at("write"); err != nil {
		n, _ := w.f.Write(b[:len(b)/2]) // as a disk does that fills up
		return n, err
	}
	n, err := w.f.Write(b)
	if w.size += int64(n); w.size-w.started >= stride {
		// Where it fails there is nothing lost but time.
		_ = unix.SyncFileRange(int(w.f.Fd()), w.started, w.size-w.started, unix.SYNC_FILE_RANGE_WRITE)
		w.started = w.size
	}
	return n, err
}

// publish gives a synced file its name, durably. It leaves nothing if it fails.
func (s *Store) publish(from, to string) error {
	err := s.rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		if err = s.makeShard(filepath.Dir(to)); err == nil {
			err = s.rename(from, to)
		}
	}
	if err != nil {
		os.Remove(from)
		return err
	}
	if err := s.syncDir(filepath.Dir(to)); err != nil {
		os.Remove(to)
		return err
	}
	return nil
}

func (s *Store) rename(from, to string) error {
	if err := s.at("rename"); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// makeShard makes a directory for keys that don't end as UUIDs do.
func (s *Store) makeShard(path string) error {
	if err := s.at("mkdir"); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.syncDir(s.objects)
}
