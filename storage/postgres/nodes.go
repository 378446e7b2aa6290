package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/tree"
)

// nodeColumns are those of an api.Node, from nodes n and versions v.
const nodeColumns = `n.id, n.type::text, n.mode, n.uid, n.gid, n.nlink, n.size, n.mtime, n.ctime, n.btime,
	n.rdev, n.target, n.xattrs, n.version, v.sha256, n.document, n.rev`

func nodeTargets(n *api.Node) []any {
	return []any{&n.ID, &n.Type, &n.Mode, &n.UID, &n.GID, &n.Nlink, &n.Size, &n.Mtime, &n.Ctime, &n.Btime,
		&n.Rdev, &n.Target, &n.Xattrs, &n.Version, &n.SHA256, &n.Document, &n.Rev}
}

func scanNode(row pgx.CollectableRow) (api.Node, error) {
	var n api.Node
	err := row.Scan(nodeTargets(&n)...)
	return n, err
}

// Node is a node by its id, deleted ones too. A missing one is [api.NotFound].
func (tx *Tx) Node(ctx context.Context, drive, id api.ID) (api.Node, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT `+nodeColumns+`
		FROM nodes n LEFT JOIN versions v ON v.drive = n.drive AND v.id = n.version
		WHERE n.drive = $1 AND n.id = $2`, drive, id)
	return oneNode(rows)
}

func oneNode(rows pgx.Rows) (api.Node, error) {
	n, err := pgx.CollectExactlyOneRow(rows, scanNode)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "there is no such file or directory")
	}
	return n, err
}

// walkQuery follows names down from a directory. OFFSET 0 keeps the planner from turning the walk into a join with all
// entries, nodes or versions of the drive.
const walkQuery = `
		WITH RECURSIVE walk (depth, id) AS (
			SELECT 0, $2::uuid
			UNION ALL
			SELECT w.depth + 1, e.node
			FROM walk w
			CROSS JOIN LATERAL (
				SELECT node FROM entries
				WHERE drive = $1 AND parent = w.id AND name = ($3::text[])[w.depth + 1] COLLATE "C"
				OFFSET 0) e
			WHERE w.depth < cardinality($3::text[])
		)
		SELECT ` + nodeColumns + `
		FROM walk w
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = w.id OFFSET 0) n
		LEFT JOIN LATERAL (SELECT sha256 FROM versions v WHERE v.drive = $1 AND v.id = n.version OFFSET 0) v ON true
		WHERE w.depth > 0
		ORDER BY w.depth`

// Walk follows names down from a directory, through no symlink, and stops
// before the first that is missing: the nodes on the way, without the
// directory it starts from.
func (tx *Tx) Walk(ctx context.Context, drive, dir api.ID, path []api.Name) ([]api.Node, error) {
	if tx.guest {
		return tx.walkShared(ctx, drive, dir, path)
	}
	rows, _ := tx.conn.Query(ctx, walkQuery, drive, dir, nonNil(path))
	return pgx.CollectRows(rows, scanNode)
}

// Child is an entry of a directory and its node.
type Child struct {
	Name api.Name
	Node api.Node
}

// Children is a page of a directory: at most limit entries in byte order of
// their escaped names, after a name.
func (tx *Tx) Children(ctx context.Context, drive, dir api.ID, after api.Name, limit int) ([]Child, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT e.name, `+nodeColumns+`
		FROM (
			SELECT name, node FROM entries
			WHERE drive = $1 AND parent = $2 AND name > $3 COLLATE "C"
			ORDER BY name LIMIT $4) e
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = e.node OFFSET 0) n
		LEFT JOIN LATERAL (SELECT sha256 FROM versions v WHERE v.drive = $1 AND v.id = n.version OFFSET 0) v ON true
		ORDER BY e.name`, drive, dir, after, limit)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Child, error) {
		var c Child
		err := row.Scan(append([]any{&c.Name}, nodeTargets(&c.Node)...)...)
		return c, err
	})
}

// Dir is a node and, if it is a directory, how many entries it has by the counters that directories keep.
type Dir struct {
	Node    api.Node
	Entries int64
}

