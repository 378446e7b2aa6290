package storage

import (
	"context"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// What the PostgREST-like API lists and how it asks; see package postgres.
type (
	File       = postgres.File
	FileQuery  = postgres.FileQuery
	Filter     = postgres.Filter
	Order      = postgres.Order
	Column     = postgres.Column
	Comparison = postgres.Comparison
)

// Files lists the drive's regular files by their paths. A query that names
// an unknown column or compares with what is no value of its column is [api.Invalid].
func (d *Drive) Files(ctx context.Context, q FileQuery) (files []File, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		files, err = tx.Files(ctx, d.tree(), q)
		return err
	})
	return withTypes(files), err
}

// A FileSink takes the files of a list one by one; an error ends it. What it took before Begin does not count: a transaction
// may run more than once.
type FileSink interface {
	Begin()
	Add(File) error
}

// ReadFiles is Files for lists of any length.
func (d *Drive) ReadFiles(ctx context.Context, q FileQuery, to FileSink) error {
	return d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		to.Begin()
		return tx.EachFile(ctx, d.tree(), q, addTo(to))
	})
}

func addTo(to FileSink) func(File) error {
	return func(f File) error {
		f.ContentType = ContentType(f.FilePath)
		return to.Add(f)
	}
}

// FilesCount counts what Files would list without limit and offset.
func (d *Drive) FilesCount(ctx context.Context, q FileQuery) (n int64, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		n, err = tx.CountFiles(ctx, d.tree(), q)
		return err
	})
	return n, err
}

// ReadAllFiles lists the files of every user, for an admin; all others get
// [api.Permission]. Content stays out of his reach.
func (s *Service) ReadAllFiles(ctx context.Context, c Caller, q FileQuery, to FileSink) error {
	if !c.Admin {
		return errNoAdmin()
	}
	return s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		to.Begin()
		return tx.EachOfAllFiles(ctx, contentTypes(), q, addTo(to))
	})
}

// Accounts lists all accounts and how much they keep, for an admin; all others get [api.Permission].
func (s *Service) Accounts(ctx context.Context, c Caller) (accounts []postgres.AccountUse, err error) {
	if !c.Admin {
		return nil, errNoAdmin()
	}
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		accounts, err = tx.Accounts(ctx)
		return err
	})
	return accounts, err
}

// AllFilesCount counts what ReadAllFiles would list without limit and offset.
func (s *Service) AllFilesCount(ctx context.Context, c Caller, q FileQuery) (n int64, err error) {
	if !c.Admin {
		return 0, errNoAdmin()
	}
	err = s.db.AsReadOnly(ctx, c.User, func(ctx context.Context, tx *postgres.Tx) error {
		n, err = tx.CountAllFiles(ctx, contentTypes(), q)
		return err
	})
	return n, err
}

func errNoAdmin() error {
	return api.Errorf(api.Permission, "only an admin sees everyone's files")
}

func (d *Drive) tree() postgres.Tree {
	return postgres.Tree{Drive: d.id, Owner: d.owner, Root: d.root, ContentTypes: contentTypes()}
}

func withTypes(files []File) []File {
	for i := range files {
		files[i].ContentType = ContentType(files[i].FilePath)
	}
	return files
}

// MoveFile gives the name that a row is of another path; missing directories are made. Other names of the document stay. A taken path, be
// it by the document itself, is [api.Exists], a row that is not so any more [api.NotFound], and what is no directory on the way [api.NotDirectory].
func (d *Drive) MoveFile(ctx context.Context, f File, to []api.Name) error {
	if err := checkPath(to); err != nil {
		return err
	}
	return d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) ([]api.Mutation, error) {
		e, err := d.entryOf(ctx, tx, f)
		if err != nil {
			return nil, err
		}
		walked, err := tx.Walk(ctx, d.id, d.root, to)
		if err != nil {
			return nil, err
		}
		now := time.Now().UnixNano()
		batch, parent, err := d.missingDirs(walked, to[:len(to)-1], now)
		if err != nil {
			return nil, err
		}
		if len(walked) == len(to) {
			if parent == e.Parent && to[len(to)-1] == e.Name {
				return nil, nil // it is there
			}
			return nil, api.Errorf(api.Exists, "the path is taken")
		}
		return append(batch, api.Mutation{
			Op: api.OpRename, Node: e.Node.ID, Parent: e.Parent, Name: e.Name,
			ToParent: parent, ToName: to[len(to)-1], Time: now,
		}), nil
	})
}

