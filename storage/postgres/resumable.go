package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Resumable is an upload of one file whose bytes come in several requests.
type Resumable struct {
	ID      api.ID
	Path    string            // from the drive's root
	Fields  map[string]string // what the client says about the file
	Size    int64             // bytes that it will have
	Created time.Time
	Sum     []byte // the state of SHA-256 after the parts; nil before the first
	Done    bool   // the file is made of it

	Parts int   // how many are stored
	Bytes int64 // that they have
	Last  int64 // that the last of them has
}

// AddResumable begins an upload to a drive. It is [api.Conflict] if that has one of the id.
func (tx *Tx) AddResumable(ctx context.Context, drive, root, owner api.ID, r Resumable) error {
	fields := r.Fields
	if fields == nil {
		fields = map[string]string{}
	}
	tag, err := tx.conn.Exec(ctx, `INSERT INTO uploads (drive, owner, id, bucket, key, headers, size) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (drive, id) DO NOTHING`,
		drive, owner, r.ID, root, r.Path, fields, r.Size)
	if err == nil && tag.RowsAffected() == 0 {
		err = api.Errorf(api.Conflict, "there is an upload of this id: ask how far it is, and go on from there")
	}
	return err
}

const resumableQuery = `
	SELECT u.id, u.key, u.headers, u.size, u.created, u.sum, u.done IS NOT NULL, p.n, p.bytes, p.last
	FROM uploads u
	CROSS JOIN LATERAL (
		SELECT count(*) AS n, coalesce(sum(p.size), 0)::bigint AS bytes, coalesce((array_agg(p.size ORDER BY p.number DESC))[1], 0) AS last
		FROM parts p WHERE p.drive = u.drive AND p.upload = u.id) p
	WHERE u.drive = $1 AND u.bucket = $2 AND u.size IS NOT NULL`

// Resumable is an upload to a drive, or [api.NotFound].
func (tx *Tx) Resumable(ctx context.Context, drive, root, id api.ID) (Resumable, error) {
	rows, _ := tx.conn.Query(ctx, resumableQuery+` AND u.id = $3`, drive, root, id)
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Resumable])
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "there is no such upload: it is over, or was given up")
	}
	return r, err
}

// LockResumable is [Tx.Resumable], of which nobody else changes anything until the transaction is over.
func (tx *Tx) LockResumable(ctx context.Context, drive, root, id api.ID) (Resumable, error) {
	if _, err := tx.conn.Exec(ctx, `SELECT FROM uploads WHERE drive = $1 AND id = $2 FOR NO KEY UPDATE`, drive, id); err != nil {
		return Resumable{}, err
	}
	return tx.Resumable(ctx, drive, root, id) // as whoever had the lock left it
}

// Resumables lists at most limit unfinished uploads to a drive, the newest first.
func (tx *Tx) Resumables(ctx context.Context, drive, root api.ID, limit int) ([]Resumable, error) {
	rows, _ := tx.conn.Query(ctx, resumableQuery+` AND u.done IS NULL ORDER BY u.created DESC, u.id LIMIT $3`, drive, root, limit)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Resumable])
}

// SetSum notes the state of an upload's SHA-256.
func (tx *Tx) SetSum(ctx context.Context, drive, id api.ID, sum []byte) error {
	_, err := tx.conn.Exec(ctx, `UPDATE uploads SET sum = $3 WHERE drive = $1 AND id = $2`, drive, id, sum)
	return err
}

// FinishResumable notes that the file is made of an upload, and forgets its
// parts. Whoever lost the answer can still ask.
func (tx *Tx) FinishResumable(ctx context.Context, drive, id api.ID) error {
	var batch pgx.Batch
	batch.Queue(`DELETE FROM parts WHERE drive = $1 AND upload = $2`, drive, id)
	batch.Queue(`UPDATE uploads SET done = now(), sum = NULL WHERE drive = $1 AND id = $2`, drive, id)
	return tx.conn.SendBatch(ctx, &batch).Close()
}
