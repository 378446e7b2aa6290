package migrations_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
	"satchel/migrations"
	"satchel/storage/postgres/pgtest"
	"satchel/storage/private"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

func state(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return fmt.Sprint(err)
}

var quiet = slog.New(slog.DiscardHandler)

func TestUpTwiceAtOnce(t *testing.T) {
	s := pgtest.Start(t)
	admin := s.URL(private.Superuser, "postgres")
	if err := migrations.CreateDatabase(t.Context(), admin, "twice"); err != nil {
		t.Fatal(err)
	}
	if err := migrations.CreateDatabase(t.Context(), admin, "twice"); err != nil {
		t.Fatalf("making a database that is there: %v", err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := migrations.Prepare(t.Context(), s.URL(private.Superuser, "twice")); err != nil {
				t.Error(err)
			}
			if err := migrations.Up(t.Context(), s.URL(migrations.Owner, "twice"), quiet); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	db := pgtest.New(t)
	conn := connect(t, db.Owner)
	if _, err := conn.Exec(t.Context(), `INSERT INTO satchel.goose_db_version (version_id, is_applied) VALUES (99999, true)`); err != nil {
		t.Fatal(err)
	}
	err := migrations.Up(t.Context(), db.Owner, quiet)
	if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), "99999") {
		t.Errorf("Up on a newer database = %v", err)
	}
}

