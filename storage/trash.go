package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"satchel/api"
	"satchel/storage/fault"
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

// How many things a transaction takes back from the trash: what it holds of them in memory, as one that removes them. And how many it
// empties it of: the drive's writers wait that long.
var (
	restoreStep = maxTree
	emptyStep   = 1000
)

// RestoreTrash brings a node back from the trash to where it was, with all
// that went together with it. A directory that has its name now becomes one
// with it; if something else has, or a bind shows another directory there, it gets a name beside it. Directories above it
// come back too. What was in a directory that is gone for good, or in which a bind shows another one, comes back in the root.
// What is not in the trash is [api.NotFound].
//
// More than 100,000 things come back in several transactions, a directory with all that is in it before the next, also when ctx ends after
// the first of them. When one fails the error says so: what is back stays, and the rest is in the trash.
func (d *Drive) RestoreTrash(ctx context.Context, node api.ID) (done api.Restored, err error) {
	var place tree.Key
	var all []api.ID
	diff, err := d.amend(ctx, func(ctx context.Context, tx *postgres.Tx, a *amendment) (err error) {
		if all, err = tx.TrashedTree(ctx, d.id, node); err != nil {
			return err
		}
		if len(all) == 0 {
			return api.Errorf(api.NotFound, "there is no such thing in the trash")
		}
		place, err = a.Recover(all[:min(restoreStep, len(all))], a.time)
		return err
	})
	if err != nil {
		return done, err
	}
	done = api.Restored{Seq: diff.Drive.Seq, Changed: len(diff.Changes)}
	ctx = context.WithoutCancel(ctx)
	for back := restoreStep; back < len(all); back += restoreStep {
		fault.At(fault.TrashRestored)
		diff, err := d.amend(ctx, func(_ context.Context, _ *postgres.Tx, a *amendment) error {
			_, err := a.Recover(all[back:min(back+restoreStep, len(all))], a.time)
			return err
		})
		if err != nil {
			return done, d.partlyBack(back, len(all), err)
		}
		done.Seq, done.Changed = diff.Drive.Seq, done.Changed+len(diff.Changes)
	}
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		done.Path, err = tx.PathOf(ctx, d.id, place)
		return err
	})
	return done, err
}

// partlyBack is why only some of a directory came back from the trash.
func (d *Drive) partlyBack(back, all int, err error) error {
	d.s.log.Warn("only a part of a directory came back from the trash", "back", back, "of", all, "err", err)
	said := fmt.Sprintf("%d of %d files and directories are back, and the others are still in the trash", back, all)
	if e, ok := errors.AsType[*api.Error](err); ok && e.Err == nil {
		said += ": " + e.Message
	}
	return api.Errorf(api.KindOf(err), "%s", said)
}

// EmptyTrash removes all that is in the trash for good, with its history: in steps, what was deleted first before the rest, so that writers go on
// meanwhile. What is gone when it fails stays gone.
func (d *Drive) EmptyTrash(ctx context.Context) (gone api.Emptied, err error) {
	if !d.own() {
		return gone, errNotYours()
	}
	var until int64 // what is deleted meanwhile stays
	for more := true; more; {
		var step api.Emptied
		err := d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
			locked, err := tx.Lock(ctx, d.id, d.owner, postgres.Author{}, nil)
			if err != nil {
				return err
			}
			until = cmp.Or(until, locked.Drive.Seq)
			nodes, err := tx.TrashedNodes(ctx, d.id, until, emptyStep)
			if err != nil {
				return err
			}
			step.Items, more = len(nodes), len(nodes) == emptyStep
			if step.Bytes, err = tx.Purge(ctx, d.id, nodes); err != nil || step.Items == 0 {
				return err
			}
			return tx.NoteDrive(ctx, d.id, "trash emptied", step)
		})
		if err != nil {
			return gone, err
		}
		gone.Items, gone.Bytes = gone.Items+step.Items, gone.Bytes+step.Bytes
		fault.At(fault.TrashEmptied)
	}
	return gone, nil
}
