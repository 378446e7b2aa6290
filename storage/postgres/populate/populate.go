// Package populate makes drives of millions of files within a minute or two,
// for benchmarks and for the plans of queries. It goes behind the service's
// back: rows are copied in as the database's superuser, foreign keys
// unchecked. They are those that as many commits, and the search for words
// after them, would have made; the content is stored where Shape says, or
// nowhere.
package populate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/api/chunk"
)

// Shape is how a drive shall be.
type Shape struct {
	Nodes int  // in all; less than Wide + 2 counts as that
	Wide  int  // of them, files in one directory; at least 1
	Fresh bool // the planner's statistics are not renewed: they do not know the drive yet

	// Store, if not nil, is given each pack under its id before there are rows
	// of it. The words of all files can be searched then: see [Words].
	Store func(ctx context.Context, id api.ID, pack []byte) error
}

// Made is a drive that was made.
type Made struct {
	Top   api.ID     // the directory "top", a tree of branching subdirectories
	Wide  api.ID     // the directory "wide", which has files only
	Deep  []api.Name // the path of a file at the tree's bottom; none when all files are in "wide"
	Nodes int        // without the drive's root
	Files int
	Bytes int64
}

// The tree below "top": every directory has perDir files, and at most
// branching subdirectories.
const (
	branching = 20
	perDir    = 96
)

// fileSize is the size of every file, each of one chunk of its own.
const fileSize = 200

// perPack is how many of these chunks one pack holds.
const perPack = 2000

// perGroup is in how many files one of the words of [Words] is.
const perGroup = 1000

// Words are in the content of the file that was made as the nth: the first in
// every file, the second in a thousand, the third in this one.
func Words(nth int) (all, thousand, one string) {
	return "letter", fmt.Sprintf("group%d", nth/perGroup), fmt.Sprintf("number%d", nth)
}

// content is that of the nth file, and its hash.
func content(nth int) ([]byte, api.Hash) {
	all, thousand, one := Words(nth)
	b := fmt.Appendf(make([]byte, 0, fileSize), "%s %s %s ", all, thousand, one)
	for len(b) < fileSize {
		b = append(b, '.')
	}
	return b, sha256.Sum256(b)
}

type dir struct {
	id     api.ID
	parent int // index; -1: the root
	name   string
	files  int
	subs   int
}

type file struct {
	id, version, document api.ID
	hash                  api.Hash
	dir                   int
	name                  string
}

