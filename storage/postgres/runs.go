package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// StartRun tells of a run that begins; those that died are told to have ended, and those that were at work in times
// that are still to come, by a clock that was ahead, to have been at work now.
func (k *Keeper) StartRun(ctx context.Context, r Run) error {
	from := originOf(ctx)
	return k.within(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			SELECT set_config('satchel.via', $1, false), set_config('satchel.operator', $2, false), set_config('satchel.address', $3, false)`,
			r.Via, operatorName(), from.address()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE runs SET touched = now() WHERE touched > now()`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			UPDATE runs SET finished = now(), failure = 'the process that ran it has ended' WHERE finished IS NULL AND touched < now() - $1::interval`, silent); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO runs (id, kind, deep, repair, actor, via, host) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			r.ID, r.Kind, r.Deep, r.Repair, r.User, r.Via, r.Host)
		return err
	})
}

// TouchRun tells how far a run is.
func (k *Keeper) TouchRun(ctx context.Context, id api.ID, step string, done, total int64) error {
	_, err := k.conn.Exec(ctx, `UPDATE runs SET touched = now(), step = $2, done = $3, total = $4 WHERE id = $1 AND finished IS NULL`, id, step, done, total)
	return classify(err)
}

// EndRun tells what a run did, in JSON, and why it could not do all; "" when it did.
func (k *Keeper) EndRun(ctx context.Context, id api.ID, report []byte, failure string) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE runs SET finished = now(), touched = now(), report = $2, failure = nullif($3, '') WHERE id = $1 AND finished IS NULL`, id, report, failure)
		return err
	})
}

// LastRun is when the last run was at work that was so before a time; zero if none was.
func (k *Keeper) LastRun(ctx context.Context, before time.Time) (at time.Time, err error) {
	err = k.conn.QueryRow(ctx, `SELECT coalesce(max(touched), '0001-01-01 00:00:00+00') FROM runs WHERE touched < $1`, before).Scan(&at)
	return at, classify(err)
}

// ForgetRuns removes what is known of runs that began before a time and have ended.
func (k *Keeper) ForgetRuns(ctx context.Context, before time.Time) error {
	_, err := k.conn.Exec(ctx, `DELETE FROM runs WHERE started < $1 AND finished IS NOT NULL`, before)
	return classify(err)
}

// CountExtensions counts all live files by owner and extension, for the figures
// that admins see. Extensions that are not known are counted as none.
func (k *Keeper) CountExtensions(ctx context.Context, known []string) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
			INSERT INTO counted (what, at) VALUES ('extensions', now()) ON CONFLICT (what) DO UPDATE SET at = excluded.at`); err != nil {
			return err // first, so that two who count do so one after the other
		}
		if _, err := tx.Exec(ctx, `DELETE FROM extensions`); err != nil {
			return err
		}
		// A file with several names counts by the first of them.
		_, err := tx.Exec(ctx, `
			INSERT INTO extensions (owner, extension, files, bytes)
			SELECT c.owner, coalesce(k.extension, ''), count(*), sum(c.size)
			FROM (
				SELECT n.owner, n.size, lower(substring(e.name FROM '\.([^.]*)$')) AS extension
				FROM nodes n JOIN entries e ON e.drive = n.drive AND e.node = n.id
				WHERE n.type = 'f' AND n.nlink > 0
				  AND (n.nlink = 1 OR (e.parent, e.name) = (
					SELECT o.parent, o.name FROM entries o WHERE o.drive = n.drive AND o.node = n.id ORDER BY o.parent, o.name LIMIT 1))) c
			LEFT JOIN unnest($1::text[]) k (extension) ON k.extension = c.extension
			GROUP BY c.owner, coalesce(k.extension, '')`, known)
		return err
	})
}

// CountedAt is when the files were counted last; the zero time if never.
func (k *Keeper) CountedAt(ctx context.Context) (at time.Time, err error) {
	err = k.conn.QueryRow(ctx, `SELECT coalesce((SELECT at FROM counted WHERE what = 'extensions'), '0001-01-01 00:00:00+00')`).Scan(&at)
	return at, classify(err)
}
