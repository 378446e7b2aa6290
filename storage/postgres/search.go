package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Unindexed is a file whose words are not known as they are now.
type Unindexed struct {
	Node    api.ID
	Version api.ID
	Name    api.Name // one of its names
	Size    int64    // bytes
}

// IndexState is how far a drive's files were looked at: up to the change
// indexed, of seq. Whole tells that it takes a look at all files to go on.
func (tx *Tx) IndexState(ctx context.Context, drive api.ID) (seq, indexed int64, whole bool, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT seq, indexed, indexed < forgotten OR indexed < 0 FROM drives WHERE id = $1`, drive).
		Scan(&seq, &indexed, &whole)
	return seq, indexed, whole, err
}

// Unindexed lists at most limit files of a drive whose words are to be found,
// after a node: of all files, or of those that changes after indexed concerned.
func (tx *Tx) Unindexed(ctx context.Context, drive api.ID, indexed int64, whole bool, after api.ID, limit int) ([]Unindexed, error) {
	from := `SELECT id FROM nodes WHERE drive = $1`
	if !whole {
		from = `
			SELECT node FROM changes WHERE drive = $1 AND seq > $2
			UNION
			SELECT other FROM changes WHERE drive = $1 AND seq > $2 AND other IS NOT NULL`
	}
	rows, _ := tx.conn.Query(ctx, `
		SELECT n.id, n.version, e.name, n.size
		FROM (`+from+`) i (id)
		JOIN nodes n ON n.drive = $1 AND n.id = i.id AND n.type = 'f' AND n.nlink > 0
		CROSS JOIN LATERAL (SELECT name FROM entries e WHERE e.drive = $1 AND e.node = n.id ORDER BY parent, name LIMIT 1) e
		LEFT JOIN texts t ON t.drive = $1 AND t.node = n.id
		WHERE t.version IS DISTINCT FROM n.version AND n.id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
		  AND $2::bigint IS NOT NULL
		ORDER BY n.id LIMIT $4`, drive, indexed, after, limit)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Unindexed])
}

// SetText keeps the words of a version of a file.
func (tx *Tx) SetText(ctx context.Context, drive, owner api.ID, f Unindexed, text string) error {
	_, err := tx.conn.Exec(ctx, `
		INSERT INTO texts (drive, owner, node, version, words)
		SELECT $1, $2, $3, $4, to_tsvector('simple', $5)
		WHERE EXISTS (SELECT FROM nodes WHERE drive = $1 AND id = $3)
		ON CONFLICT (drive, node) DO UPDATE SET version = excluded.version, words = excluded.words`,
		drive, owner, f.Node, f.Version, text)
	return err
}

// SetIndexed notes that what changed between two changes was looked at. Where all texts were forgotten since, that counts for nothing.
func (tx *Tx) SetIndexed(ctx context.Context, drive api.ID, from, to int64) error {
	_, err := tx.conn.Exec(ctx, `UPDATE drives SET indexed = $3 WHERE id = $1 AND indexed >= $2 AND indexed < $3`, drive, from, to)
	return err
}

// Found is something that a search found.
type Found struct {
	Node api.Node
	Path api.Name // from the directory that was searched
}

// Search finds at most limit files below a directory that have words in their
// content, or a part in their names, in whatever case and form of Unicode, the best first. Of words that more than
// 10,000 files below it have it is the best of some 10,000 of them.
func (tx *Tx) Search(ctx context.Context, drive, top api.ID, words, part string, limit int) ([]Found, error) {
	part, expression := spelled(part)
	rows, _ := tx.conn.Query(ctx, `
		SELECT s.path, `+nodeColumns+`
		FROM search_below($1, $2, $3, $4, $5, $6) s
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = s.node OFFSET 0) n
		LEFT JOIN LATERAL (SELECT sha256 FROM versions v WHERE v.drive = $1 AND v.id = n.version OFFSET 0) v ON true
		ORDER BY s.rank DESC, s.path`, drive, top, words, part, expression, limit)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Found, err error) {
		err = row.Scan(append([]any{&f.Path}, nodeTargets(&f.Node)...)...)
		return f, err
	})
}

// ForgetTexts makes every file of every drive be looked at again, for an admin.
func (tx *Tx) ForgetTexts(ctx context.Context) error {
	_, err := tx.conn.Exec(ctx, `SELECT forget_texts()`)
	return refused(err)
}
