package postgres_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/postgres"
)

const (
	aliceEmail = "alice@example.org"
	bobEmail   = "bob@example.org"
	rootEmail  = "root@example.org"
)

// events lists the audit log as a user, the newest first.
func (a *accounts) events(t *testing.T, user api.ID, q postgres.EventQuery) (events []postgres.Event) {
	t.Helper()
	q.Limit = 1000
	err := a.db.AsReadOnly(t.Context(), user, func(ctx context.Context, tx *postgres.Tx) (err error) {
		events, err = tx.Events(ctx, q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// change changes an account as an admin.
func (a *accounts) change(t *testing.T, by, whom api.ID, c postgres.AccountChange) error {
	return a.db.As(postgres.FromRequest(t.Context(), netip.MustParseAddr("192.0.2.7")), by, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AdminChangeUser(ctx, whom, c)
	})
}

func TestAuditTellsWhoDidWhat(t *testing.T) {
	a := newAccounts(t)
	ctx := postgres.FromRequest(t.Context(), netip.MustParseAddr("192.0.2.7"))
	session, by := api.NewID(), a.proof(t, a.alice)
	as := func(user api.ID, fn func(context.Context, *postgres.Tx) error) {
		t.Helper()
		if err := a.db.As(ctx, user, fn); err != nil {
			t.Fatal(err)
		}
	}
	as(a.alice, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AddSession(ctx, postgres.NewSession{ID: session, Kind: postgres.DeviceSession, Name: "laptop", Secret: api.Hash{1}}, by)
	})
	as(a.alice, func(ctx context.Context, tx *postgres.Tx) error { return tx.RevokeSession(ctx, session) })
	for _, email := range []string{"ALICE@example.org", "my secret password"} {
		if err := a.db.LoginRefused(ctx, email); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.change(t, a.admin, a.bob, postgres.AccountChange{Quota: new(int64(7)), Disabled: new(true)}); err != nil {
		t.Fatal(err)
	}
	if err := a.db.Ban(ctx, netip.MustParsePrefix("198.51.100.0/24"), "..", time.Hour); err != nil {
		t.Fatal(err)
	}
	as(a.admin, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AdminLiftBans(ctx, netip.MustParsePrefix("198.51.100.9/32"))
	})
	if err := a.operator.SetQuota(t.Context(), bobEmail, 9); err != nil {
		t.Fatal(err)
	}

	type told struct{ action, subject, actor, via, address string }
	var got []told
	for _, e := range a.events(t, a.admin, postgres.EventQuery{}) {
		if e.Action != "account added" {
			got = append([]told{{e.Action, e.Subject, e.Actor, e.Via, e.Address}}, got...)
		}
	}
	want := []told{
		{"logged in", aliceEmail, aliceEmail, "request", "192.0.2.7"},
		{"session ended", aliceEmail, aliceEmail, "request", "192.0.2.7"},
		{"log-in refused", aliceEmail, "", "request", "192.0.2.7"},
		{"log-in refused", "an unknown address", "", "request", "192.0.2.7"},
		{"account disabled", bobEmail, rootEmail, "request", "192.0.2.7"},
		{"quota changed", bobEmail, rootEmail, "request", "192.0.2.7"},
		{"network banned", "198.51.100.0/24", "", "server", ""},
		{"ban lifted", "198.51.100.0/24", rootEmail, "request", "192.0.2.7"},
		{"quota changed", bobEmail, "", "command", ""},
	}
	if len(got) != len(want) {
		t.Fatalf("the log has %v\nwant %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d is %v, want %v", i, got[i], want[i])
		}
	}
	if e := a.events(t, a.admin, postgres.EventQuery{Action: "quota changed", Text: "BOB@"}); len(e) != 2 || !strings.Contains(string(e[0].Detail), "9") || e[0].Operator == "" {
		t.Errorf("by action and subject: %+v", e)
	}
	for _, user := range []api.ID{a.alice, a.bob, {}} {
		if e := a.events(t, user, postgres.EventQuery{}); len(e) > 0 {
			t.Errorf("%v sees %v", user, e)
		}
	}
}

// An action that is rolled back leaves no line.
func TestAuditIsOfTheSameTransaction(t *testing.T) {
	a := newAccounts(t)
	before, by := len(a.events(t, a.admin, postgres.EventQuery{})), a.proof(t, a.alice)
	a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
		if err := tx.AddSession(ctx, postgres.NewSession{ID: api.NewID(), Kind: postgres.DeviceSession, Name: "x", Secret: api.Hash{9}}, by); err != nil {
			t.Error(err)
		}
		return context.Canceled
	})
	if after := len(a.events(t, a.admin, postgres.EventQuery{})); after != before {
		t.Errorf("%d lines of what was rolled back", after-before)
	}
}

