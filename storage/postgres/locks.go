package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// DAVLock is a write lock of a WebDAV client.
type DAVLock struct {
	Token   api.ID
	Path    string // names joined by slashes, escaped; "" is the root
	Deep    bool   // holds for all below it too
	Shared  bool
	Holder  string // XML; empty where only what it holds was asked for
	Expires time.Time
}

// DAVLocks lists the locks in a drive that have not expired, with their holders or without.
func (tx *Tx) DAVLocks(ctx context.Context, drive api.ID, holders bool) ([]DAVLock, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT token, path, deep, shared, CASE WHEN $2 THEN holder ELSE '' END, expires
		FROM locks WHERE drive = $1 AND expires > now() ORDER BY path, token`, drive, holders)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[DAVLock])
}

// AddDAVLock adds a lock and removes those that have expired.
func (tx *Tx) AddDAVLock(ctx context.Context, drive, owner api.ID, l DAVLock) error {
	var batch pgx.Batch
	batch.Queue(`DELETE FROM locks WHERE drive = $1 AND expires <= now()`, drive)
	batch.Queue(`INSERT INTO locks (drive, owner, token, path, deep, shared, holder, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		drive, owner, l.Token, l.Path, l.Deep, l.Shared, l.Holder, l.Expires)
	return tx.conn.SendBatch(ctx, &batch).Close()
}

// RefreshDAVLock lets a lock live until a time; false if there is none such.
func (tx *Tx) RefreshDAVLock(ctx context.Context, drive, token api.ID, expires time.Time) (bool, error) {
	tag, err := tx.conn.Exec(ctx, `UPDATE locks SET expires = $3 WHERE drive = $1 AND token = $2 AND expires > now()`, drive, token, expires)
	return tag.RowsAffected() > 0, err
}

// RemoveDAVLock removes a lock; false if there is none such.
func (tx *Tx) RemoveDAVLock(ctx context.Context, drive, token api.ID) (bool, error) {
	tag, err := tx.conn.Exec(ctx, `DELETE FROM locks WHERE drive = $1 AND token = $2 AND expires > now()`, drive, token)
	return tag.RowsAffected() > 0, err
}

// RemoveDAVLocks removes the locks on a path and below it.
func (tx *Tx) RemoveDAVLocks(ctx context.Context, drive api.ID, path string) error {
	_, err := tx.conn.Exec(ctx, `DELETE FROM locks WHERE drive = $1 AND (path = $2 OR starts_with(path, $2 || '/'))`, drive, path)
	return err
}
