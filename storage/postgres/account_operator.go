package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// Operator is whoever runs satcheld's commands: he manages all accounts,
// which no request can. It is one connection, not safe for concurrent use.
type Operator struct {
	conn *pgx.Conn
}

// User is an account as an operator sees it.
type User struct {
	ID       api.ID
	Email    string
	Name     string
	Role     string
	Quota    int64 // bytes; 0 = none
	Disabled bool
	Created  time.Time
	SignedUp bool // nobody vouches for the address
}

// OpenOperator connects at the URL of satchel_owner, or of a role that may
// become it, and acts as satchel_auth.
func OpenOperator(ctx context.Context, ownerURL string) (*Operator, error) {
	conn, err := pgx.Connect(ctx, ownerURL)
	if err != nil {
		return nil, classify(fmt.Errorf("connect to the database: %w", err))
	}
	_, err = conn.Exec(ctx, `SET ROLE satchel_auth`)
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT set_config('satchel.via', 'command', false), set_config('satchel.operator', $1, false)`, operatorName())
	}
	if err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("become satchel_auth: %w", err)
	}
	return &Operator{conn: conn}, nil
}

// Close ends the connection.
func (o *Operator) Close() { o.conn.Close(context.Background()) }

// AddUser makes an account. A taken address is [api.Exists].
func (o *Operator) AddUser(ctx context.Context, u User, passwordHash string) error {
	_, err := o.conn.Exec(ctx, `
		INSERT INTO satchel.users (id, email, name, role, password_hash, quota)
		VALUES ($1, lower($2), $3, $4, $5, $6)`,
		u.ID, u.Email, u.Name, u.Role, passwordHash, u.Quota)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == uniqueViolation {
		return errTaken(u.Email)
	}
	return classify(err)
}

// Users lists all accounts by address.
func (o *Operator) Users(ctx context.Context) ([]User, error) {
	rows, err := o.conn.Query(ctx, `
		SELECT id, email, name, role, quota, disabled IS NOT NULL, created, signed_up
		FROM satchel.users WHERE id <> $1 ORDER BY email`, api.SystemOwner)
	if err != nil {
		return nil, classify(err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowToStructByPos[User])
	return users, classify(err)
}

// DisableUser ends all sessions of an account and lets it log in no more. Its
// files stay. An unknown address is [api.NotFound].
func (o *Operator) DisableUser(ctx context.Context, email string) error {
	return o.change(ctx, email, `UPDATE satchel.users SET disabled = coalesce(disabled, now()) WHERE email = lower($1) RETURNING id`)
}

// EnableUser lets an account that was disabled log in again. An unknown address is
// [api.NotFound].
func (o *Operator) EnableUser(ctx context.Context, email string) error {
	tag, err := o.conn.Exec(ctx, `UPDATE satchel.users SET disabled = NULL WHERE email = lower($1) AND id <> $2`, email, api.SystemOwner)
	if err == nil && tag.RowsAffected() == 0 {
		return errNoUser(email)
	}
	return classify(err)
}

// SetRole makes an account an editor's or an admin's, and ends its sessions. An
// unknown address is [api.NotFound].
func (o *Operator) SetRole(ctx context.Context, email, role string) error {
	return o.change(ctx, email, `UPDATE satchel.users SET role = $2 WHERE email = lower($1) AND id <> $3 RETURNING id`, role, api.SystemOwner)
}

// Stored is how many files an account's drives have, and how many bytes with all versions. An account that has none, or is not there, has 0.
func (o *Operator) Stored(ctx context.Context, email string) (files, bytes int64, err error) {
	err = o.conn.QueryRow(ctx, `
		SELECT coalesce(sum(d.files), 0)::bigint, coalesce(sum(d.stored), 0)::bigint
		FROM satchel.drives d JOIN satchel.users u ON u.id = d.owner WHERE u.email = lower($1)`, email).Scan(&files, &bytes)
	return files, bytes, classify(err)
}

// SetPassword changes an account's password, lets it log in again if it was
// disabled, and ends its sessions. An unknown address is [api.NotFound].
func (o *Operator) SetPassword(ctx context.Context, email, passwordHash string) error {
	return o.change(ctx, email, `UPDATE satchel.users SET password_hash = $2, disabled = NULL WHERE email = lower($1) AND id <> $3 RETURNING id`, passwordHash, api.SystemOwner)
}

// SetQuota changes how many bytes an account may store; 0 is no limit. What is
// there stays, even if it is more: only new content is refused then. An unknown
// address is [api.NotFound].
func (o *Operator) SetQuota(ctx context.Context, email string, bytes int64) error {
	tag, err := o.conn.Exec(ctx, `UPDATE satchel.users SET quota = $2 WHERE email = lower($1)`, email, bytes)
	if err == nil && tag.RowsAffected() == 0 {
		return errNoUser(email)
	}
	return classify(err)
}

func errNoUser(email string) error { return api.Errorf(api.NotFound, "there is no user %s", email) }

// change updates an account, revokes its sessions and forgets the devices that were let in and have not asked yet: all or nothing.
func (o *Operator) change(ctx context.Context, email, update string, args ...any) error {
	// What waited for the account's row is seen, and ends with the others.
	err := pgx.BeginTxFunc(ctx, o.conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		var id api.ID
		err := tx.QueryRow(ctx, update, append([]any{email}, args...)...).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNoUser(email)
		}
		if err != nil {
			return err
		}
		var batch pgx.Batch
		batch.Queue(`UPDATE satchel.sessions SET revoked = now() WHERE user_id = $1 AND revoked IS NULL`, id)
		batch.Queue(`DELETE FROM satchel.device_codes WHERE user_id = $1`, id)
		return tx.SendBatch(ctx, &batch).Close()
	})
	return classify(err)
}
