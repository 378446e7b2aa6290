package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Thumbnail is the user's picture of the image with a hash, if it was made; an
// empty one says that none can be.
func (tx *Tx) Thumbnail(ctx context.Context, image api.Hash) (picture []byte, found bool, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT picture FROM thumbnails WHERE owner = $1 AND sha256 = $2`, tx.user, image).Scan(&picture)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	return picture, err == nil, err
}

// AddThumbnail keeps the user's picture of an image, unless there is one.
func (tx *Tx) AddThumbnail(ctx context.Context, image api.Hash, picture []byte) error {
	_, err := tx.conn.Exec(ctx, `INSERT INTO thumbnails (owner, sha256, picture) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, tx.user, image, picture)
	return err
}

// ExpireThumbnails forgets the user's pictures that were made before a time,
// and those of what none of his versions is any more.
func (tx *Tx) ExpireThumbnails(ctx context.Context, before time.Time) error {
	_, err := tx.conn.Exec(ctx, `
		DELETE FROM thumbnails t
		WHERE t.owner = $1 AND (t.made < $2 OR NOT EXISTS (SELECT FROM versions v WHERE v.owner = $1 AND v.sha256 = t.sha256))`, tx.user, before)
	return err
}