// Whoever can run any statement as satchel_app can't forge, change or remove a
// line, and has nothing of what is an admin's.
func TestAuditIsAppendOnlyOverSQL(t *testing.T) {
	a := newAccounts(t)
	lines := len(a.events(t, a.admin, postgres.EventQuery{}))
	for _, user := range []api.ID{a.alice, a.admin} {
		for _, statement := range []string{
			`DELETE FROM satchel.audit`, `UPDATE satchel.audit SET action = 'x'`, `TRUNCATE satchel.audit`,
			`INSERT INTO satchel.audit (via, action) VALUES ('request', 'x')`,
			`SELECT satchel.record('x', 'y', '{}')`, `ALTER TABLE satchel.users DISABLE TRIGGER audit`,
			`SELECT satchel.drive_note('` + api.NewID().String() + `', 'drive restored', '{}')`,
			`UPDATE satchel.runs SET failure = 'x'`, `DELETE FROM satchel.activity`, `INSERT INTO satchel.counted VALUES ('x', now())`,
		} {
			if _, err := a.sql(t, user, statement); sqlState(err) != "42501" {
				t.Errorf("%s: %v, want 42501", statement, err)
			}
		}
	}
	if now := len(a.events(t, a.admin, postgres.EventQuery{})); now != lines {
		t.Errorf("%d lines became %d", lines, now)
	}
	for _, statement := range []string{
		`SELECT satchel.admin_add_user('` + api.NewID().String() + `', 'evil@example.org', '', 'admin', 0, 'x')`,
		`SELECT satchel.admin_change_user('` + a.alice.String() + `', NULL, 'admin', NULL, NULL, NULL)`,
		`SELECT satchel.admin_end_session('` + api.NewID().String() + `')`, `SELECT satchel.admin_lift_bans('0.0.0.0/0')`,
	} {
		if _, err := a.sql(t, a.alice, statement); sqlState(err) != "42501" {
			t.Errorf("%s: %v, want 42501", statement, err)
		}
	}
	a.fill(t, a.bob)
	const files = `SELECT FROM satchel.admin_files(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 10)`
	for _, statement := range []string{
		`SELECT FROM satchel.audit`, `SELECT FROM satchel.runs`, `SELECT FROM satchel.activity`, `SELECT FROM satchel.all_sessions()`, `SELECT FROM satchel.accounts()`, files,
	} {
		if n, err := a.sql(t, a.alice, statement); err != nil || n != 0 {
			t.Errorf("%s: %d rows, %v", statement, n, err)
		}
	}
	if n, err := a.sql(t, a.admin, files); err != nil || n != 1 {
		t.Errorf("the admin sees %d files, %v", n, err)
	}
}

// There is always an admin who can log in, also when two disable each other at once.
func TestLastAdminStays(t *testing.T) {
	a := newAccounts(t)
	two := api.NewID()
	if err := a.operator.AddUser(t.Context(), postgres.User{ID: two, Email: "two@example.org", Role: "admin"}, "hash"); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	go func() { errs <- a.change(t, a.admin, two, postgres.AccountChange{Disabled: new(true)}) }()
	go func() { errs <- a.change(t, two, a.admin, postgres.AccountChange{Disabled: new(true)}) }()
	first, second := <-errs, <-errs
	if (first == nil) == (second == nil) {
		t.Fatalf("both or neither was disabled: %v, %v", first, second)
	}
	left := a.admin
	if len(a.events(t, a.admin, postgres.EventQuery{})) == 0 {
		left = two
	}
	for _, c := range []postgres.AccountChange{{Role: new("editor")}, {Disabled: new(true)}} {
		err := a.change(t, left, left, c)
		if api.KindOf(err) != api.Permission || !strings.Contains(err.Error(), "last admin") {
			t.Errorf("the last admin is changed: %v", err)
		}
	}
}

