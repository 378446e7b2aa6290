package storage

import (
	"context"

	"satchel/api"
	"satchel/storage/postgres"
)

// Usage is how much is below a directory. What is no directory is
// [api.NotDirectory].
func (d *Drive) Usage(ctx context.Context, dir api.ID) (u api.Usage, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		self, err := d.live(ctx, tx, dir)
		if err != nil {
			return err
		}
		if self.Type != api.Directory {
			return api.Errorf(api.NotDirectory, "this is not a directory")
		}
		tx.Last()
		u, err = tx.Usage(ctx, d.id, dir)
		return err
	})
	return u, err
}

// Sizes is the bytes of all files below each of some directories, as far as the
// caller sees them.
func (d *Drive) Sizes(ctx context.Context, dirs []api.ID) (sizes map[api.ID]int64, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		sizes, err = tx.Sizes(ctx, d.id, dirs)
		return err
	})
	return sizes, err
}
