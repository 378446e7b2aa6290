package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
)

// Person is an account as others see it; Email and Role are the user's own
// only, and empty otherwise.
type Person struct {
	ID      api.ID
	Name    string
	Email   string
	Role    string
	Created time.Time
}

// Columns of a person, as the APIs spell them.
const (
	ColumnName  Column = "name"
	ColumnEmail Column = "email"
	ColumnRole  Column = "role"
)

var peopleColumns = map[Column]columnExpr{
	ColumnID:        {"f.id", parseID, false},
	ColumnName:      {"f.name", parseText, true},
	ColumnEmail:     {"f.email", parseText, true},
	ColumnRole:      {"f.role", parseText, true},
	ColumnCreatedAt: {"f.created", parseTime, false},
}

// peopleSource joins what all may know to what row-level security shows of the
// accounts: the user's own.
const peopleSource = `(
	SELECT p.id, p.name, u.email, u.role, p.created
	FROM satchel.people() p LEFT JOIN satchel.users u ON u.id = p.id)`

// People lists the accounts that can log in, by name. Nobody sees any.
func (tx *Tx) People(ctx context.Context, q FileQuery) ([]Person, error) {
	s := &statement{
		source: peopleSource, columns: peopleColumns,
		selected: "f.id, f.name, coalesce(f.email, ''), coalesce(f.role, ''), f.created", last: "f.name, f.id",
	}
	query, err := s.list(q)
	if err != nil {
		return nil, err
	}
	rows, _ := tx.conn.Query(ctx, query, s.args...)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Person])
}

// Rename changes the user's own name. The result is false for another's
// account, which it leaves as it is.
func (tx *Tx) Rename(ctx context.Context, user api.ID, name string) (bool, error) {
	tag, err := tx.conn.Exec(ctx, `UPDATE satchel.users SET name = $2 WHERE id = $1`, user, name)
	return tag.RowsAffected() == 1, err
}

// ChangePassword changes the user's own password and ends all his sessions but
// the one to keep. The result is how many. If the password is not the verified one any more, or
// that session has ended, it is [api.Unauthenticated].
func (tx *Tx) ChangePassword(ctx context.Context, verifiedHash, passwordHash string, keep api.ID) (ended int64, err error) {
	err = tx.conn.QueryRow(ctx, `SELECT satchel.change_password($1, $2, $3)`, verifiedHash, passwordHash, keep).Scan(&ended)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == invalidPassword {
		err = errNoSession()
	}
	return ended, err
}

// TouchSession lets a session's time without use begin anew. One whose time is over
// is [api.Unauthenticated].
func (tx *Tx) TouchSession(ctx context.Context, id api.ID) error {
	tag, err := tx.conn.Exec(ctx, `UPDATE satchel.sessions SET seen = now() WHERE id = $1 AND revoked IS NULL AND (idle IS NULL OR seen > now() - idle)`, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = errNoSession()
	}
	return err
}

// Subject is somebody as an identity provider knows him.
type Subject struct {
	Issuer string // the provider
	ID     string
}

// SignUp makes an editor's account, to which the subject that vouches for the
// address signs in from then on; without one nobody vouches for it. A taken address is [api.Exists].
func (db *DB) SignUp(ctx context.Context, id api.ID, email, name, passwordHash string, by *Subject) error {
	err := db.As(ctx, api.ID{}, func(ctx context.Context, tx *Tx) (err error) {
		if by == nil {
			_, err = tx.conn.Exec(ctx, `SELECT satchel.sign_up($1, $2, $3, $4)`, id, email, name, passwordHash)
		} else {
			_, err = tx.conn.Exec(ctx, `SELECT satchel.sign_up_by($1, $2, $3, $4, $5, $6)`, id, email, name, passwordHash, by.Issuer, by.ID)
		}
		return err
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == uniqueViolation {
		return errTaken(email)
	}
	return classify(err)
}

func errTaken(email string) error {
	return api.Errorf(api.Exists, "there is a user %s already", strings.ToLower(email))
}

// AccountUse is an account as an admin sees it: who, and how much.
type AccountUse struct {
	ID       api.ID
	Email    string
	Name     string
	Role     string
	Quota    int64 // bytes; 0 = none
	Created  time.Time
	Disabled bool
	Files    int64
	Bytes    int64 // of current files
	Stored   int64 // with history and trash
}

// Accounts lists all accounts by their addresses if the transaction's user is an
// admin, and else none.
func (tx *Tx) Accounts(ctx context.Context) ([]AccountUse, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT a.* FROM satchel.accounts() a ORDER BY a.email`)
	return pgx.CollectRows(rows, pgx.RowToStructByPos[AccountUse])
}
