package gc

import (
	"context"
	"time"
)

// A clock that jumps ahead (a machine that wakes up, a wrong source of time) makes everything old at once: the whole
// trash, all history, and the uploads of just now. So a run takes it to be as late as the database's clock and ours
// both say, and no later than an earlier run bears witness to. A time is borne witness to when a run was at work
// between a day and [stride] before it. After a longer silence, of a server that was off or of a clock that jumped, it
// is as late as it was for the last run before, until the new time has stood for a day: then there is such a run. The first
// runs of all have no witness, and need none: nothing of that installation is old.
const (
	stands = 24 * time.Hour
	stride = 3 * 24 * time.Hour
)

// apart is how far two clocks may be from each other without a word.
const apart = time.Hour

// asOf is the time that a run takes it to be, by the database's clock and ours. Seen is when the last run was at work that
// did so before the database's time less [stands]; zero if none did.
func asOf(database, ours, seen time.Time) time.Time {
	now := database
	if !seen.IsZero() && database.Sub(seen) > stride {
		now = seen
	}
	if ours.Before(now) {
		now = ours
	}
	return now
}

// tellTime sets the time by which the run tells all ages, and says where that is not the database's.
func (c *collector) tellTime(ctx context.Context) error {
	database, err := c.keeper.Now(ctx)
	if err != nil {
		return err
	}
	ours := time.Now()
	seen, err := c.keeper.LastRun(ctx, database.Add(-stands))
	if err != nil {
		return err
	}
	c.now = asOf(database, ours, seen)
	c.before = c.now.Add(-c.Grace)
	if behind := database.Sub(c.now); behind > apart {
		c.report.BehindSeconds = behind.Seconds()
		c.log.Warn("garbage is collected as of an earlier time: the database's clock differs from this machine's, or it jumped, or nothing ran for days",
			"as_of", c.now, "database", database, "here", ours, "last_run", seen)
	}
	return nil
}
