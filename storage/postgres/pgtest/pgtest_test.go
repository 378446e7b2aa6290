package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

func TestNewDatabasesAreMigratedAndApart(t *testing.T) {
	a, b := New(t), New(t)
	if a.App == b.App {
		t.Fatal("two databases have one URL")
	}
	for _, url := range []string{a.App, a.Owner, b.App} {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		var n int
		if err := conn.QueryRow(t.Context(), `SELECT count(id) FROM satchel.users`).Scan(&n); err != nil || n != 0 {
			t.Errorf("users in a new database = %d, %v", n, err)
		}
	}
}
