package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// ReplaceSigningKey adds a key that signs from now on. Those that signed before
// verify for the overlap, and no longer.
func (o *Operator) ReplaceSigningKey(ctx context.Context, id string, sealed []byte, overlap time.Duration) error {
	err := pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		// The lock that satchel.add_signing_key takes.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('satchel.signing_keys'))`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			UPDATE satchel.signing_keys SET retired = least(retired, now() + $1::interval)
			WHERE retired IS NULL OR retired > now() + $1::interval`, overlap); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO satchel.signing_keys (kid, sealed) VALUES ($1, $2)`, id, sealed)
		return err
	})
	return classify(err)
}

// SigningKeys lists the keys that verify tokens, the newest first.
func (o *Operator) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	rows, err := o.conn.Query(ctx, signingKeysQuery)
	if err != nil {
		return nil, classify(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SigningKey])
	return keys, classify(err)
}
