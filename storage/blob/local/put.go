package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
	if _, err := io.Copy(&writer{s, f}, &cancellable{ctx, r}); err != nil {
		return err
	}
	if err := s.at("sync"); err != nil {
		return err
	}
	return f.Sync()
}

// writer writes to a file of the store's.
type writer struct {
	s *Store
	f *os.File
}

func (w *writer) Write(b []byte) (int, error) {
	if err := w.s.at("write"); err != nil {
		n, _ := w.f.Write(b[:len(b)/2]) // as a disk does that fills up
		return n, err
	}
	return w.f.Write(b)
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

// cancellable fails once its context is over.
type cancellable struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancellable) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