// Drive fills a drive that has nothing but its root. AdminURL is the
// superuser's.
func Drive(ctx context.Context, adminURL string, drive api.ID, s Shape) (made Made, err error) {
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return made, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// VACUUM marks only what is on disk as visible to all.
	if _, err := conn.Exec(ctx, `SET synchronous_commit = on`); err != nil {
		return made, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return made, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	w := writer{ctx: ctx, tx: tx, drive: drive, store: s.Store}
	w.plan(s)
	if err := w.write(); err != nil {
		return made, fmt.Errorf("fill a drive: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return made, err
	}
	if s.Fresh {
		return w.made(), nil
	}
	_, err = conn.Exec(ctx, `VACUUM ANALYZE satchel.drives, satchel.nodes, satchel.dirs, satchel.entries, satchel.versions, satchel.changes, satchel.packs, satchel.chunks, satchel.texts`)
	return w.made(), err
}

// writer copies the rows of one drive.
type writer struct {
	ctx         context.Context
	tx          pgx.Tx
	drive       api.ID
	owner, root api.ID
	store       func(context.Context, api.ID, []byte) error

	dirs  []dir // the first is "top", the second "wide"
	files []file
	packs []api.ID
}

func (w *writer) plan(s Shape) {
	w.dirs = []dir{{id: api.NewID(), parent: -1, name: "top"}, {id: api.NewID(), parent: -1, name: "wide", files: s.Wide}}
	for i := range s.Wide {
		w.addFile(1, fmt.Sprintf("file-%07d.txt", i))
	}
	tree := []int{0} // the directories of the tree, each before those in it
	for left := s.Nodes - s.Wide - 2; left > 0; {
		if at := len(tree) - 1; w.dirs[tree[at]].files < perDir {
			w.dirs[tree[at]].files++
			w.addFile(tree[at], fmt.Sprintf("file-%02d.txt", w.dirs[tree[at]].files))
		} else {
			parent := tree[at/branching]
			w.dirs[parent].subs++
			tree = append(tree, len(w.dirs))
			w.dirs = append(w.dirs, dir{id: api.NewID(), parent: parent, name: fmt.Sprintf("dir-%02d", w.dirs[parent].subs)})
		}
		left--
	}
	for range (len(w.files) + perPack - 1) / perPack {
		w.packs = append(w.packs, api.NewID())
	}
}

func (w *writer) addFile(dir int, name string) {
	f := file{id: api.NewID(), version: api.NewID(), document: api.NewID(), dir: dir, name: name}
	_, f.hash = content(len(w.files))
	w.files = append(w.files, f)
}

func (w *writer) made() Made {
	m := Made{Top: w.dirs[0].id, Wide: w.dirs[1].id, Nodes: len(w.dirs) + len(w.files), Files: len(w.files), Bytes: int64(len(w.files)) * fileSize}
	if last := w.files[len(w.files)-1]; last.dir != 1 {
		m.Deep = []api.Name{api.Name(last.name)}
		for d := last.dir; d >= 0; d = w.dirs[d].parent {
			m.Deep = append([]api.Name{api.Name(w.dirs[d].name)}, m.Deep...)
		}
	}
	return m
}

func (w *writer) parent(i int) api.ID {
	if i < 0 {
		return w.root
	}
	return w.dirs[i].id
}

func (w *writer) write() error {
	// The superuser is bound by no policy; replica switches the triggers of foreign keys off.
	if _, err := w.tx.Exec(w.ctx, `SET LOCAL session_replication_role = replica`); err != nil {
		return err
	}
	var empty bool
	err := w.tx.QueryRow(w.ctx, `
		SELECT d.owner, d.root, d.seq = 0 AND NOT EXISTS (SELECT FROM satchel.entries e WHERE e.drive = d.id)
		FROM satchel.drives d WHERE d.id = $1 FOR UPDATE`, w.drive).Scan(&w.owner, &w.root, &empty)
	if err == nil && !empty {
		err = api.Errorf(api.NotEmpty, "the drive is not empty")
	}
	if err != nil {
		return err
	}
	for _, fill := range []func() error{w.nodes, w.directories, w.entries, w.versions, w.changes, w.chunks, w.texts} {
		if err := fill(); err != nil {
			return err
		}
	}
	m := w.made()
	_, err = w.tx.Exec(w.ctx, `UPDATE satchel.drives SET seq = $2, files = $3, bytes = $4, stored = $4 WHERE id = $1`,
		w.drive, m.Nodes, m.Files, m.Bytes)
	if err == nil {
		_, err = w.tx.Exec(w.ctx, `UPDATE satchel.nodes SET nlink = 4 WHERE drive = $1 AND id = $2`, w.drive, w.root)
	}
	return err
}

// copy fills a table with n rows.
func (w *writer) copy(table string, columns []string, n int, row func(i int) []any) error {
	count, err := w.tx.CopyFrom(w.ctx, pgx.Identifier{"satchel", table}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) {
		return row(i), nil
	}))
	if err == nil && count != int64(n) {
		err = fmt.Errorf("%d of %d rows of %s were written", count, n, table)
	}
	return err
}

// id is in the form that pgx writes as a uuid without knowing package api.
func id(i api.ID) [16]byte { return i }

func (w *writer) nodes() error {
	now := time.Now().UnixNano()
	columns := []string{"drive", "owner", "id", "type", "size", "mtime", "ctime", "btime", "created", "rev", "uid", "gid", "mode", "nlink", "version", "document"}
	return w.copy("nodes", columns, len(w.dirs)+len(w.files), func(i int) []any {
		if i < len(w.dirs) {
			d := w.dirs[i]
			return []any{id(w.drive), id(w.owner), id(d.id), byte('d'), int64(0), now, now, now, int64(0), int64(i + 1),
				api.Self, api.Self, int32(0o755), int32(2 + d.subs), nil, nil}
		}
		f := w.files[i-len(w.dirs)]
		return []any{id(w.drive), id(w.owner), id(f.id), byte('f'), int64(fileSize), now, now, now, now, int64(i + 1),
			api.Self, api.Self, int32(0o644), int32(1), id(f.version), id(f.document)}
	})
}

func (w *writer) directories() error {
	return w.copy("dirs", []string{"drive", "owner", "id", "parent", "files", "bytes"}, len(w.dirs), func(i int) []any {
		d := w.dirs[i]
		return []any{id(w.drive), id(w.owner), id(d.id), id(w.parent(d.parent)), int64(d.files), int64(d.files) * fileSize}
	})
}

