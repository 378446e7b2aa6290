package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Descendant is an entry below a directory, and its node.
type Descendant struct {
	Parent api.ID
	Name   api.Name
	Node   api.Node
}

// Subtree is the first limit entries below a directory, all the way down: those
// that are nearer to it first, so that a directory comes before what is in it.
func (tx *Tx) Subtree(ctx context.Context, drive, dir api.ID, limit int) ([]Descendant, error) {
	rows, _ := tx.conn.Query(ctx, `
		WITH RECURSIVE walk (depth, parent, name, node) AS (
			SELECT 0, parent, name, node FROM entries WHERE drive = $1 AND parent = $2
			UNION ALL
			SELECT w.depth + 1, e.parent, e.name, e.node
			FROM walk w
			CROSS JOIN LATERAL (
				SELECT parent, name, node FROM entries WHERE drive = $1 AND parent = w.node OFFSET 0) e
		)
		SELECT w.parent, w.name, `+nodeColumns+`
		FROM (SELECT * FROM walk LIMIT $3) w
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = w.node OFFSET 0) n
		LEFT JOIN LATERAL (SELECT sha256 FROM versions v WHERE v.drive = $1 AND v.id = n.version OFFSET 0) v ON true
		ORDER BY w.depth`, drive, dir, limit)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Descendant, err error) {
		err = row.Scan(append([]any{&d.Parent, &d.Name}, nodeTargets(&d.Node)...)...)
		return d, err
	})
}

// VersionsByID is the versions of these ids that there are, with their chunks.
func (tx *Tx) VersionsByID(ctx context.Context, drive api.ID, ids []api.ID) (map[api.ID]api.Version, error) {
	versions := make(map[api.ID]api.Version, len(ids))
	rows, _ := tx.conn.Query(ctx, `
		SELECT v.id, v.size, v.sha256, v.manifest
		FROM unnest($2::uuid[]) k
		CROSS JOIN LATERAL (SELECT * FROM versions WHERE drive = $1 AND id = k OFFSET 0) v`, drive, nonNil(ids))
	var v api.Version
	var manifest []byte
	_, err := pgx.ForEachRow(rows, []any{&v.ID, &v.Size, &v.SHA256, &manifest}, func() error {
		v.Chunks = unpackManifest(manifest)
		versions[v.ID] = v
		return nil
	})
	return versions, err
}

// Names is the names in a directory, in byte order.
func (tx *Tx) Names(ctx context.Context, drive, dir api.ID) ([]api.Name, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT name FROM entries WHERE drive = $1 AND parent = $2 ORDER BY name`, drive, dir)
	return pgx.CollectRows(rows, pgx.RowTo[api.Name])
}

// NamesLike calls fn with each name in a directory that may be a name but for case and Unicode form, and with few others: letters
// beyond ASCII count as alike.
func (tx *Tx) NamesLike(ctx context.Context, drive, dir api.ID, name api.Name, fn func(api.Name)) error {
	rows, _ := tx.conn.Query(ctx, `SELECT * FROM names_like($1, $2, $3)`, drive, dir, name)
	var found api.Name
	_, err := pgx.ForEachRow(rows, []any{&found}, func() error {
		fn(found)
		return nil
	})
	return err
}

// Copied is what a copy made of a node or a version.
type Copied struct{ From, To api.ID }
