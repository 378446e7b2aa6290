package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// KeySession is a session whose holder signs with an access key.
const KeySession SessionKind = "key"

// AccessKey is the live login of an access key, and its sealed secret. All
// others are [api.Unauthenticated].
func (db *DB) AccessKey(ctx context.Context, key string) (s Session, sealed []byte, err error) {
	err = db.pool.QueryRow(ctx, `SELECT session, kind, device, user_id, email, name, role, sealed FROM satchel.access_key($1)`, key).
		Scan(&s.ID, &s.Kind, &s.Name, &s.User, &s.Email, &s.UserName, &s.Role, &sealed)
	if errors.Is(err, pgx.ErrNoRows) || invalidText(err) {
		return Session{}, nil, errNoSession()
	}
	return s, sealed, classify(err)
}

// AddAccessKey gives a session of the user an access key.
func (tx *Tx) AddAccessKey(ctx context.Context, key string, session api.ID, sealed []byte) error {
	_, err := tx.conn.Exec(ctx, `INSERT INTO satchel.access_keys (key, owner, session, sealed) VALUES ($1, $2, $3, $4)`, key, tx.user, session, sealed)
	return err
}

// RotateAccessKey replaces the secret of a live access key of the user. Another
// is [api.NotFound].
func (tx *Tx) RotateAccessKey(ctx context.Context, key string, sealed []byte) error {
	tag, err := tx.conn.Exec(ctx, `
		UPDATE satchel.access_keys k SET sealed = $2, rotated = now()
		FROM satchel.sessions s
		WHERE k.key = $1 AND s.id = k.session AND s.revoked IS NULL`, key, sealed)
	return oneKey(tag.RowsAffected(), err)
}

// RevokeAccessKey ends an access key of the user. Another is [api.NotFound].
func (tx *Tx) RevokeAccessKey(ctx context.Context, key string) error {
	tag, err := tx.conn.Exec(ctx, `
		UPDATE satchel.sessions s SET revoked = now()
		FROM satchel.access_keys k
		WHERE k.key = $1 AND s.id = k.session AND s.revoked IS NULL`, key)
	return oneKey(tag.RowsAffected(), err)
}

func oneKey(n int64, err error) error {
	if err == nil && n == 0 {
		err = api.Errorf(api.NotFound, "there is no such access key")
	}
	return err
}

// AccessKeys lists the user's live access keys, the last used first.
func (tx *Tx) AccessKeys(ctx context.Context) ([]api.AccessKey, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT k.key, s.name, s.created, k.rotated, s.seen
		FROM satchel.access_keys k JOIN satchel.sessions s ON s.id = k.session
		WHERE k.owner = $1 AND s.revoked IS NULL
		ORDER BY s.seen DESC, k.key`, tx.user)
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k api.AccessKey, err error) {
		err = row.Scan(&k.Key, &k.Name, &k.Created, &k.Rotated, &k.Seen)
		k.Seen = LastUse(k.Created, k.Seen)
		return k, err
	})
}