func (w *writer) entries() error {
	return w.copy("entries", []string{"drive", "owner", "parent", "name", "node", "born"}, len(w.dirs)+len(w.files), func(i int) []any {
		if i < len(w.dirs) {
			d := w.dirs[i]
			return []any{id(w.drive), id(w.owner), id(w.parent(d.parent)), d.name, id(d.id), int64(i + 1)}
		}
		f := w.files[i-len(w.dirs)]
		return []any{id(w.drive), id(w.owner), id(w.dirs[f.dir].id), f.name, id(f.id), int64(i + 1)}
	})
}

func (w *writer) versions() error {
	now := time.Now().UnixNano()
	columns := []string{"drive", "owner", "id", "document", "node", "size", "sha256", "manifest", "time"}
	return w.copy("versions", columns, len(w.files), func(i int) []any {
		f := w.files[i]
		manifest := binary.BigEndian.AppendUint32(bytes.Clone(f.hash[:]), fileSize)
		return []any{id(w.drive), id(w.owner), id(f.version), id(f.document), id(f.id), int64(fileSize), f.hash[:], manifest, now}
	})
}

func (w *writer) changes() error {
	now := time.Now().UnixNano()
	return w.copy("changes", []string{"drive", "owner", "seq", "op", "node", "to_parent", "to_name", "time"}, len(w.dirs)+len(w.files), func(i int) []any {
		row := []any{id(w.drive), id(w.owner), int64(i + 1), string(api.OpCreate)}
		if i < len(w.dirs) {
			d := w.dirs[i]
			return append(row, id(d.id), id(w.parent(d.parent)), d.name, now)
		}
		f := w.files[i-len(w.dirs)]
		return append(row, id(f.id), id(w.dirs[f.dir].id), f.name, now)
	})
}

// record is what one chunk takes of a pack.
const record = chunk.RecordHeader + fileSize

func (w *writer) chunks() error {
	if w.store != nil {
		if err := w.content(); err != nil {
			return err
		}
	}
	err := w.copy("packs", []string{"owner", "id", "bytes"}, len(w.packs), func(i int) []any {
		n := int64(min(perPack, len(w.files)-i*perPack))
		return []any{id(w.owner), id(w.packs[i]), chunk.FirstOffset - chunk.RecordHeader + n*record}
	})
	if err != nil {
		return err
	}
	return w.copy("chunks", []string{"owner", "sha256", "pack", "off", "len"}, len(w.files), func(i int) []any {
		return []any{id(w.owner), w.files[i].hash[:], id(w.packs[i/perPack]), int32(chunk.FirstOffset) + int32(i%perPack*record), int32(fileSize)}
	})
}

// content stores the packs.
func (w *writer) content() error {
	var pack chunk.PackWriter
	for i, id := range w.packs {
		pack.Reset()
		for nth := i * perPack; nth < min((i+1)*perPack, len(w.files)); nth++ {
			b, hash := content(nth)
			if err := pack.Add(hash, b); err != nil {
				return err
			}
		}
		if err := w.store(w.ctx, id, pack.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// texts has the words of all files found, if their content is stored. Without
// it none is: the server would look for content that is not there.
func (w *writer) texts() error {
	if w.store != nil {
		// COPY can't make words of a text.
		if _, err := w.tx.Exec(w.ctx, `CREATE TEMPORARY TABLE populated (node uuid, version uuid, text text) ON COMMIT DROP`); err != nil {
			return err
		}
		_, err := w.tx.CopyFrom(w.ctx, pgx.Identifier{"populated"}, []string{"node", "version", "text"}, pgx.CopyFromSlice(len(w.files), func(i int) ([]any, error) {
			text, _ := content(i)
			return []any{id(w.files[i].id), id(w.files[i].version), string(text)}, nil
		}))
		if err != nil {
			return err
		}
		if _, err := w.tx.Exec(w.ctx, `
			INSERT INTO satchel.texts (drive, owner, node, version, words)
			SELECT $1, $2, node, version, to_tsvector('simple', text) FROM populated`, w.drive, w.owner); err != nil {
			return err
		}
	}
	_, err := w.tx.Exec(w.ctx, `UPDATE satchel.drives SET indexed = $2 WHERE id = $1`, w.drive, len(w.dirs)+len(w.files))
	return err
}
