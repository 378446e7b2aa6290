package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// AgeSessions makes the last use of every session so much longer ago. adminURL is [Database.Admin].
func AgeSessions(t testing.TB, adminURL string, by time.Duration) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), adminURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), `UPDATE satchel.sessions SET seen = seen - $1::interval`, by); err != nil {
		t.Fatal(err)
	}
}
