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
