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

	// fault, in tests, is asked before each file operation, by its name, and
	// may fail it.
	fault func(operation string) error
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
	if err := errors.Join(s.syncDir(s.objects), s.syncDir(dir), s.syncDir(filepath.Dir(dir)), s.clean()); err != nil {
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

// at lets a test fail the operation that follows.
func (s *Store) at(operation string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(operation)
}

// Delete is part of [blob.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	path := s.path(key)
	err := s.at("remove")
	if err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.syncDir(filepath.Dir(path))
	}
	return failed("delete", key, err)
}

// List is part of [blob.Store].
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		err := filepath.WalkDir(s.objects, func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			if err := errors.Join(ctx.Err(), s.at("list")); err != nil {
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

func (s *Store) syncDir(path string) error {
	if err := s.at("sync directory"); err != nil {
		return err
	}
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
