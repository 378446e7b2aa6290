package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/tree"
)

// Working loads what a batch's working set wants of a drive that this
// transaction has locked. It is a [tree.Source].
type Working struct {
	ctx    context.Context
	tx     *Tx
	drive  api.ID
	device api.ID
}

// Working is the source of working sets for mutations of a device.
func (tx *Tx) Working(ctx context.Context, drive, device api.ID) Working {
	return Working{ctx, tx, drive, device}
}

// loadQuery finds the nodes of a tree.Want, with all that is kept for each.
// Every step is a look-up by key for each row so far, whatever the planner
// thinks of the arrays' lengths: that is what OFFSET 0 is for.
const loadQuery = `
	WITH RECURSIVE up (id) AS (
		SELECT unnest($2::uuid[])
		UNION
		SELECT d.parent
		FROM up
		CROSS JOIN LATERAL (SELECT parent FROM dirs WHERE drive = $1 AND id = up.id AND parent IS NOT NULL OFFSET 0) d
	), ids (id) AS (
		SELECT unnest($3::uuid[])
		UNION
		SELECT id FROM up
		UNION
		SELECT e.node
		FROM unnest($4::uuid[], $5::text[]) k (parent, name)
		CROSS JOIN LATERAL (
			SELECT node FROM entries WHERE drive = $1 AND parent = k.parent AND name = k.name COLLATE "C" OFFSET 0) e
		UNION
		SELECT t.node
		FROM unnest($6::uuid[], $7::text[]) k (parent, name)
		CROSS JOIN LATERAL (
			SELECT node FROM trash
			WHERE drive = $1 AND parent = k.parent AND name = k.name COLLATE "C" AND device = $8 OFFSET 0) t
	)
	SELECT ` + nodeColumns + `, n.created, d.parent, d.zone, coalesce(d.files, 0), coalesce(d.bytes, 0),
		t.parent, t.name, coalesce(t.seq, 0), coalesce(t.time, 0), t.device, coalesce(b.bound, false), e.parents, e.names
	FROM ids
	CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = ids.id OFFSET 0) n
	LEFT JOIN LATERAL (SELECT sha256 FROM versions v WHERE v.drive = $1 AND v.id = n.version OFFSET 0) v ON true
	LEFT JOIN LATERAL (SELECT * FROM dirs d WHERE d.drive = $1 AND d.id = n.id OFFSET 0) d ON true
	LEFT JOIN LATERAL (SELECT * FROM trash t WHERE t.drive = $1 AND t.node = n.id OFFSET 0) t ON true
	LEFT JOIN LATERAL (
		SELECT true AS bound FROM binds b WHERE n.type = 'd' AND b.drive = $1 AND b.node = n.id OFFSET 0) b ON true
	CROSS JOIN LATERAL (
		SELECT array_agg(parent) AS parents, array_agg(name) AS names
		FROM entries e WHERE e.drive = $1 AND e.node = n.id OFFSET 0) e`

// Load is part of [tree.Source].
func (w Working) Load(want tree.Want) (tree.Rows, error) {
	var rows tree.Rows
	var batch pgx.Batch
	parents, names := split(want.Entries)
	deletedParents, deletedNames := split(want.Deleted)
	batch.Queue(loadQuery, w.drive, nonNil(want.Ancestors), nonNil(want.Nodes), parents, names, deletedParents, deletedNames, w.device).
		Query(func(r pgx.Rows) error { return scanInodes(r, &rows) })
	if len(want.Versions) > 0 {
		batch.Queue(`
			SELECT v.id, v.node, v.document, v.size, v.sha256, v.time
			FROM unnest($2::uuid[]) k
			CROSS JOIN LATERAL (SELECT * FROM versions WHERE drive = $1 AND id = k OFFSET 0) v`, w.drive, want.Versions).
			Query(func(r pgx.Rows) (err error) {
				rows.Versions, err = pgx.CollectRows(r, func(row pgx.CollectableRow) (v tree.Version, err error) {
					err = row.Scan(&v.ID, &v.Node, &v.Document, &v.Size, &v.SHA256, &v.Time)
					return v, err
				})
				return err
			})
	}
	return rows, w.tx.conn.SendBatch(w.ctx, &batch).Close()
}

func scanInodes(r pgx.Rows, rows *tree.Rows) error {
	for r.Next() {
		var n tree.Inode
		var parents []api.ID
		var names []api.Name
		err := r.Scan(append(nodeTargets(&n.Node), &n.Created, &n.Dir.Parent, &n.Dir.Zone, &n.Dir.Files, &n.Dir.Bytes,
			&n.Trash.Parent, &n.Trash.Name, &n.Trash.Seq, &n.Trash.Time, &n.Trash.Device, &n.Bound, &parents, &names)...)
		if err != nil {
			return err
		}
		rows.Nodes = append(rows.Nodes, n)
		for i := range parents {
			rows.Entries = append(rows.Entries, tree.Entry{Key: tree.Key{Parent: parents[i], Name: names[i]}, Node: n.ID})
		}
	}
	return r.Err()
}
