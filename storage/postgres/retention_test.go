package postgres_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

const aDay = 24 * time.Hour

// TestRetentionInForce: of what servers were told to keep the longest of each counts, for a day after the last of them told it.
func TestRetentionInForce(t *testing.T) {
	database := pgtest.New(t)
	k, err := postgres.OpenKeeper(t.Context(), database.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	inForce := func(count int) postgres.Retention {
		t.Helper()
		told, err := k.Retentions(t.Context())
		if err != nil || len(told) != count {
			t.Fatalf("%d count: %v, %v", len(told), told, err)
		}
		r, known := postgres.InForce(told)
		if known != (count > 0) {
			t.Errorf("known is %t with %d", known, count)
		}
		return r
	}
	tell := func(r postgres.Retention, host string) {
		t.Helper()
		if err := k.TellRetention(t.Context(), r, host); err != nil {
			t.Fatal(err)
		}
	}
	older := func(host, by string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), `UPDATE satchel.retention SET told = told - $2::interval WHERE host = $1`, host, by); err != nil {
			t.Fatal(err)
		}
	}
	inForce(0)
	careful := postgres.Retention{Versions: 7 * aDay, Daily: 30 * aDay, Trash: 365 * aDay, Events: 0}
	hasty := postgres.Retention{Versions: 36 * time.Hour, Daily: 400 * aDay, Trash: 0, Events: aDay}
	tell(careful, "a")
	tell(careful, "a")
	if got := inForce(1); got != careful {
		t.Errorf("one server's: %v", got)
	}
	tell(hasty, "b")
	longest := postgres.Retention{Versions: 7 * aDay, Daily: 400 * aDay, Trash: 365 * aDay, Events: 0}
	if got := inForce(2); got != longest {
		t.Errorf("of two servers: %v", got)
	}
	older("a", "23 hours")
	if got := inForce(2); got != longest {
		t.Errorf("within a day: %v", got)
	}
	older("a", "2 hours")
	if got := inForce(1); got != hasty {
		t.Errorf("a day after the other's end: %v", got)
	}
	tell(careful, "a")
	older("a", "-40 days") // by a clock that was ahead
	if got := inForce(2); got != longest {
		t.Errorf("beside what a clock that was ahead told: %v", got)
	}
	tell(hasty, "b")
	older("a", "25 hours")
	if got := inForce(1); got != hasty {
		t.Errorf("a day after what a clock that was ahead told: %v", got)
	}
	tell(hasty, "b") // which forgets the other
	older("b", "100 days")
	if got := inForce(1); got != hasty {
		t.Errorf("long after all servers' end: %v", got)
	}
	tell(careful, "a") // after a time without servers
	if got := inForce(2); got != longest {
		t.Errorf("what was in force before a silence of all servers: %v", got)
	}
	for _, host := range []string{"a", "b"} {
		older(host, "30 hours")
	}
	older("b", "20 hours")
	tell(careful, "a")
	if got := inForce(2); got != longest {
		t.Errorf("20 hours of servers after the other's end, and a silence: %v", got)
	}
	older("b", "5 hours")
	tell(careful, "a")
	if got := inForce(1); got != careful {
		t.Errorf("a day of servers after the other's end: %v", got)
	}
}

// TestRetentionToldAtOnce: the time in which no server ran is added once, by however many that start together.
func TestRetentionToldAtOnce(t *testing.T) {
	database := pgtest.New(t)
	admin, err := pgx.Connect(t.Context(), database.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	servers := map[string]postgres.Retention{"a": {Versions: 7 * aDay}, "b": {Versions: 365 * aDay}}
	keepers := map[string]*postgres.Keeper{}
	for host, r := range servers {
		k, err := postgres.OpenKeeper(t.Context(), database.Owner)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		keepers[host] = k
		if err := k.TellRetention(t.Context(), r, host); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := admin.Exec(t.Context(), `UPDATE satchel.retention SET told = told - interval '3 days'`); err != nil {
		t.Fatal(err)
	}
	// Nobody gets at the rows until both servers are at it.
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `SELECT FROM satchel.retention FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for host, r := range servers {
		go func() { done <- keepers[host].TellRetention(t.Context(), r, host) }()
	}
	for waiting := 0; waiting < len(servers); time.Sleep(10 * time.Millisecond) {
		if err := tx.QueryRow(t.Context(), `
			SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND a.datname = current_database()`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range servers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var ahead int
	if err := admin.QueryRow(t.Context(), `SELECT count(*) FROM satchel.retention WHERE told > now()`).Scan(&ahead); err != nil || ahead != 0 {
		t.Errorf("%d told in the future, %v", ahead, err)
	}
	told, err := keepers["a"].Retentions(t.Context())
	if r, _ := postgres.InForce(told); err != nil || len(told) != 2 || r.Versions != 365*aDay {
		t.Errorf("%v is in force of %v, %v", r, told, err)
	}
}

// TestRetentionIsForAdmins: nobody but an admin sees what servers were told, and no request changes it.
func TestRetentionIsForAdmins(t *testing.T) {
	a := newAccounts(t)
	k, err := postgres.OpenKeeper(t.Context(), a.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.TellRetention(t.Context(), postgres.Retention{Trash: aDay}, "a"); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[api.ID][]string{a.admin: {"a"}, a.alice: nil, {}: nil} {
		var hosts []string
		err := a.db.As(t.Context(), user, func(ctx context.Context, tx *postgres.Tx) error {
			told, err := tx.Retentions(ctx)
			for _, r := range told {
				hosts = append(hosts, r.Host)
			}
			return err
		})
		if err != nil || !slices.Equal(hosts, want) {
			t.Errorf("%v sees %q, %v; want %q", user, hosts, err, want)
		}
	}
}
