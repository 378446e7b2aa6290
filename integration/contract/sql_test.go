package contract

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// database is a connection as satchel_app, behind the service's back.
type database struct{ *pgx.Conn }

// sql is the database with the person as its user; a stranger sets none.
func (p *person) sql(t *testing.T) database {
	t.Helper()
	out, err := p.w.server.Satcheld(t.Context(), "", "psql-url")
	must(t, err)
	conn, err := pgx.Connect(t.Context(), strings.TrimSpace(out))
	must(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	var role string
	must(t, conn.QueryRow(t.Context(), `SELECT current_user`).Scan(&role))
	if role != "satchel_app" {
		t.Fatalf("psql-url is for %s", role)
	}
	if p.id != "" {
		_, err = conn.Exec(t.Context(), `SELECT set_config('satchel.user_id', $1, false)`, p.id)
		must(t, err)
	}
	return database{conn}
}

// count is how many rows a query returns.
func (db database) count(t *testing.T, query string, args ...any) int64 {
	t.Helper()
	tag, err := db.Exec(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return tag.RowsAffected()
}

// refuses checks that a statement fails for lack of rights.
func (db database) refuses(t *testing.T, statement string, args ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), statement, args...)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42501" {
		t.Errorf("%s: %v, want SQLSTATE 42501", statement, err)
	}
}
