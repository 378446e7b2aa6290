package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// recovered is the directory of a drive's root where lost nodes go; clients
// put there what the server refused.
const recovered api.Name = "Recovered"

// nowhere is a live node that the root does not reach: it has no name, or it
// is in a circle of directories, or below one of these.
var nowhere = rule{words: "node that the root directory does not reach", find: `
	WITH RECURSIVE reached (id) AS (
		SELECT root FROM drives WHERE id = $1
		UNION
		SELECT d.id FROM reached r JOIN dirs d ON d.drive = $1 AND d.parent = r.id
	)
	SELECT d.id, 'directory' FROM dirs d
	WHERE d.drive = $1 AND (NOT EXISTS (SELECT FROM reached r WHERE r.id = d.id)
		OR NOT EXISTS (SELECT FROM drives r WHERE r.root = d.id AND r.id = $1) AND NOT EXISTS (SELECT FROM entries e WHERE e.drive = $1 AND e.node = d.id))
	UNION ALL
	SELECT n.id, 'file' FROM nodes n
	WHERE n.drive = $1 AND n.type <> 'd' AND n.nlink > 0 AND NOT EXISTS (SELECT FROM entries e WHERE e.drive = $1 AND e.node = n.id)`}

// rescue gives lost nodes names in Recovered.
type rescue struct {
	tx    pgx.Tx
	drive api.ID
	home  api.ID // Recovered; zero until it is needed
}

func (r *rescue) run(ctx context.Context) error {
	rows, _ := r.tx.Query(ctx, `
		SELECT n.id, n.type = 'd' FROM nodes n
		WHERE n.drive = $1 AND NOT EXISTS (SELECT FROM entries e WHERE e.drive = $1 AND e.node = n.id)
		  AND NOT EXISTS (SELECT FROM drives d WHERE d.id = $1 AND d.root = n.id)
		  AND CASE WHEN n.type = 'd' THEN EXISTS (SELECT FROM dirs d WHERE d.drive = $1 AND d.id = n.id) ELSE n.nlink > 0 END`, r.drive)
	type nameless struct {
		ID  api.ID
		Dir bool
	}
	lost, err := pgx.CollectRows(rows, pgx.RowToStructByPos[nameless])
	if err != nil {
		return err
	}
	for _, n := range lost {
		if err := r.move(ctx, n.ID, n.Dir); err != nil {
			return err
		}
	}
	for {
		id, err := r.inCircle(ctx)
		if err != nil || id.IsZero() {
			return err
		}
		if err := r.move(ctx, id, true); err != nil {
			return err
		}
	}
}

// inCircle is a directory of a circle, if there is one.
func (r *rescue) inCircle(ctx context.Context) (id api.ID, err error) {
	// Directories that the root does not reach have names by now, so going up
	// from any of them ends in a circle.
	rows, _ := r.tx.Query(ctx, `
		WITH RECURSIVE reached (id) AS (
			SELECT root FROM drives WHERE id = $1
			UNION
			SELECT d.id FROM reached r JOIN dirs d ON d.drive = $1 AND d.parent = r.id
		)
		SELECT d.id, d.parent FROM dirs d WHERE d.drive = $1 AND NOT EXISTS (SELECT FROM reached r WHERE r.id = d.id)`, r.drive)
	up := map[api.ID]api.ID{}
	var dir, parent api.ID
	_, err = pgx.ForEachRow(rows, []any{&dir, &parent}, func() error {
		up[dir], id = parent, dir
		return nil
	})
	for range up {
		id = up[id]
	}
	return id, err
}

// move gives a node a name in Recovered; a directory leaves its old place.
func (r *rescue) move(ctx context.Context, id api.ID, dir bool) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	name := "file"
	if dir {
		name = "directory"
		rows, _ := r.tx.Query(ctx, `DELETE FROM entries WHERE drive = $1 AND node = $2 RETURNING name`, r.drive, id)
		old, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if len(old) > 0 && len(old[0]) <= api.MaxName-37 {
			name = old[0]
		}
		if _, err := r.tx.Exec(ctx, `UPDATE dirs SET parent = $3 WHERE drive = $1 AND id = $2`, r.drive, id, r.home); err != nil {
			return err
		}
	}
	return r.enter(ctx, r.home, name+" "+id.String(), id) // with the id no other has the name
}

// enter makes an entry.
func (r *rescue) enter(ctx context.Context, parent api.ID, name string, id api.ID) error {
	_, err := r.tx.Exec(ctx, `
		INSERT INTO entries (drive, owner, parent, name, node, born) SELECT id, owner, $2, $3, $4, seq FROM drives WHERE id = $1`,
		r.drive, parent, name, id)
	return err
}

// open finds Recovered, or makes it.
func (r *rescue) open(ctx context.Context) error {
	if !r.home.IsZero() {
		return nil
	}
	var root api.ID
	var taken bool
	err := r.tx.QueryRow(ctx, `
		SELECT d.root, e.node IS NOT NULL, s.id
		FROM drives d
		LEFT JOIN entries e ON e.drive = d.id AND e.parent = d.root AND e.name = $2 COLLATE "C"
		LEFT JOIN dirs s ON s.drive = d.id AND s.id = e.node
		WHERE d.id = $1`, r.drive, recovered).Scan(&root, &taken, &r.home)
	if err != nil || !r.home.IsZero() {
		return err
	}
	id, now := api.NewID(), time.Now().UnixNano()
	name := recovered.Escape()
	if taken { // by what is no directory
		name += " " + id.String()
	}
	_, err = r.tx.Exec(ctx, `
		INSERT INTO nodes (drive, id, owner, type, mode, uid, gid, nlink, size, mtime, ctime, btime, rev)
		SELECT id, $2, owner, 'd', 493, $3, $3, 2, 0, $4, $4, $4, seq FROM drives WHERE id = $1`, r.drive, id, api.Self, now)
	if err == nil {
		_, err = r.tx.Exec(ctx, `INSERT INTO dirs (drive, id, owner, parent) SELECT id, $2, owner, root FROM drives WHERE id = $1`, r.drive, id)
	}
	r.home = id
	return errors.Join(err, r.enter(ctx, root, name, id))
}