// Every table must be behind row-level security that binds its owner too.
func TestEveryTableForcesRowSecurity(t *testing.T) {
	conn := connect(t, pgtest.New(t).Admin)
	rows, err := conn.Query(t.Context(), `
		SELECT relname FROM pg_class
		WHERE relnamespace = 'satchel'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'goose_db_version'
		  AND NOT (relrowsecurity AND relforcerowsecurity)`)
	if err != nil {
		t.Fatal(err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(open) > 0 {
		t.Errorf("tables without forced row-level security: %v, %v", open, err)
	}
}

func TestEveryPolicyIsForOneCommand(t *testing.T) {
	conn := connect(t, pgtest.New(t).Admin)
	rows, err := conn.Query(t.Context(), `SELECT tablename || '.' || policyname FROM pg_policies WHERE schemaname = 'satchel' AND cmd = 'ALL'`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(all) > 0 {
		t.Errorf("policies FOR ALL let a read grant write: %v, %v", all, err)
	}
}

// A SECURITY DEFINER function sees more than its caller: it must belong to the
// role without a log-in, pin its search_path, and not be PUBLIC's to call.
func TestDefinerFunctionsAreNarrow(t *testing.T) {
	conn := connect(t, pgtest.New(t).Admin)
	rows, err := conn.Query(t.Context(), `
		SELECT p.oid::regprocedure::text
		FROM pg_proc p
		WHERE pronamespace = 'satchel'::regnamespace AND prosecdef
		  AND (proowner <> 'satchel_auth'::regrole
		       OR NOT EXISTS (SELECT FROM unnest(proconfig) c WHERE c LIKE 'search_path=%pg_temp')
		       OR EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) a WHERE a.grantee = 0))`)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(wide) > 0 {
		t.Errorf("SECURITY DEFINER functions with too wide a reach: %v, %v", wide, err)
	}
}

func TestAppRoleIsBound(t *testing.T) {
	db := pgtest.New(t)
	app := connect(t, db.App)
	for _, sql := range []string{
		`SET ROLE satchel_owner`, `SET ROLE satchel_auth`, `SET ROLE postgres`, `RESET ROLE; SELECT set_config('role', 'satchel_owner', false)`,
		`CREATE TABLE satchel.mine (x int)`,
		`ALTER TABLE satchel.users DISABLE ROW LEVEL SECURITY`,
		`DROP POLICY own_read ON satchel.users`,
		`CREATE FUNCTION satchel.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
	} {
		if _, err := app.Exec(t.Context(), sql); state(err) != "42501" {
			t.Errorf("%s as satchel_app: %v, want 42501", sql, err)
		}
	}
	var owned int
	admin := connect(t, db.Admin)
	if err := admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relowner = 'satchel_app'::regrole`).Scan(&owned); err != nil || owned != 0 {
		t.Errorf("satchel_app owns %d relations, %v", owned, err)
	}
}

// before makes a database anew with what the files up to a version say; the caller commits it.
func before(t *testing.T, db pgtest.Database, version int64) *migrations.Rebuild {
	t.Helper()
	url, err := migrations.As(db.Admin, migrations.Owner)
	if err != nil {
		t.Fatal(err)
	}
	r, err := migrations.BeginRebuild(t.Context(), url, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := errors.Join(r.Clear(t.Context()), r.UpTo(t.Context(), version)); err != nil {
		t.Fatal(err)
	}
	return r
}

// A file waits for the transactions that use its tables, a backup's too. Whoever asks for a table meanwhile must not wait as long.
func TestUpBesideALongTransaction(t *testing.T) {
	db := pgtest.New(t)
	if err := before(t, db, 32).Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	backup, server, watch := connect(t, db.Admin), connect(t, db.Admin), connect(t, db.Admin)
	const read = `SELECT count(*) FROM satchel.users`
	for _, sql := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, read} {
		if _, err := backup.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	up := make(chan error, 1)
	go func() { up <- migrations.Up(t.Context(), db.Owner, quiet) }()
	for waits := false; !waits; { // for the table
		select {
		case err := <-up:
			t.Fatalf("migrated a table that is in use: %v", err)
		default:
		}
		err := watch.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'satchel.users'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted)`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := server.Exec(t.Context(), `SET lock_timeout = '20s'; `+read); err != nil {
		t.Errorf("a request meanwhile: %v", err)
	}
	if _, err := backup.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-up; err != nil {
		t.Fatalf("after the backup: %v", err)
	}
	if _, err := server.Exec(t.Context(), `SELECT signed_up FROM satchel.users`); err != nil {
		t.Errorf("the database is not migrated: %v", err)
	}
}

// What version 32 knew by an address is from 33 on whose it was then.
func TestAddressesOfBefore(t *testing.T) {
	db := pgtest.New(t)
	r := before(t, db, 32)
	do := func(sql string) {
		t.Helper()
		if _, err := r.Tx().Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	const add = `INSERT INTO satchel.users (id, email, role, password_hash) VALUES `
	do(`SET LOCAL ROLE ` + private.Superuser)
	// Signed up, added by an operator, added by an admin, signed up by a provider, and from before the audit log.
	do(`SELECT set_config('satchel.via', 'request', true); ` + add + `('a0000000-0000-0000-0000-000000000000', 'a@x', 'editor', 'h')`)
	do(`SELECT set_config('satchel.via', 'command', true); ` + add + `('b0000000-0000-0000-0000-000000000000', 'b@x', 'editor', 'h'), ('f0000000-0000-0000-0000-000000000000', 'f@x', 'admin', 'h')`)
	do(`SELECT set_config('satchel.via', 'request', true), set_config('satchel.user_id', 'f0000000-0000-0000-0000-000000000000', true); ` +
		add + `('c0000000-0000-0000-0000-000000000000', 'c@x', 'editor', 'h')`)
	do(`SELECT set_config('satchel.user_id', '', true); ` + add + `('d0000000-0000-0000-0000-000000000000', 'd@x', 'editor', 'h');
		INSERT INTO satchel.identities (issuer, subject, user_id) VALUES ('i', 'd', 'd0000000-0000-0000-0000-000000000000')`)
	do(add + `('e0000000-0000-0000-0000-000000000000', 'e@x', 'editor', 'h'); DELETE FROM satchel.audit WHERE subject = 'e@x'`)
	do(`SET LOCAL session_replication_role = replica; -- they are of no drive
		INSERT INTO satchel.buckets (name, drive, node, owner, rules) VALUES
		('one', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '[{"effect": "Allow", "principals": ["a@x", "nobody@x"]}, {"effect": "Deny", "principals": ["nobody@x"]}]'),
		('two', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '[]')`)
	do(`SET LOCAL ROLE ` + migrations.Owner)
	if err := errors.Join(r.Up(t.Context()), r.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	admin := connect(t, db.Admin)
	var made, rules string
	err := admin.QueryRow(t.Context(), `
		SELECT (SELECT string_agg(email, ' ' ORDER BY email) FROM satchel.users WHERE signed_up), (SELECT string_agg(rules::text, ' ' ORDER BY name) FROM satchel.buckets)`).Scan(&made, &rules)
	const want = `[{"effect": "Allow", "principals": ["a0000000-0000-0000-0000-000000000000"]}, {"effect": "Deny", "principals": []}] []`
	if err != nil || made != "a@x e@x" || rules != want {
		t.Errorf("signed up: %s; rules: %s; %v", made, rules, err)
	}
}

// A given database's role may not be allowed to make roles: then its
// administrator runs the SQL, and all goes on.
func TestGivenDatabase(t *testing.T) {
	tenant := pgtest.Rented(t)
	config, err := pgx.ParseConfig(tenant)
	if err != nil {
		t.Fatal(err)
	}
	admin := pgtest.Start(t).URL(private.Superuser, config.Database)
	as := func(role string) string {
		url, err := migrations.As(admin, role)
		if err != nil {
			t.Fatal(err)
		}
		return url
	}
	err = migrations.Prepare(t.Context(), tenant)
	missing, ok := errors.AsType[*migrations.MissingRoles](err)
	if !ok {
		t.Fatalf("Prepare as a role that may do nothing = %v, want MissingRoles", err)
	}
	given := connect(t, admin)
	if _, err := given.Exec(t.Context(), missing.SQL); err != nil {
		t.Fatalf("the SQL that was to be run: %v", err)
	}
	if err := migrations.Prepare(t.Context(), tenant); err != nil {
		t.Fatalf("Prepare after the administrator made the roles: %v", err)
	}
	if err := migrations.Up(t.Context(), as("satchel_owner"), quiet); err != nil {
		t.Fatal(err)
	}
	app := connect(t, as("satchel_app"))
	var user string
	if err := app.QueryRow(t.Context(), `SELECT current_user`).Scan(&user); err != nil || user != "satchel_app" {
		t.Errorf("As(…, satchel_app) is %q, %v", user, err)
	}

	if _, err := given.Exec(t.Context(), `ALTER ROLE satchel_app BYPASSRLS`); err != nil {
		t.Fatal(err)
	}
	defer given.Exec(t.Context(), `ALTER ROLE satchel_app NOBYPASSRLS`)
	if err := migrations.Prepare(t.Context(), tenant); api.KindOf(err) != api.Invalid {
		t.Errorf("Prepare with an app role that has BYPASSRLS = %v, want invalid", err)
	}
}

func TestAs(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://u:p@h/db":                      "postgres://u:p@h/db?role=satchel_app",
		"postgres://u@/db?host=%2Fa%20b":           "postgres://u@/db?host=%2Fa%20b&role=satchel_app",
		"postgresql://h1:1,h2:2/db?sslmode=prefer": "postgresql://h1:1,h2:2/db?sslmode=prefer&role=satchel_app",
		"host=h user=u":                            "host=h user=u role=satchel_app",
		"postgres://satchel_app@h/db":              "postgres://satchel_app@h/db",
	} {
		if got, err := migrations.As(in, migrations.App); err != nil || got != want {
			t.Errorf("As(%s) = %s, %v; want %s", in, got, err, want)
		}
	}
	if _, err := migrations.As("postgres://:::", migrations.App); api.KindOf(err) != api.Invalid {
		t.Errorf("As of no URL = %v, want invalid", err)
	}
}

// TestCheckWaitsForAMigration: what is asked in the middle of one sees its end.
func TestCheckWaitsForAMigration(t *testing.T) {
	db := pgtest.New(t)
	if err := before(t, db, 32).Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Check(t.Context(), db.Owner); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "version 32") {
		t.Fatalf("before: %v", err)
	}
	if err := migrations.CheckReadable(t.Context(), db.Owner); err != nil {
		t.Errorf("to read: %v", err)
	}
	holds, watch := connect(t, db.Admin), connect(t, db.Admin)
	for _, sql := range []string{`BEGIN`, `SELECT count(*) FROM satchel.users`} { // which 33 waits for
		if _, err := holds.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	up, check := make(chan error, 1), make(chan error, 1)
	until := func(what string) {
		t.Helper()
		for is := false; !is; {
			select {
			case err := <-up:
				t.Fatalf("migrated a table that is in use: %v", err)
			case err := <-check:
				t.Fatalf("it did not wait: %v", err)
			default:
			}
			if err := watch.QueryRow(t.Context(), `SELECT EXISTS (`+what+`)`).Scan(&is); err != nil {
				t.Fatal(err)
			}
		}
	}
	go func() { up <- migrations.Up(t.Context(), db.Owner, quiet) }()
	until(`SELECT FROM pg_locks WHERE relation = 'satchel.users'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted`)
	go func() { check <- migrations.Check(t.Context(), db.Owner) }()
	until(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' AND query LIKE 'SELECT CASE WHEN pg_try_advisory_lock%'`)
	if _, err := holds.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	if err := <-check; err != nil {
		t.Errorf("it saw the middle: %v", err)
	}
}

// TestCheckOfNothing: a database without a schema is none, and none is made.
func TestCheckOfNothing(t *testing.T) {
	tenant := pgtest.Rented(t)
	for range 2 {
		if err := migrations.Check(t.Context(), tenant); api.KindOf(err) != api.NotFound {
			t.Errorf("an empty database: %v", err)
		}
	}
}
