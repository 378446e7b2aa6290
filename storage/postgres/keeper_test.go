package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/storage/postgres/pgtest"
)

// TestKeeperLockEndsAtClose: the next keeper has the lock at once, however long PostgreSQL takes to end the session of the last.
func TestKeeperLockEndsAtClose(t *testing.T) {
	url := pgtest.New(t).Owner
	for i := range 20 {
		k, err := OpenKeeper(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		mine, err := k.TryLock(t.Context())
		if err == nil {
			_, err = k.conn.Exec(t.Context(), `INSERT INTO referenced SELECT sha256(g::text::bytea) FROM generate_series(1, 20000) g`)
		}
		k.Close()
		if err != nil || !mine {
			t.Fatalf("keeper %d: %t, %v", i, mine, err)
		}
	}
}

// TestAnInterruptedKeeperGivesItsLockBack: the next one has it at once, also when the one before was interrupted in the middle of a statement.
func TestAnInterruptedKeeperGivesItsLockBack(t *testing.T) {
	url := pgtest.New(t).Owner
	k, err := OpenKeeper(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if mine, err := k.TryLock(t.Context()); err != nil || !mine {
		t.Fatalf("the lock: %t, %v", mine, err)
	}
	for _, work := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := k.conn.Exec(ctx, `SELECT pg_sleep(600)`); return err },
		func(ctx context.Context) error {
			return k.within(ctx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, `SELECT pg_sleep(600)`); return err })
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := work(ctx); err == nil {
			t.Error("it was not interrupted")
		}
		cancel()
		if k.conn.IsClosed() {
			t.Fatal("the interruption cost the connection")
		}
	}
	k.Close()
	next, err := OpenKeeper(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if mine, err := next.TryLock(t.Context()); err != nil || !mine {
		t.Errorf("the next one's lock: %t, %v", mine, err)
	}
}
