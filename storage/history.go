package storage

import (
	"context"
	"errors"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/tree"
)

// Versions lists the versions of a document, the newest first. A document
// that does not live, and is not in the trash, is [api.NotFound].
func (d *Drive) Versions(ctx context.Context, doc api.ID) (versions []api.FileVersion, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := tx.Holder(ctx, d.id, doc); err != nil {
			return err
		}
		versions, err = tx.Versions(ctx, d.id, doc)
		return err
	})
	return versions, err
}

// RestoreVersion makes a version of a document its current one again, as a
// change that every device hears of; a document in the trash comes back first.
// What it replaces stays in the history. A version that is not the document's
// is [api.NotFound].
func (d *Drive) RestoreVersion(ctx context.Context, doc, version api.ID) (n api.Node, err error) {
	var node api.ID
	_, err = d.amend(ctx, func(ctx context.Context, tx *postgres.Tx, a *amendment) error {
		if node, err = tx.Holder(ctx, d.id, doc); err != nil {
			return err
		}
		v, err := tx.DocumentVersion(ctx, d.id, doc, version)
		if err != nil {
			return err
		}
		return a.Revert(node, v, a.time)
	})
	if err != nil {
		return n, err
	}
	return d.Node(ctx, node)
}

// maxPast is how many names that changed one transaction undoes: what it holds of them in memory, some 4 KB each.
var maxPast = 200_000

// RestoreAt makes the drive what it was after a change, or at a time, with
// changes that every device hears of: so nothing is lost by it, since what was
// replaced is in the history, what was not there then is in the trash, and it can be
// undone by going back to before it. A point within a batch is the one before the batch.
//
// A dry one changes nothing and tells what it would take. A point before all that is known, or in the
// future, is [api.Invalid]; one since which more than 200,000 names have changed is [api.TooLarge].
func (d *Drive) RestoreAt(ctx context.Context, p api.Point, dry bool) (done api.Restored, err error) {
	changed, err := d.amend(ctx, func(ctx context.Context, tx *postgres.Tx, a *amendment) error {
		done = api.Restored{Point: p.Seq}
		if !p.Time.IsZero() {
			if p.Time.After(time.Now()) {
				return api.Errorf(api.Invalid, "%s is in the future", p.Time.Format(time.RFC3339))
			}
			if done.Point, err = tx.SeqAt(ctx, d.id, p.Time); err != nil {
				return err
			}
			if done.Point == 0 && a.drive.Seq > 0 { // rather a year that was mistyped; the change 0 says it
				return api.Errorf(api.Invalid, "the drive had nothing in it yet at %s", p.Time.Format(time.RFC3339))
			}
		}
		switch {
		case done.Point < a.drive.Since:
			return api.Errorf(api.Invalid, "the drive's past is not known as far back as that: its first known point is the change %d", a.drive.Since)
		case done.Point > a.drive.Seq:
			return api.Errorf(api.Invalid, "the drive has not seen the change %d yet: its last one is %d", done.Point, a.drive.Seq)
		}
		past, missing, err := tx.Past(ctx, d.id, done.Point, maxPast, api.NewID)
		if err != nil {
			return err
		}
		done.Missing = missing
		if err := a.Rewind(past, a.time); err != nil {
			return err
		}
		if dry {
			done.Seq, done.Changed = a.drive.Seq, len(a.Diff().Changes)
			if done.Effects, done.Names, err = effects(ctx, tx, d.id, a); err != nil {
				return err
			}
			return errDry
		}
		return tx.NoteDrive(ctx, d.id, "drive restored", map[string]int64{"change": done.Point})
	})
	if dry && errors.Is(err, errDry) {
		return done, nil
	}
	done.Seq, done.Changed = changed.Drive.Seq, len(changed.Changes)
	return done, err
}

// errDry ends a transaction that only should tell what it would do.
var errDry = errors.New("nothing is to be changed")

// amendment is a change to a drive that a service makes by itself, while nobody
// else may change it.
type amendment struct {
	*tree.Set
	drive tree.Drive // as it was
	time  int64      // now, ns
}

// amend lets edit change the drive and writes what it changed; nothing if it
// fails. It may run more than once.
func (d *Drive) amend(ctx context.Context, edit func(context.Context, *postgres.Tx, *amendment) error) (diff tree.Diff, err error) {
	if !d.own() {
		return diff, errNotYours()
	}
	by := postgres.Author{Device: d.caller.Device}
	err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		locked, err := tx.Lock(ctx, d.id, d.owner, by, nil)
		if err != nil {
			return err
		}
		set := tree.NewSet(locked.Drive, tx.Working(ctx, d.id, by.Device), tree.Env{
			Device: by.Device, DeviceName: d.caller.DeviceName, NewID: api.NewID, Bare: true,
		})
		if err := edit(ctx, tx, &amendment{set, locked.Drive, time.Now().UnixNano()}); err != nil {
			return err
		}
		diff = set.Diff()
		return d.write(ctx, tx, []tree.Diff{diff}, by, postgres.Answer{})
	})
	return diff, err
}
