package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"satchel/api"
)

// Upload is an upload in parts that is not complete yet.
type Upload struct {
	ID      api.ID
	Bucket  api.ID // its directory
	Key     string
	Headers map[string]string
	Created time.Time
}

// Part is one part of an upload, whose chunks are stored.
type Part struct {
	Number int
	Size   int64
	MD5    [16]byte // zero: not known
	SHA256 api.Hash // of a [Resumable]'s: with all that is before it
	Chunks []api.Chunk
	At     time.Time
}

// AddUpload begins an upload.
func (tx *Tx) AddUpload(ctx context.Context, drive, owner api.ID, u Upload) error {
	headers := u.Headers
	if headers == nil {
		headers = map[string]string{}
	}
	_, err := tx.conn.Exec(ctx, `INSERT INTO uploads (drive, owner, id, bucket, key, headers) VALUES ($1, $2, $3, $4, $5, $6)`,
		drive, owner, u.ID, u.Bucket, u.Key, headers)
	return err
}

const uploadColumns = `id, bucket, key, headers, created`

// Upload is an upload that is under way, or [api.NotFound].
func (tx *Tx) Upload(ctx context.Context, drive, bucket, id api.ID) (Upload, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT `+uploadColumns+` FROM uploads WHERE drive = $1 AND bucket = $2 AND id = $3`, drive, bucket, id)
	u, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Upload])
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNoUpload()
	}
	return u, err
}

// Uploads lists the uploads of S3's clients to a bucket by key and age, after one. Without an id all uploads to its key come after it.
func (tx *Tx) Uploads(ctx context.Context, drive, bucket api.ID, after Upload, limit int) ([]Upload, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT `+uploadColumns+` FROM uploads WHERE drive = $1 AND bucket = $2 AND size IS NULL AND (key, id) > ($3, $4)
		ORDER BY key, id LIMIT $5`, drive, bucket, after.Key, pgtype.UUID{Bytes: after.ID, Valid: true}, limit)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Upload])
}

// RemoveUpload ends an upload and forgets its parts. One that has ended is [api.NotFound].
func (tx *Tx) RemoveUpload(ctx context.Context, drive, id api.ID) error {
	tag, err := tx.conn.Exec(ctx, `DELETE FROM uploads WHERE drive = $1 AND id = $2`, drive, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = errNoUpload()
	}
	return err
}

func errNoUpload() error { return api.Errorf(api.NotFound, "there is no such upload") }

// ExpireUploads ends the uploads to a drive that began before a time, by the database's clock.
func (tx *Tx) ExpireUploads(ctx context.Context, drive api.ID, before time.Time) error {
	_, err := tx.conn.Exec(ctx, `DELETE FROM uploads WHERE drive = $1 AND created < $2`, drive, before)
	return err
}

// SetPart keeps a part instead of the one of that number. Its chunks must be
// locked by this transaction.
func (tx *Tx) SetPart(ctx context.Context, drive, owner, upload api.ID, p Part) error {
	var md5 []byte
	if p.MD5 != [16]byte{} {
		md5 = p.MD5[:]
	}
	var batch pgx.Batch
	batch.Queue(`DELETE FROM parts WHERE drive = $1 AND upload = $2 AND number = $3`, drive, upload, p.Number)
	batch.Queue(`INSERT INTO parts (drive, owner, upload, number, size, md5, sha256, manifest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		drive, owner, upload, p.Number, p.Size, md5, p.SHA256, packManifest(p.Chunks))
	return tx.conn.SendBatch(ctx, &batch).Close()
}

// PartsBytes is how much the parts of all uploads to a drive have together.
func (tx *Tx) PartsBytes(ctx context.Context, drive api.ID) (n int64, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT coalesce(sum(size), 0)::bigint FROM parts WHERE drive = $1`, drive).Scan(&n)
	return n, err
}

// Parts lists an upload's parts after a number.
func (tx *Tx) Parts(ctx context.Context, drive, upload api.ID, after, limit int) ([]Part, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT number, size, md5, sha256, manifest, at FROM parts WHERE drive = $1 AND upload = $2 AND number > $3
		ORDER BY number LIMIT $4`, drive, upload, after, limit)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Part, err error) {
		var md5, manifest []byte
		err = row.Scan(&p.Number, &p.Size, &md5, &p.SHA256, &manifest, &p.At)
		copy(p.MD5[:], md5)
		p.Chunks = unpackManifest(manifest)
		return p, err
	})
}
