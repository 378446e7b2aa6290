// Package local keeps blobs as files under one directory:
//
//	objects/XX/KEY   XX is the end of KEY
//	incoming/        objects that are not whole yet
//
// An object is synced, renamed into place, and its directory synced, before
// Put returns, so whatever has a name is whole.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"satchel/api"
	"satchel/storage/blob"
)

// Store is a [blob.Store] in a directory.
type Store struct {
	objects, incoming string
}

var _ blob.Store = (*Store)(nil)

// abandoned is the age from which an incoming file belongs to no running Put.
const abandoned = 24 * time.Hour

// Open uses a directory, which is made if it is missing (its parent must
// exist), and removes what broken transfers left there.
func Open(dir string) (*Store, error) {
	s := &Store{objects: filepath.Join(dir, "objects"), incoming: filepath.Join(dir, "incoming")}
	dirs := []string{dir, s.objects, s.incoming}
	for i := range 256 { // where UUIDs go; made and synced once, not within a Put
		dirs = append(dirs, filepath.Join(s.objects, fmt.Sprintf("%02x", i)))
	}
	for _, d := range dirs {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("open the blob store: %w", err)
		}
	}
	if err := errors.Join(syncDir(s.objects), syncDir(dir), syncDir(filepath.Dir(dir)), s.clean()); err != nil {
		return nil, fmt.Errorf("open the blob store: %w", err)
	}
	return s, nil
}

func (s *Store) clean() error {
	files, err := os.ReadDir(s.incoming)
	if err != nil {
		return err
	}
	for _, f := range files {
		info, err := f.Info()
		if err == nil && time.Since(info.ModTime()) > abandoned {
			err = os.Remove(filepath.Join(s.incoming, f.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process cleans too
			return err
		}
	}
	return nil
}

func (s *Store) path(key string) string {
	return filepath.Join(s.objects, key[len(key)-2:], key)
}

// Put is part of [blob.Store].
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.incoming, key+".*")
	if err != nil {
		return failed("put", key, err)
	}
	err = s.fill(ctx, f, r)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = s.publish(f.Name(), s.path(key))
	}
	if err != nil {
		os.Remove(f.Name())
		return failed("put", key, err)
	}
	return nil
}

func (s *Store) fill(ctx context.Context, f *os.File, r io.Reader) error {
	if _, err := io.Copy(f, &cancellable{ctx, r}); err != nil {
		return err
	}
	return f.Sync()
}

// publish gives a synced file its name, durably.
func (s *Store) publish(from, to string) error {
	shard := filepath.Dir(to)
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.Mkdir(shard, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := syncDir(s.objects); err != nil {
			return err
		}
		err = os.Rename(from, to)
	}
	if err != nil {
		return err
	}
	return syncDir(shard)
}

// Get is part of [blob.Store].
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(key))
	if err != nil {
		return nil, failed("get", key, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, failed("get", key, err)
	}
	if off < 0 || off > info.Size() {
		f.Close()
		return nil, api.Errorf(api.NotFound, "the blob %s has no offset %d", key, off)
	}
	if n < 0 || n > info.Size()-off {
		n = info.Size() - off
	}
	return &object{cancellable{ctx, io.NewSectionReader(f, off, n)}, f}, nil
}

type object struct {
	cancellable
	io.Closer
}

// Delete is part of [blob.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	path := s.path(key)
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return failed("delete", key, err)
	}
	return failed("delete", key, syncDir(filepath.Dir(path)))
}

// List is part of [blob.Store].
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		err := filepath.WalkDir(s.objects, func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
				return nil
			}
			if err != nil {
				return err
			}
			if !yield(blob.Info{Key: e.Name(), Size: info.Size(), Modified: info.ModTime()}, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && err != errStop {
			yield(blob.Info{}, fmt.Errorf("list blobs: %w", err))
		}
	}
}

var errStop = errors.New("the caller has seen enough")

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

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// failed says what was being done and gives an error its kind.
func failed(what, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return api.Errorf(api.NotFound, "%s blob %s: %w", what, key, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return api.Errorf(api.NoSpace, "%s blob %s: %w", what, key, err)
	}
	return fmt.Errorf("%s blob %s: %w", what, key, err)
}