// DeleteFiles removes the names that rows are of, and returns the rows of which it did; a document goes with its last name. A row that is not so any more is passed
// over. All go together or none does, up to [api.MaxBatch]; more are done in steps of so many, and the rows of those that were are returned with an error.
func (d *Drive) DeleteFiles(ctx context.Context, files ...File) (deleted []File, err error) {
	for step := range slices.Chunk(files, api.MaxBatch) {
		var gone []File
		err := d.change(ctx, nil, func(ctx context.Context, tx *postgres.Tx) (batch []api.Mutation, err error) {
			gone = nil // it may be tried again
			now := time.Now().UnixNano()
			for _, f := range step {
				e, err := d.entryOf(ctx, tx, f)
				if api.KindOf(err) == api.NotFound {
					continue
				}
				if err != nil {
					return nil, err
				}
				m := removalOf(e, now)
				m.Base = e.Node.Version
				batch, gone = append(batch, m), append(gone, f)
			}
			return batch, nil
		})
		if err != nil {
			return deleted, err
		}
		deleted = append(deleted, gone...)
	}
	return deleted, nil
}

// entryOf is the entry that a row is of, if its path still leads to the document; else [api.NotFound].
func (d *Drive) entryOf(ctx context.Context, tx *postgres.Tx, f File) (e postgres.Descendant, err error) {
	path, err := api.ParsePath(string(api.Unescape(f.FilePath)))
	if err == nil && len(path) == 0 {
		err = errNoNode()
	}
	if err == nil {
		e, err = d.entryAt(ctx, tx, path)
	}
	if err == nil && (e.Node.Type != api.File || e.Node.Document != f.ID) {
		err = api.Errorf(api.NotFound, "another file has this path by now")
	}
	return e, err
}

// MaxDescription is the longest description of a document in bytes.
const MaxDescription = 4096

// CheckDescription tells what is wrong with a description: one that is too long is [api.TooLarge].
func CheckDescription(text string) error {
	switch {
	case len(text) > MaxDescription:
		return api.Errorf(api.TooLarge, "a description has at most %d bytes", MaxDescription)
	case strings.ContainsRune(text, 0):
		return api.Errorf(api.Invalid, "a description can't have a NUL")
	}
	return nil
}

// Describe gives documents a description, all or none. A missing one is [api.NotFound].
func (d *Drive) Describe(ctx context.Context, description string, docs ...api.ID) error {
	if err := CheckDescription(description); err != nil {
		return err
	}
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.Describe(ctx, d.id, d.owner, description, docs...)
	})
}

// storedFile is a file that was just stored.
func (d *Drive) storedFile(ctx context.Context, node api.ID) (File, error) {
	var files []File
	err := d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		n, err := d.live(ctx, tx, node)
		if err != nil {
			return err
		}
		if !d.own() { // the file's path is not a guest's to know
			files = []File{{ID: n.Document, UserID: d.owner, Size: n.Size, Hash: n.SHA256, CreatedAt: time.Unix(0, n.Btime), UpdatedAt: time.Unix(0, n.Ctime)}}
			return nil
		}
		files, err = tx.Files(ctx, d.tree(), FileQuery{
			Filters: []Filter{{Column: postgres.ColumnID, Op: postgres.Eq, Values: []string{n.Document.String()}}},
			Limit:   1,
		})
		if err == nil && len(files) == 0 {
			err = errNoNode()
		}
		return err
	})
	if err != nil {
		return File{}, err
	}
	return withTypes(files)[0], nil
}
