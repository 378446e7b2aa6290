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
// Indexed, of Seq. Whole tells that it takes a look at all files to go on.
type IndexState struct {
	Seq, Indexed int64
	Whole        bool
	Generation   int64 // that words are to be of; those of a former one are found again
}

// IndexState is how far a drive's files were looked at.
func (tx *Tx) IndexState(ctx context.Context, drive api.ID) (s IndexState, err error) {
	err = tx.conn.QueryRow(ctx, `
		SELECT d.seq, d.indexed, d.indexed < d.forgotten OR d.indexed < 0 OR d.generation < g, g
		FROM drives d, texts_wanted() g WHERE d.id = $1`, drive).Scan(&s.Seq, &s.Indexed, &s.Whole, &s.Generation)
	return s, err
}

// Unindexed lists at most limit files of a drive whose words are to be found,
// after a node: of all files, or of those that changes after s.Indexed concerned.
func (tx *Tx) Unindexed(ctx context.Context, drive api.ID, s IndexState, after api.ID, limit int) ([]Unindexed, error) {
	from := `SELECT id FROM nodes WHERE drive = $1`
	if !s.Whole {
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
		WHERE (t.version IS DISTINCT FROM n.version OR t.generation < $5)
		  AND n.id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000') AND $2::bigint IS NOT NULL
		ORDER BY n.id LIMIT $4`, drive, s.Indexed, after, limit, s.Generation)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Unindexed])
}

// SetText keeps the words of a version of a file, as they are found in a generation.
func (tx *Tx) SetText(ctx context.Context, drive, owner api.ID, f Unindexed, generation int64, text string) error {
	_, err := tx.conn.Exec(ctx, `
		INSERT INTO texts (drive, owner, node, version, generation, words)
		SELECT $1, $2, $3, $4, $5, to_tsvector('simple', $6)
		WHERE EXISTS (SELECT FROM nodes WHERE drive = $1 AND id = $3)
		ON CONFLICT (drive, node) DO UPDATE SET version = excluded.version, generation = excluded.generation, words = excluded.words`,
		drive, owner, f.Node, f.Version, generation, text)
	return err
}

// SetIndexed notes that all was looked at that there was to do by a state. Where a server of the version before forgot all
// texts since, that counts for nothing.
func (tx *Tx) SetIndexed(ctx context.Context, drive api.ID, s IndexState) error {
	_, err := tx.conn.Exec(ctx, `
		UPDATE drives SET indexed = $3, generation = $4 WHERE id = $1 AND indexed >= $2 AND (generation, indexed) < ($4, $3)`,
		drive, s.Indexed, s.Seq, s.Generation)
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

// RenewTexts makes every file of every drive be looked at again, for an admin. What was found before is found until then.
func (tx *Tx) RenewTexts(ctx context.Context) error {
	_, err := tx.conn.Exec(ctx, `SELECT renew_texts()`)
	return refused(err)
}
