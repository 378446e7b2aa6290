package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/tree"
)

// sweep is how long before its directory something may have been deleted, by
// the same device, to count as deleted together with it.
const sweep = time.Hour

// together tells whether t went together with the directory p that it was in.
const together = `(p.device IS NOT DISTINCT FROM t.device AND p.seq > t.seq AND p.at <= t.at + $2::interval)`

// Trash lists what was deleted before a change, at most limit things, the
// last first. What went together with its directory is part of that.
func (tx *Tx) Trash(ctx context.Context, drive api.ID, before int64, limit int) ([]api.Trashed, error) {
	// The page first: the way up to the root is only walked for what is in it.
	rows, _ := tx.conn.Query(ctx, `
		WITH RECURSIVE page AS MATERIALIZED (
			SELECT t.* FROM trash t
			WHERE t.drive = $1 AND t.seq < $3
			  AND NOT EXISTS (SELECT FROM trash p WHERE p.drive = $1 AND p.node = t.parent AND `+together+`)
			ORDER BY t.seq DESC LIMIT $4
		), up (node, at, depth, path) AS (
			SELECT node, parent, 0, name FROM page
			UNION ALL
			SELECT u.node, e.parent, u.depth + 1, e.name || '/' || u.path
			FROM up u
			CROSS JOIN LATERAL (
				SELECT e.parent, e.name FROM entries e WHERE e.drive = $1 AND e.node = u.at
				UNION ALL
				SELECT t.parent, t.name FROM trash t WHERE t.drive = $1 AND t.node = u.at
				LIMIT 1) e
			WHERE u.depth < 1000
		)
		SELECT p.node, n.type::text, u.path, n.size, n.document, p.at, p.device, coalesce(s.name, ''), p.seq
		FROM page p
		JOIN nodes n ON n.drive = $1 AND n.id = p.node
		CROSS JOIN LATERAL (SELECT path FROM up u WHERE u.node = p.node ORDER BY u.depth DESC LIMIT 1) u
		LEFT JOIN sessions s ON s.id = p.device
		ORDER BY p.seq DESC`, drive, sweep, before, limit)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t api.Trashed, err error) {
		err = row.Scan(&t.Node, &t.Type, &t.Path, &t.Size, &t.Document, &t.Deleted, &t.Device, &t.DeviceName, &t.Seq)
		return t, err
	})
}

// TrashedTree is a node in the trash and all that went together with it, each
// directory before what was in it, and all of that before the next one.
func (tx *Tx) TrashedTree(ctx context.Context, drive, node api.ID) ([]api.ID, error) {
	rows, _ := tx.conn.Query(ctx, `
		WITH RECURSIVE down (node, seq, at, device, way) AS (
			SELECT node, seq, at, device, ARRAY[]::bigint[] FROM trash WHERE drive = $1 AND node = $3
			UNION ALL
			SELECT t.node, t.seq, t.at, t.device, p.way || -t.seq
			FROM down p
			CROSS JOIN LATERAL (SELECT * FROM trash t WHERE t.drive = $1 AND t.parent = p.node OFFSET 0) t
			WHERE `+together+`
		)
		SELECT node FROM down ORDER BY way`, drive, sweep, node)
	return pgx.CollectRows(rows, pgx.RowTo[api.ID])
}

// TrashedNodes is what is in the trash since a change or longer, at most limit nodes, what was deleted first before the rest: so
// what is in a directory comes before it.
func (tx *Tx) TrashedNodes(ctx context.Context, drive api.ID, until int64, limit int) ([]api.ID, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT node FROM trash WHERE drive = $1 AND seq <= $2 ORDER BY seq LIMIT $3`, drive, until, limit)
	return pgx.CollectRows(rows, pgx.RowTo[api.ID])
}

// Purge removes nodes in the trash for good, with all that is known of them:
// their past, and the documents that they have, with all their versions that no
// other file has. The result is the size of the versions that went. The
// transaction must have locked the drive.
func (tx *Tx) Purge(ctx context.Context, drive api.ID, nodes []api.ID) (bytes int64, err error) {
	if len(nodes) == 0 {
		return 0, nil
	}
	var docs, versions []api.ID
	var batch pgx.Batch
	batch.Queue(`SELECT document FROM nodes WHERE drive = $1 AND id = ANY ($2) AND document IS NOT NULL`, drive, nodes).
		Query(func(rows pgx.Rows) (err error) {
			docs, err = pgx.CollectRows(rows, pgx.RowTo[api.ID])
			return err
		})
	batch.Queue(`DELETE FROM trash WHERE drive = $1 AND node = ANY ($2)`, drive, nodes)
	batch.Queue(`DELETE FROM past_nodes WHERE drive = $1 AND id = ANY ($2)`, drive, nodes)
	batch.Queue(`DELETE FROM nodes WHERE drive = $1 AND id = ANY ($2) AND nlink = 0`, drive, nodes)
	if err := tx.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, err
	}
	batch = pgx.Batch{}
	batch.Queue(`
		SELECT v.id FROM unnest($2::uuid[]) d (id)
		JOIN versions v ON v.drive = $1 AND v.document = d.id
		WHERE NOT EXISTS (
			SELECT FROM nodes n WHERE n.drive = $1 AND n.version = v.id
			  AND (n.nlink > 0 OR EXISTS (SELECT FROM trash t WHERE t.drive = $1 AND t.node = n.id)))`, drive, nonNil(docs)).
		Query(func(rows pgx.Rows) (err error) {
			versions, err = pgx.CollectRows(rows, pgx.RowTo[api.ID])
			return err
		})
	batch.Queue(`DELETE FROM documents WHERE drive = $1 AND id = ANY ($2)`, drive, nonNil(docs))
	if err := tx.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return 0, err
	}
	return tx.forget(ctx, drive, versions)
}

// PathOf is the path of a place in a live directory.
func (tx *Tx) PathOf(ctx context.Context, drive api.ID, k tree.Key) (path api.Name, err error) {
	err = tx.conn.QueryRow(ctx, `
		WITH RECURSIVE up (at, depth, path) AS (
			SELECT $2::uuid, 0, $3::text COLLATE "C"
			UNION ALL
			SELECT e.parent, u.depth + 1, e.name || '/' || u.path
			FROM up u
			CROSS JOIN LATERAL (SELECT parent, name FROM entries WHERE drive = $1 AND node = u.at OFFSET 0) e
		)
		SELECT path FROM up ORDER BY depth DESC LIMIT 1`, drive, k.Parent, k.Name).Scan(&path)
	return path, err
}
