package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// SpoilAttributes makes the attributes of every file what no program writes: who reads them fails. There must be some.
func SpoilAttributes(t testing.TB, adminURL string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), adminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if tag, err := conn.Exec(t.Context(), `UPDATE satchel.nodes SET xattrs = '[]' WHERE type = 'f'`); err != nil || tag.RowsAffected() == 0 {
		t.Fatal(tag, err)
	}
}