// Dirs is nodes by their ids, deleted ones too, as far as there are such.
func (tx *Tx) Dirs(ctx context.Context, drive api.ID, ids []api.ID) (map[api.ID]Dir, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT coalesce(d.files, 0) + n.nlink - 2, `+nodeColumns+`
		FROM unnest($2::uuid[]) k
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = k OFFSET 0) n
		LEFT JOIN LATERAL (SELECT files FROM dirs d WHERE d.drive = $1 AND d.id = k OFFSET 0) d ON true
		LEFT JOIN LATERAL (SELECT sha256 FROM versions v WHERE v.drive = $1 AND v.id = n.version OFFSET 0) v ON true`, drive, nonNil(ids))
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Dir, err error) {
		err = row.Scan(append([]any{&d.Entries}, nodeTargets(&d.Node)...)...)
		return d, err
	})
	dirs := make(map[api.ID]Dir, len(found))
	for _, d := range found {
		dirs[d.Node.ID] = d
	}
	return dirs, err
}

// Head is the beginning of a directory: at most so many entries.
type Head struct {
	Dir  api.ID
	Most int
}

// FirstChildren is the beginnings of many directories, in their order, each as the first page that [Tx.Children] gives.
func (tx *Tx) FirstChildren(ctx context.Context, drive api.ID, heads []Head) ([][]Child, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT h.place, e.name, `+nodeColumns+`
		FROM unnest($2::uuid[], $3::int[]) WITH ORDINALITY h (dir, most, place)
		CROSS JOIN LATERAL (
			SELECT name, node FROM entries
			WHERE drive = $1 AND parent = h.dir
			ORDER BY name LIMIT h.most) e
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = e.node OFFSET 0) n
		LEFT JOIN LATERAL (SELECT sha256 FROM versions v WHERE v.drive = $1 AND v.id = n.version OFFSET 0) v ON true
		ORDER BY h.place, e.name`, drive,
		column(heads, func(h *Head) api.ID { return h.Dir }), column(heads, func(h *Head) int32 { return int32(h.Most) }))
	children := make([][]Child, len(heads))
	defer rows.Close()
	for rows.Next() {
		var place int
		var c Child
		if err := rows.Scan(append([]any{&place, &c.Name}, nodeTargets(&c.Node)...)...); err != nil {
			return nil, err
		}
		children[place-1] = append(children[place-1], c)
	}
	return children, rows.Err()
}

// Brief is what a list for people shows of an entry of a directory and its node.
type Brief struct {
	Name        api.Name
	ID, Version api.ID
	Type        api.Type
	Size, Mtime int64
	Target      api.Name
}

// EachBrief calls do, which may end it, with each entry of a directory, in the order of the names.
func (tx *Tx) EachBrief(ctx context.Context, drive, dir api.ID, do func(Brief) error) error {
	rows, _ := tx.conn.Query(ctx, `
		SELECT e.name, n.id, n.version, n.type::text, n.size, n.mtime, n.target
		FROM entries e
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = e.node OFFSET 0) n
		WHERE e.drive = $1 AND e.parent = $2
		ORDER BY e.name`, drive, dir)
	var b Brief
	_, err := pgx.ForEachRow(rows, []any{&b.Name, &b.ID, &b.Version, &b.Type, &b.Size, &b.Mtime, &b.Target}, func() error { return do(b) })
	return err
}

// State tells how nodes and entries are now: live nodes whole, those that do
// not live or never did as gone, and the nodes that entries lead to besides.
// Epoch and Seq are left to the caller.
func (tx *Tx) State(ctx context.Context, drive api.ID, t tree.Touched) (api.State, error) {
	var state api.State
	parents, names := split(t.Entries)
	const entries = `
		SELECT k.parent, k.name, e.node
		FROM unnest($2::uuid[], $3::text[]) k (parent, name)
		LEFT JOIN LATERAL (
			SELECT node FROM entries e
			WHERE e.drive = $1 AND e.parent = k.parent AND e.name = k.name COLLATE "C"
			OFFSET 0) e ON true`
	var batch pgx.Batch
	batch.Queue(entries, drive, parents, names).Query(func(rows pgx.Rows) (err error) {
		state.Entries, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e api.EntryState, err error) {
			err = row.Scan(&e.Parent, &e.Name, &e.Node)
			return e, err
		})
		return err
	})
	batch.Queue(`
		WITH led (parent, name, node) AS (`+entries+`)
		SELECT `+nodeColumns+`
		FROM (SELECT unnest($4::uuid[]) UNION SELECT node FROM led) k (id)
		CROSS JOIN LATERAL (SELECT * FROM nodes n WHERE n.drive = $1 AND n.id = k.id AND n.nlink > 0 OFFSET 0) n
		LEFT JOIN LATERAL (SELECT sha256 FROM versions v WHERE v.drive = $1 AND v.id = n.version OFFSET 0) v ON true`,
		drive, parents, names, nonNil(t.Nodes)).Query(func(rows pgx.Rows) (err error) {
		state.Nodes, err = pgx.CollectRows(rows, scanNode)
		return err
	})
	if err := tx.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return state, err
	}
	wanted := map[api.ID]bool{}
	for _, id := range t.Nodes {
		wanted[id] = true
	}
	for _, e := range state.Entries {
		if !e.Node.IsZero() {
			wanted[e.Node] = true
		}
	}
	for _, n := range state.Nodes {
		delete(wanted, n.ID)
	}
	for id := range wanted {
		state.Gone = append(state.Gone, id)
	}
	return state, nil
}

// split turns keys into the arrays that unnest zips.
func split(keys []tree.Key) (parents []api.ID, names []api.Name) {
	parents, names = make([]api.ID, len(keys)), make([]api.Name, len(keys))
	for i, k := range keys {
		parents[i], names[i] = k.Parent, k.Name
	}
	return parents, names
}

// nonNil keeps an empty array from becoming NULL.
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
