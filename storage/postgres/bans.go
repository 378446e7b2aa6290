package postgres

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Ban is a network whose requests are refused until a time.
type Ban struct {
	Network netip.Prefix
	Reason  string
	Created time.Time
	Until   time.Time
}

// Ban refuses a network's requests for a while, in all server processes.
func (db *DB) Ban(ctx context.Context, network netip.Prefix, reason string, howLong time.Duration) error {
	_, err := db.pool.Exec(ctx, `SELECT satchel.ban($1, $2, $3)`, network, reason, howLong)
	return classify(err)
}

// Bans lists the bans that are not over, the oldest first.
func (db *DB) Bans(ctx context.Context) ([]Ban, error) {
	bans, err := everyRow[Ban](ctx, db.pool, `SELECT network, reason, created, until FROM satchel.banned()`)
	return bans, classify(err)
}

// Bans is that of [DB.Bans].
func (o *Operator) Bans(ctx context.Context) ([]Ban, error) {
	rows, _ := o.conn.Query(ctx, `
		SELECT network, reason, created, until FROM satchel.bans WHERE until > now() ORDER BY created, network`)
	bans, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Ban])
	return bans, classify(err)
}

// LiftBans ends the bans of all networks that an address or a network is in, or
// that are in it. Without any it is [api.NotFound].
func (o *Operator) LiftBans(ctx context.Context, network netip.Prefix) error {
	tag, err := o.conn.Exec(ctx, `DELETE FROM satchel.bans WHERE network && $1::cidr`, network)
	if err == nil && tag.RowsAffected() == 0 {
		err = api.Errorf(api.NotFound, "%s is not banned", network)
	}
	return classify(err)
}
