package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Usage is what is below a live directory, all the way down, from the counters
// that directories keep of what is directly in them. What is none is [api.NotFound].
func (tx *Tx) Usage(ctx context.Context, drive, dir api.ID) (u api.Usage, err error) {
	err = tx.conn.QueryRow(ctx, `
		WITH RECURSIVE tree (id, files, bytes) AS (
			SELECT id, files, bytes FROM dirs WHERE drive = $1 AND id = $2
			UNION ALL
			SELECT d.id, d.files, d.bytes
			FROM tree t
			CROSS JOIN LATERAL (SELECT id, files, bytes FROM dirs WHERE drive = $1 AND parent = t.id OFFSET 0) d
		)
		SELECT count(*) - 1, sum(files)::bigint, sum(bytes)::bigint FROM tree HAVING count(*) > 0`, drive, dir).
		Scan(&u.Directories, &u.Files, &u.Bytes)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "there is no such directory")
	}
	return u, err
}

// Sizes is the bytes below each of some directories, by the same counters.
func (tx *Tx) Sizes(ctx context.Context, drive api.ID, dirs []api.ID) (map[api.ID]int64, error) {
	rows, _ := tx.conn.Query(ctx, `
		WITH RECURSIVE tree (top, id, bytes) AS (
			SELECT id, id, bytes FROM dirs WHERE drive = $1 AND id = ANY ($2)
			UNION ALL
			SELECT t.top, d.id, d.bytes
			FROM tree t
			CROSS JOIN LATERAL (SELECT id, bytes FROM dirs WHERE drive = $1 AND parent = t.id OFFSET 0) d
		)
		SELECT top, sum(bytes)::bigint FROM tree GROUP BY top`, drive, dirs)
	sizes := make(map[api.ID]int64, len(dirs))
	var id api.ID
	var bytes int64
	_, err := pgx.ForEachRow(rows, []any{&id, &bytes}, func() error {
		sizes[id] = bytes
		return nil
	})
	return sizes, err
}
