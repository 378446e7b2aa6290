package postgres

import (
	"testing"

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
