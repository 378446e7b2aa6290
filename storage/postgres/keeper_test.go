package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
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

// TestKeeperWhoseConnectionIsCut: nobody else is a keeper as long as PostgreSQL does what the one before asked for, and that
// ends soon after its connection, although PostgreSQL has nothing to say to it.
func TestKeeperWhoseConnectionIsCut(t *testing.T) {
	database := pgtest.New(t)
	linked, cut := pgtest.Link(t, database.Owner)
	k, err := OpenKeeper(t.Context(), linked)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if mine, err := k.TryLock(t.Context()); err != nil || !mine {
		t.Fatalf("the lock: %t, %v", mine, err)
	}
	failed := make(chan error)
	go func() {
		failed <- k.within(t.Context(), func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO referenced SELECT sha256(pg_sleep(600)::text::bytea)`)
			return err
		})
	}()
	next, err := OpenKeeper(t.Context(), database.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	works := func() (n int) {
		t.Helper()
		err := admin.QueryRow(t.Context(), `
			SELECT count(*) FROM pg_stat_activity
			WHERE application_name = 'satcheld keeper' AND datname = current_database() AND state = 'active'`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for works() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	cut()
	if err := <-failed; api.KindOf(err) != api.Unavailable || !k.Lost() || k.Held(t.Context()) == nil {
		t.Errorf("the keeper whose connection was cut: %v, lost %t, held %v", err, k.Lost(), k.Held(t.Context()))
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		mine, err := next.TryLock(t.Context())
		if err != nil || time.Now().After(end) {
			t.Fatalf("the next one does not get the lock: %v", err)
		}
		if mine {
			break
		}
	}
	if n := works(); n != 0 {
		t.Errorf("%d other keepers are at work", n)
	}
}

// TestWhoHoldsALockMayBeIdle: a database that ends connections which ask nothing does not end those that a lock depends on.
func TestWhoHoldsALockMayBeIdle(t *testing.T) {
	database := pgtest.New(t)
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	name := pgx.Identifier{admin.Config().Database}.Sanitize()
	if _, err := admin.Exec(t.Context(), `ALTER DATABASE `+name+` SET idle_session_timeout = '1min'`); err != nil {
		t.Fatal(err)
	}
	k, err := OpenKeeper(t.Context(), database.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	b, err := OpenBackup(t.Context(), database.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for who, conn := range map[string]*pgx.Conn{"keeper": k.conn, "backup": b.conn} {
		var limit string
		if err := conn.QueryRow(t.Context(), `SHOW idle_session_timeout`).Scan(&limit); err != nil || limit != "0" {
			t.Errorf("the %s may be idle for %s, %v", who, limit, err)
		}
	}
}

// TestLookingForGarbageHoldsNobodyUp: what looks for rows of a drive that go does not wait for the drive, and so does not keep anyone waiting.
func TestLookingForGarbageHoldsNobodyUp(t *testing.T) {
	database := pgtest.New(t)
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	k, err := OpenKeeper(t.Context(), database.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	db, err := Open(t.Context(), database.App)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	user := api.NewID()
	if _, err := admin.Exec(t.Context(), `INSERT INTO satchel.users (id, email, role, password_hash) VALUES ($1, 'anna@example.org', 'editor', 'x')`, user.String()); err != nil {
		t.Fatal(err)
	}
	var home Drive
	err = db.As(t.Context(), user, func(ctx context.Context, tx *Tx) (err error) {
		if err = tx.EnsureHome(ctx); err == nil {
			home, err = tx.Home(ctx)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	held, err := admin.Begin(t.Context())
	if err == nil {
		_, err = held.Exec(t.Context(), `SELECT FROM satchel.drives FOR NO KEY UPDATE`)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer held.Rollback(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // instead of for ever
	defer cancel()
	step := func() { t.Error("there was something to be removed") }
	if n, err := k.RemoveNodes(ctx, home.ID, time.Now(), step); err != nil || n != 0 {
		t.Errorf("nodes: %d, %v", n, err)
	}
	if n, err := k.ForgetChanges(ctx, home.ID, time.Now(), func() {}); err != nil || n != 0 {
		t.Errorf("changes: %d, %v", n, err)
	}
	if n, err := k.RemoveVersions(ctx, home.ID, time.Now(), step); err != nil || n != 0 {
		t.Errorf("versions: %d, %v", n, err)
	}
}

// TestIsolation: what waits for a lock sees what was done meanwhile, whatever isolation is the database's default.
func TestIsolation(t *testing.T) {
	database := pgtest.New(t)
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	if _, err := admin.Exec(t.Context(), `
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), 'repeatable read'); END $$`); err != nil {
		t.Fatal(err)
	}
	k, err := OpenKeeper(t.Context(), database.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	db, err := Open(t.Context(), database.App)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const query, want = `SHOW transaction_isolation`, "read committed"
	var got string
	err = db.As(t.Context(), api.NewID(), func(ctx context.Context, tx *Tx) error { return tx.conn.QueryRow(ctx, query).Scan(&got) })
	if err != nil || got != want {
		t.Errorf("a user's transaction: %s, %v", got, err)
	}
	err = k.within(t.Context(), func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), query).Scan(&got) })
	if err != nil || got != want {
		t.Errorf("a keeper's transaction: %s, %v", got, err)
	}
}
