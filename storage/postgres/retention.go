package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// Retention is how long the past is kept.
type Retention struct {
	Versions time.Duration // every version of a file, and the whole drive's past
	Daily    time.Duration // then the last one of each day (UTC)
	Trash    time.Duration // what was deleted
	Events   time.Duration // lines of the audit log; 0 = for ever
}

// Forever keeps all.
const Forever time.Duration = math.MaxInt64

// KeepAll is the retention of which nothing goes.
var KeepAll = Retention{Versions: Forever, Daily: Forever, Trash: Forever}

// Longer keeps all that either of two keeps.
func (r Retention) Longer(o Retention) Retention {
	events := max(r.Events, o.Events)
	if r.Events == 0 || o.Events == 0 {
		events = 0
	}
	return Retention{max(r.Versions, o.Versions), max(r.Daily, o.Daily), max(r.Trash, o.Trash), events}
}

// String writes it with the names of the flags: "versions 30d, daily 365d, trash 30d, events for ever".
func (r Retention) String() string {
	return fmt.Sprintf("versions %s, daily %s, trash %s, events %s", Span(r.Versions), Span(r.Daily), Span(r.Trash), Span(r.EventsKept()))
}

// EventsKept is how long the audit log is kept: Forever where Events is 0.
func (r Retention) EventsKept() time.Duration {
	if r.Events == 0 {
		return Forever
	}
	return r.Events
}

// Span writes a time as flags take it: "30d", "36h0m0s"; or "for ever".
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == Forever:
		return "for ever"
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// ToldRetention is what servers were told to keep.
type ToldRetention struct {
	Retention
	Host string    // of the one that told last
	Told time.Time // then
}

// InForce is the longest of what servers were told to keep; false when none has told.
func InForce(told []ToldRetention) (r Retention, ok bool) {
	for i, t := range told {
		if i == 0 {
			r = t.Retention
		}
		r = r.Longer(t.Retention)
	}
	return r, len(told) > 0
}

// TellRetention tells what a server of this host was told to keep. It counts for a day, so a server tells it
// again and again, at least every hour. What was told by a clock that was ahead counts from now. Time in which
// no server told anything is none of the day: so what was in force when all servers ended, or when a backup was
// made that is restored now, counts after that too.
func (k *Keeper) TellRetention(ctx context.Context, r Retention, host string) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		for _, correct := range []string{
			`SELECT pg_advisory_xact_lock(hashtextextended('satchel.retention', 0))`, // two servers that start at once would both add the silence
			`UPDATE retention SET told = now() WHERE told > now()`,
			`UPDATE retention SET told = told + silence FROM (SELECT now() - max(told) AS silence FROM retention) s WHERE silence > interval '2 hours'`,
			`DELETE FROM retention WHERE told < now() - interval '1 day'`,
		} {
			if _, err := tx.Exec(ctx, correct); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO retention (versions, daily, trash, events, host) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (versions, daily, trash, events) DO UPDATE SET host = excluded.host, told = now()`, r.Versions, r.Daily, r.Trash, r.Events, host)
		return err
	})
}

// retentionsTold selects what counts: what a server told within a day of the last one that did. So it
// also says what was kept where none runs now. What was told by a clock that was ahead puts nothing else out of force.
const retentionsTold = `
	SELECT versions, daily, trash, events, host, told FROM retention
	WHERE told >= (SELECT least(max(told), now()) FROM retention) - interval '1 day' ORDER BY told DESC, host`

// Retentions is what servers were told to keep, as far as it counts.
func (k *Keeper) Retentions(ctx context.Context) ([]ToldRetention, error) {
	return collect[ToldRetention](ctx, k, retentionsTold)
}

// Retentions is what servers were told to keep, as far as it counts; to an admin only.
func (tx *Tx) Retentions(ctx context.Context) ([]ToldRetention, error) {
	rows, _ := tx.conn.Query(ctx, retentionsTold)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ToldRetention])
}