// Days and kinds are counted as drives change.
func TestFiguresAreCounted(t *testing.T) {
	a := newAccounts(t)
	a.fill(t, a.alice)
	k, err := postgres.OpenKeeper(t.Context(), a.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if err := k.CountExtensions(t.Context(), []string{"txt"}); err != nil {
		t.Fatal(err)
	}
	err = a.db.AsReadOnly(t.Context(), a.admin, func(ctx context.Context, tx *postgres.Tx) error {
		days, err := tx.Days(ctx, time.Now().AddDate(0, 0, -2), api.ID{})
		if err != nil || len(days) != 1 || days[0].Changes != 4 || days[0].Added != 5 || days[0].Removed != 0 ||
			time.Since(days[0].Day).Abs() > 25*time.Hour {
			t.Errorf("the days are %+v, %v", days, err)
		}
		use, at, err := tx.Extensions(ctx, a.alice)
		if err != nil || len(use) != 1 || use[0] != (postgres.ExtensionUse{Extension: "", Files: 1, Bytes: 5}) || time.Since(at) > time.Minute {
			t.Errorf("the extensions are %+v of %v, %v", use, at, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A run is told from its beginning to its end, and what is old is forgotten.
func TestRunsAreTold(t *testing.T) {
	a := newAccounts(t)
	k, err := postgres.OpenKeeper(t.Context(), a.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	runs := func() (runs []postgres.Run) {
		err := a.db.AsReadOnly(t.Context(), a.admin, func(ctx context.Context, tx *postgres.Tx) (err error) {
			runs, err = tx.Runs(ctx, 10, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return runs
	}
	if err := k.StartRun(t.Context(), postgres.Run{ID: api.NewID(), Kind: "fsck", Via: "command", Host: "h"}); err != nil {
		t.Fatal(err)
	}
	superuser, err := pgx.Connect(t.Context(), a.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer superuser.Close(context.WithoutCancel(t.Context()))
	if _, err := superuser.Exec(t.Context(), `UPDATE satchel.runs SET started = now() - interval '3 days', touched = now() - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	if r := runs(); len(r) != 1 || r[0].Live() || r[0].Finished != nil {
		t.Fatalf("a run that died is %+v", r)
	}
	r := postgres.Run{ID: api.NewID(), Kind: "gc", Via: "request", User: a.admin, Host: "h"}
	if err := k.StartRun(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := k.TouchRun(t.Context(), r.ID, "chunks", 3, 9); err != nil {
		t.Fatal(err)
	}
	all := runs()
	if len(all) != 2 || !all[0].Live() || all[0].Step != "chunks" || all[0].Done != 3 || all[0].Actor != rootEmail || all[1].Failure == "" {
		t.Fatalf("the runs are %+v", all)
	}
	report, _ := json.Marshal(map[string]int{"chunks": 1})
	if err := k.EndRun(t.Context(), r.ID, report, ""); err != nil {
		t.Fatal(err)
	}
	if all = runs(); all[0].Finished == nil || all[0].Failure != "" || !strings.Contains(string(all[0].Report), `"chunks"`) {
		t.Errorf("an ended run is %+v", all[0])
	}
	if e := a.events(t, a.admin, postgres.EventQuery{Action: "gc started"}); len(e) != 1 || e[0].Actor != rootEmail || e[0].Via != "request" {
		t.Errorf("the log tells of the run: %+v", e)
	}
	lines := len(a.events(t, a.admin, postgres.EventQuery{}))
	if n, err := k.ForgetEvents(t.Context(), time.Now().Add(-24*time.Hour)); err != nil || n != 0 {
		t.Errorf("%d young lines were forgotten, %v", n, err)
	}
	if err := k.ForgetRuns(t.Context(), time.Now().Add(-24*time.Hour)); err != nil || len(runs()) != 1 {
		t.Errorf("%d runs are left, %v", len(runs()), err)
	}
	if n, err := k.ForgetEvents(t.Context(), time.Now().Add(time.Hour)); err != nil || n != int64(lines) {
		t.Errorf("%d of %d lines were forgotten, %v", n, lines, err)
	}
}
