package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"satchel/storage/blob"
	"satchel/storage/blob/s3"
)

// place is where a backup is: a file, or a blob store.
type place struct {
	path string
	open openBlobs // nil for a file
}

// place understands what a backup's place was called. The store that content
// is kept in is none.
func (p *program) place(name string) (place, error) {
	if err := p.check(); err != nil {
		return place{}, err
	}
	switch kind, _, _ := strings.Cut(name, ":"); {
	case kind == "postgres":
		return place{}, usageError{"a backup in the database itself is none: give a file, file:DIR or s3://…"}
	case kind != "file" && kind != "s3":
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return place{}, usageError{fmt.Sprintf("%s is a directory: give a file in it, or file:%[1]s for a store of backups", name)}
		}
		return place{path: name}, nil
	}
	in := p.installation
	in.Blobs = name
	open, err := in.blobStore()
	if err == nil && in.sameStore(p.installation) {
		err = usageError{"content is kept there: a backup must be elsewhere"}
	}
	return place{path: name, open: open}, err
}

// sameStore tells whether two installations keep content in one place, however
// it is written.
func (in installation) sameStore(other installation) bool {
	if in.Blobs != "" && in.Blobs == other.Blobs {
		return true
	}
	dir, isDir := in.blobsDir()
	otherDir, otherIsDir := other.blobsDir()
	if isDir && otherIsDir {
		return sameDir(dir, otherDir)
	}
	at, err := s3.Parse(in.Blobs)
	otherAt, otherErr := s3.Parse(other.Blobs)
	return err == nil && otherErr == nil && at.Same(otherAt)
}

// sameDir tells whether two paths are of one directory.
func sameDir(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(infoA, infoB)
	}
	a, errA = filepath.Abs(a)
	b, errB = filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// openPlace opens a store of backups.
func (p *program) openPlace(ctx context.Context, at place) (blob.Store, func(), error) {
	return at.open(ctx, nil, p.log) // only postgres: needs the database
}
