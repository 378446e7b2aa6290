package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/postgres"
)

func TestAs(t *testing.T) {
	a := newAccounts(t)
	failed := errors.New("it failed")
	err := a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
		if err := tx.EnsureHome(ctx); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
	err = a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
		_, err := tx.Home(ctx)
		return err
	})
	if api.KindOf(err) != api.NotFound {
		t.Errorf("a failed transaction left a drive: %v", err)
	}
	err = a.db.AsReadOnly(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error { return tx.EnsureHome(ctx) })
	if sqlState(err) != "25006" {
		t.Errorf("a write in a read-only transaction: %v", err)
	}
	err = a.db.As(t.Context(), api.ID{}, func(ctx context.Context, tx *postgres.Tx) error { return tx.EnsureHome(ctx) })
	if err == nil {
		t.Error("nobody made himself a drive")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.db.As(ctx, a.alice, func(context.Context, *postgres.Tx) error { return nil }); api.KindOf(err) != api.Cancelled {
		t.Errorf("a cancelled transaction: %v", err)
	}
	func() { // a panic must not leave its transaction to the next user
		defer func() { recover() }()
		a.db.As(t.Context(), a.alice, func(context.Context, *postgres.Tx) error { panic("oops") })
	}()
	drives := -1
	err = a.db.As(t.Context(), a.bob, func(ctx context.Context, tx *postgres.Tx) error {
		d, err := tx.Drives(ctx)
		drives = len(d)
		return err
	})
	if err != nil || drives != 0 {
		t.Errorf("bob has %d drives, %v", drives, err)
	}
}

// Two transactions that wait for each other: one is run again.
func TestAsRunsAgainAfterADeadlock(t *testing.T) {
	a := newAccounts(t)
	home := a.fill(t, a.alice)
	by := postgres.Author{Device: api.NewID()}
	var second postgres.Drive
	conn, err := pgx.Connect(t.Context(), a.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	second.ID = api.NewID()
	if _, err := conn.Exec(t.Context(), `
		WITH d AS (INSERT INTO satchel.drives (id, owner, name, root) VALUES ($1, $2, 'second', $1) RETURNING id)
		INSERT INTO satchel.nodes (drive, id, owner, type, mode, uid, gid, nlink, size, mtime, ctime, btime, rev)
		SELECT id, id, $2, 'd', 0, 0, 0, 2, 0, 0, 0, 0, 0 FROM d`, second.ID.String(), a.alice.String()); err != nil {
		t.Fatal(err)
	}
	lock := func(first, then api.ID, holds, proceed chan struct{}, runs *int) error {
		return a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
			*runs++
			if _, err := tx.Lock(ctx, first, a.alice, by, nil); err != nil {
				return err
			}
			if *runs == 1 {
				close(holds)
				<-proceed
			}
			_, err := tx.Lock(ctx, then, a.alice, by, nil)
			return err
		})
	}
	var runs [2]int
	one, two, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() { done <- lock(home.ID, second.ID, one, two, &runs[0]) }()
	err = lock(second.ID, home.ID, two, one, &runs[1])
	if err := errors.Join(err, <-done); err != nil {
		t.Error(err)
	}
	// Who runs again may be quicker than the other one wakes up, and then they wait for each other once more.
	if runs[0]+runs[1] < 3 {
		t.Errorf("the transactions ran %v times", runs)
	}
}

// After a restart of the database no request fails for a connection that the
// pool still holds.
func TestAsOutlivesItsConnections(t *testing.T) {
	a := newAccounts(t)
	a.fill(t, a.alice)
	conn, err := pgx.Connect(t.Context(), a.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for range 3 {
		var killed int
		if err := conn.QueryRow(t.Context(), `
			SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND usename = 'satchel_app'`).Scan(&killed); err != nil || killed == 0 {
			t.Fatalf("killed %d connections, %v", killed, err)
		}
		err := a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
			_, err := tx.Home(ctx)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	err = a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := conn.Exec(ctx, `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND usename = 'satchel_app'`); err != nil {
			return err
		}
		_, err := tx.Home(ctx)
		return err
	})
	if api.KindOf(err) != api.Unavailable {
		t.Errorf("a connection that broke within a transaction: %v", err)
	}
}

func TestADatabaseThatIsNotThere(t *testing.T) {
	if _, err := postgres.Open(t.Context(), "host="+t.TempDir()+" dbname=x user=x"); api.KindOf(err) != api.Unavailable {
		t.Errorf("no server: %v", err)
	}
	if _, err := postgres.Open(t.Context(), "postgres://:bad port/"); api.KindOf(err) != api.Invalid {
		t.Errorf("no URL: %v", err)
	}
}

// Deleting a user leaves nothing of his drives, and all of the others'.
func TestAUserIsDeletedWhole(t *testing.T) {
	a := newAccounts(t)
	a.fill(t, a.alice)
	a.fill(t, a.bob)
	conn, err := pgx.Connect(t.Context(), a.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `DELETE FROM satchel.users WHERE id = $1`, a.alice.String()); err != nil {
		t.Fatal(err)
	}
	for _, table := range driveTables {
		var alices, bobs int
		err := conn.QueryRow(t.Context(), `
			SELECT count(*) FILTER (WHERE owner = $1), count(*) FILTER (WHERE owner = $2) FROM satchel.`+table,
			a.alice.String(), a.bob.String()).Scan(&alices, &bobs)
		if err != nil || alices != 0 || bobs == 0 {
			t.Errorf("%s: %d rows of the deleted user, %d of the other, %v", table, alices, bobs, err)
		}
	}
}
