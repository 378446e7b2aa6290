package storage

import (
	"context"
	"math"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/tree"
)

// Pages of the trash.
const (
	DefaultTrashPage = 100
	MaxTrashPage     = 1000
)

// Trash is a page of the drive's trash: at most limit things
// ([DefaultTrashPage] if it is not positive, [MaxTrashPage] at most), what was
// deleted last first, and only what was deleted before the change before (0:
// from the last one on). A deleted tree is one thing.
func (d *Drive) Trash(ctx context.Context, before int64, limit int) (page api.TrashPage, err error) {
	if limit <= 0 {
		limit = DefaultTrashPage
	}
	if before <= 0 {
		before = math.MaxInt64
	}
	limit = min(limit, MaxTrashPage)
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		items, err := tx.Trash(ctx, d.id, before, limit+1)
		page = api.TrashPage{Items: items[:min(limit, len(items))], More: len(items) > limit}
		return err
	})
	return page, err
}

// RestoreTrash brings a node back from the trash to where it was, with all
// that went together with it. A directory that has its name now becomes one
// with it; if something else has it gets a name beside it. Directories above it
// come back too. What is not in the trash is [api.NotFound].
func (d *Drive) RestoreTrash(ctx context.Context, node api.ID) (done api.Restored, err error) {
	var place tree.Key
	diff, err := d.amend(ctx, func(ctx context.Context, tx *postgres.Tx, a *amendment) error {
		nodes, err := tx.TrashedTree(ctx, d.id, node)
		if err != nil {
			return err
		}
		if len(nodes) == 0 {
			return api.Errorf(api.NotFound, "there is no such thing in the trash")
		}
		place, err = a.Recover(nodes, a.time)
		return err
	})
	if err != nil {
		return done, err
	}
	done = api.Restored{Seq: diff.Drive.Seq, Changed: len(diff.Changes)}
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		done.Path, err = tx.PathOf(ctx, d.id, place)
		return err
	})
	return done, err
}

// EmptyTrash removes all that is in the trash for good, with its history.
func (d *Drive) EmptyTrash(ctx context.Context) (gone api.Emptied, err error) {
	if !d.own() {
		return gone, errNotYours()
	}
	err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := tx.Lock(ctx, d.id, d.owner, postgres.Author{}, nil); err != nil {
			return err
		}
		nodes, err := tx.TrashedNodes(ctx, d.id)
		if err != nil {
			return err
		}
		gone.Items = len(nodes)
		if gone.Bytes, err = tx.Purge(ctx, d.id, nodes); err != nil || gone.Items == 0 {
			return err
		}
		return tx.NoteDrive(ctx, d.id, "trash emptied", gone)
	})
	return gone, err
}
