package postgres

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Tree is the drive whose files are listed.
type Tree struct {
	Drive, Owner, Root api.ID
	ContentTypes       ContentTypes
}

// ContentTypes says which media type an extension, in lower case and without
// the dot, stands for.
type ContentTypes struct {
	Extensions, Names []string // in pairs
	Unknown           string   // of all other names
}

// Files lists the files of a drive; their content type is left to the caller.
func (tx *Tx) Files(ctx context.Context, t Tree, q FileQuery) (files []File, err error) {
	err = tx.EachFile(ctx, t, q, func(f File) error {
		files = append(files, f)
		return nil
	})
	return files, err
}

// EachFile is Files with a call for each file, which may end it.
func (tx *Tx) EachFile(ctx context.Context, t Tree, q FileQuery, do func(File) error) error {
	s := fileStatement(t.ContentTypes)
	empty, err := tx.driveSource(ctx, &s, t, q)
	if err != nil || empty {
		return err
	}
	return tx.eachFile(ctx, &s, q, do)
}

// CountFiles counts what Files would list without limit and offset.
func (tx *Tx) CountFiles(ctx context.Context, t Tree, q FileQuery) (int64, error) {
	s := fileStatement(t.ContentTypes)
	empty, err := tx.driveSource(ctx, &s, t, q)
	if err != nil || empty {
		return 0, err
	}
	return tx.countFiles(ctx, &s, q)
}

// EachOfAllFiles calls do, which may end it, with each file of all users if the transaction's user is an admin,
// and else with none.
func (tx *Tx) EachOfAllFiles(ctx context.Context, types ContentTypes, q FileQuery, do func(File) error) error {
	return tx.eachFile(ctx, allSource(types), q, do)
}

// CountAllFiles counts what EachOfAllFiles would list without limit and offset.
func (tx *Tx) CountAllFiles(ctx context.Context, types ContentTypes, q FileQuery) (int64, error) {
	return tx.countFiles(ctx, allSource(types), q)
}

func allSource(types ContentTypes) *statement {
	s := fileStatement(types)
	s.source = "satchel.all_files()"
	return &s
}

func (tx *Tx) eachFile(ctx context.Context, s *statement, q FileQuery, do func(File) error) error {
	query, err := s.list(q)
	if err != nil {
		return err
	}
	rows, _ := tx.conn.Query(ctx, query, s.args...)
	var f File
	var created int64
	_, err = pgx.ForEachRow(rows, []any{&f.ID, &f.UserID, &f.FilePath, &f.Description, &f.Size, &f.Hash, &created, &f.UpdatedAt}, func() error {
		f.CreatedAt = time.Unix(0, created)
		return do(f)
	})
	return err
}

func (tx *Tx) countFiles(ctx context.Context, s *statement, q FileQuery) (n int64, err error) {
	query, err := s.count(q)
	if err != nil {
		return 0, err
	}
	err = tx.conn.QueryRow(ctx, query, s.args...).Scan(&n)
	return n, err
}

// driveSource gives the statement the rows of a drive that a query can be
// about: those of the documents that it names, or those below the directory
// that its path begins with, or all. Empty tells that there can be none.
func (tx *Tx) driveSource(ctx context.Context, s *statement, t Tree, q FileQuery) (empty bool, err error) {
	s.arg(t.Drive) // $1
	s.arg(t.Owner) // $2
	if ids, ok, err := q.documents(); err != nil {
		return false, err
	} else if ok {
		s.documents(s.arg(ids), s.arg(t.Root))
		return false, nil
	}
	prefix := q.prefix()
	if _, err := parseText(prefix); err != nil {
		return false, err
	}
	names := strings.Split(prefix, "/")
	names = names[:len(names)-1] // what follows the last slash
	path := make([]api.Name, len(names))
	for i, n := range names {
		path[i] = api.Unescape(n)
	}
	dirs, err := tx.Walk(ctx, t.Drive, t.Root, path)
	if err != nil {
		return false, err
	}
	if len(dirs) < len(path) {
		return true, nil
	}
	top := t.Root
	if len(dirs) > 0 {
		top = dirs[len(dirs)-1].ID
	}
	s.below(s.arg(top), s.arg(prefix[:strings.LastIndexByte(prefix, '/')+1]), q.exact())
	return false, nil
}

// Describe sets the description of documents, all or none. One that no live node has is [api.NotFound].
func (tx *Tx) Describe(ctx context.Context, drive, owner api.ID, description string, docs ...api.ID) error {
	docs = slices.Clone(docs)
	slices.SortFunc(docs, func(a, b api.ID) int { return bytes.Compare(a[:], b[:]) })
	docs = slices.Compact(docs) // a document has a row for each of its names
	tag, err := tx.conn.Exec(ctx, `
		INSERT INTO documents (drive, owner, id, description)
		SELECT $1, $2, n.document, $4
		FROM unnest($3::uuid[]) o (document)
		CROSS JOIN LATERAL (SELECT document FROM nodes WHERE drive = $1 AND document = o.document AND nlink > 0 OFFSET 0) n
		ORDER BY o.document -- two who describe the same wait for each other, and do not meet
		ON CONFLICT (drive, id) DO UPDATE SET description = excluded.description`,
		drive, owner, nonNil(docs), strings.ToValidUTF8(description, "\ufffd"))
	if err == nil && tag.RowsAffected() != int64(len(docs)) {
		err = api.Errorf(api.NotFound, "there is no such file")
	}
	return err
}
