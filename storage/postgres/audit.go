package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Event is a line of the audit log. Triggers write them, in the transaction of
// what they tell.
type Event struct {
	ID       api.ID          `json:"id"`
	Time     time.Time       `json:"time"`
	Actor    string          `json:"actor"`              // the account's address then; empty: nobody who was logged in
	Via      string          `json:"via"`                // request, command or server
	Operator string          `json:"operator,omitempty"` // of a command: who gave it on the server's machine
	Address  string          `json:"address,omitempty"`  // of a request: where it came from
	Action   string          `json:"action"`
	Subject  string          `json:"subject"`
	Detail   json.RawMessage `json:"detail"`
}

// EventQuery says which events are listed; zero values say nothing.
type EventQuery struct {
	Before time.Time // of the cursor: the time and id of the last event that was listed
	After  api.ID
	Action string
	Actor  string // an account's address
	Text   string // part of the subject, in any case
	Since  time.Time
	Until  time.Time
	Limit  int
}

// Events lists the audit log, the newest first, if the transaction's user is an
// admin, and else nothing.
func (tx *Tx) Events(ctx context.Context, q EventQuery) ([]Event, error) {
	// Only the conditions that there are: the plan is the same for all values.
	where, args := "true", pgx.NamedArgs{"limit": q.Limit}
	only := func(given bool, condition, name string, value any) {
		if given {
			where += " AND " + condition
			args[name] = value
		}
	}
	only(!q.Before.IsZero(), "(at, id) < (@before, @after)", "before", q.Before)
	args["after"] = q.After
	only(q.Action != "", "action = @action", "action", q.Action)
	only(q.Actor != "", "actor_email = lower(@actor)", "actor", q.Actor)
	only(q.Text != "", "subject ILIKE @text", "text", pattern(q.Text))
	only(!q.Since.IsZero(), "at >= @since", "since", q.Since)
	only(!q.Until.IsZero(), "at < @until", "until", q.Until)
	rows, _ := tx.conn.Query(ctx, `
		SELECT id, at, coalesce(actor_email, ''), via, coalesce(operator, ''), coalesce(host(address), ''), action, subject, detail
		FROM audit WHERE `+where+` ORDER BY at DESC, id DESC LIMIT @limit`, args)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
}

// Actions lists what there are events of, as Events does.
func (tx *Tx) Actions(ctx context.Context) ([]string, error) {
	// A walk over the index: there are few actions and many events.
	rows, _ := tx.conn.Query(ctx, `
		WITH RECURSIVE known (action) AS (
			(SELECT action FROM audit ORDER BY action LIMIT 1)
			UNION ALL
			SELECT (SELECT a.action FROM audit a WHERE a.action > k.action ORDER BY a.action LIMIT 1) FROM known k WHERE k.action IS NOT NULL
		)
		SELECT action FROM known WHERE action IS NOT NULL`)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// LoginRefused notes a wrong password or an unknown address in the audit log.
func (db *DB) LoginRefused(ctx context.Context, email string) error {
	return db.As(ctx, api.ID{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.conn.Exec(ctx, `SELECT satchel.login_refused($1)`, email)
		return err
	})
}

// NoteDrive notes in the audit log what the owner of a drive did to the whole
// of it: "drive restored" or "trash emptied".
func (tx *Tx) NoteDrive(ctx context.Context, drive api.ID, action string, detail any) error {
	_, err := tx.conn.Exec(ctx, `SELECT satchel.drive_note($1, $2, $3)`, drive, action, detail)
	return err
}

// ForgetEvents removes events from before a time, and tells how many.
func (k *Keeper) ForgetEvents(ctx context.Context, before time.Time) (removed int64, err error) {
	err = k.within(ctx, func(tx pgx.Tx) (err error) {
		removed, err = affected(tx.Exec(ctx, `DELETE FROM audit WHERE at < $1`, before))
		return err
	})
	return removed, err
}
