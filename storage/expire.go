package storage

import (
	"context"
	"slices"
	"time"

	"satchel/api"
	"satchel/storage/fault"
	"satchel/storage/postgres"
)

// Retention says how long the past is kept.
type Retention = postgres.Retention

// DefaultRetention keeps all for 30 days, then one version a day for a year,
// the trash for 30 days, and the audit log for a year.
var DefaultRetention = Retention{Versions: 30 * day, Daily: 365 * day, Trash: 30 * day, Events: 365 * day}

const day = 24 * time.Hour

// Expired tells what went because it was beyond the retention policy, or because a drive was over its quota.
type Expired = postgres.Expired

// Expire removes, from every drive, versions and trash beyond the policy, as it is at a time by the database's clock, and
// the rows of the past that lead no farther back than it; then the oldest of them from drives that are over their quotas. Chunks that nothing
// names any more are left to the garbage collection. What ceased to be current
// since the owner's least recently seen device of the last 30 days was here stays in any case,
// since it may be what that device edits. A drive whose turn fails keeps the
// others from nothing; the first error is returned.
func (s *Service) Expire(ctx context.Context, keep Retention, now time.Time) (total Expired, err error) {
	var drives []postgres.OwnedDrive
	err = s.db.AsReadOnly(ctx, api.ID{}, func(ctx context.Context, tx *postgres.Tx) (err error) {
		drives, err = tx.AllDrives(ctx)
		return err
	})
	if err != nil {
		return total, err
	}
	for _, d := range drives {
		gone, driveErr := s.expireDrive(ctx, d, keep, now)
		total.Add(gone)
		if ctx.Err() != nil {
			return total, ctx.Err()
		}
		if driveErr != nil {
			s.log.Warn("the past of a drive was not thinned", "drive", d.Drive, "err", driveErr)
			if err == nil {
				err = driveErr
			}
		}
	}
	return total, err
}

// expireStep is how many rows go while a drive is locked: its writers wait some milliseconds.
var expireStep = 1000

// pastStep is how many rows of the past are looked at in a transaction.
var pastStep = 10_000

// expireDrive is Expire for one drive. What is to go is found without the drive's lock, and goes in steps, each of which looks again: so
// writers go on meanwhile, however large the drive is, and what is not done when it fails is done the next time.
func (s *Service) expireDrive(ctx context.Context, d postgres.OwnedDrive, keep Retention, now time.Time) (gone Expired, err error) {
	as := func(fn func(context.Context, *postgres.Tx) error) error { return s.db.As(ctx, d.Owner, fn) }
	var limits postgres.Limits
	err = as(func(ctx context.Context, tx *postgres.Tx) (err error) {
		if err = expireThumbnails(ctx, tx, now); err != nil {
			return err
		}
		if err = tx.ExpireLinks(ctx, d.Drive, now); err != nil {
			return err
		}
		if err = tx.ExpireUploads(ctx, d.Drive, now.Add(-uploadAge)); err != nil {
			return err
		}
		limits, err = tx.Limits(ctx, d.Drive, d.Owner, now, keep.Versions, keep.Daily, keep.Trash)
		return err
	})
	if err != nil {
		return gone, err
	}
	if err := as(func(ctx context.Context, tx *postgres.Tx) error { return tx.CutPast(ctx, d.Drive, limits) }); err != nil {
		return gone, err
	}
	for _, kind := range []postgres.PastRows{postgres.PastEntries, postgres.PastNodes} {
		for last, more := []any(nil), true; more; {
			var next []any
			err := as(func(ctx context.Context, tx *postgres.Tx) (err error) {
				next, err = tx.ForgetPast(ctx, d.Drive, kind, limits, last, pastStep)
				return err
			})
			if err != nil {
				return gone, err
			}
			last, more = next, next != nil
			fault.At(fault.PastForgotten)
		}
	}
	for _, kind := range []postgres.Ageing{postgres.AgeingRemains, postgres.AgeingTrash, postgres.AgeingVersions} {
		for last, more := (api.ID{}), true; more; {
			var due []api.ID
			err := s.db.AsReadOnly(ctx, d.Owner, func(ctx context.Context, tx *postgres.Tx) (err error) {
				tx.Last()
				due, last, more, err = tx.Due(ctx, d.Drive, kind, limits, last)
				return err
			})
			if err != nil {
				return gone, err
			}
			for step := range slices.Chunk(due, expireStep) {
				var some Expired
				err := as(func(ctx context.Context, tx *postgres.Tx) (err error) {
					some, err = tx.Expire(ctx, d.Drive, d.Owner, kind, limits, step)
					return err
				})
				if err != nil {
					return gone, err
				}
				gone.Add(some)
				fault.At(fault.PastExpired)
			}
		}
	}
	evicted, err := s.evict(ctx, d)
	gone.Add(evicted)
	return gone, err
}
