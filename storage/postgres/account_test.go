package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

// accounts is a database with two editors and an admin.
type accounts struct {
	pgtest.Database
	db                *postgres.DB
	operator          *postgres.Operator
	alice, bob, admin api.ID
}

func newAccounts(t *testing.T) *accounts {
	t.Helper()
	a := &accounts{Database: pgtest.New(t)}
	var err error
	if a.db, err = postgres.Open(t.Context(), a.App); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.db.Close)
	if a.operator, err = postgres.OpenOperator(t.Context(), a.Owner); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.operator.Close)
	for _, u := range []struct {
		id          *api.ID
		email, role string
	}{{&a.alice, "Alice@example.org", "editor"}, {&a.bob, "bob@example.org", "editor"}, {&a.admin, "root@example.org", "admin"}} {
		*u.id = api.NewID()
		if err := a.operator.AddUser(t.Context(), postgres.User{ID: *u.id, Email: u.email, Role: u.role}, "hash of "+u.email); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func (a *accounts) session(t *testing.T, user api.ID, s postgres.NewSession) postgres.NewSession {
	t.Helper()
	s.ID = api.NewID()
	copy(s.Secret[:], s.ID[:])
	if s.Name == "" {
		s.Name = "laptop"
	}
	if s.Kind == "" {
		s.Kind = postgres.DeviceSession
	}
	by := a.proof(t, user)
	err := a.db.As(t.Context(), user, func(ctx context.Context, tx *postgres.Tx) error { return tx.AddSession(ctx, s, by) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// proof is what somebody has who knows the user's password.
func (a *accounts) proof(t *testing.T, user api.ID) (by postgres.Proof) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), a.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), `SELECT password_hash FROM satchel.users WHERE id = $1`, user.String()).Scan(&by.PasswordHash); err != nil {
		t.Fatal(err)
	}
	return by
}

// sql runs statements as satchel_app with a user set, beside all Go code.
func (a *accounts) sql(t *testing.T, user api.ID, statement string, args ...any) (int64, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), a.App)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if !user.IsZero() {
		if _, err := conn.Exec(t.Context(), `SELECT set_config('satchel.user_id', $1, false)`, user.String()); err != nil {
			t.Fatal(err)
		}
	}
	tag, err := conn.Exec(t.Context(), statement, args...)
	return tag.RowsAffected(), err
}

func sqlState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return fmt.Sprint(err)
}

// The database alone enforces it: as satchel_app with a user set, SQL sees
// only that user's rows; with none set, none.
func TestAccountRowsOverSQL(t *testing.T) {
	a := newAccounts(t)
	a.session(t, a.alice, postgres.NewSession{})
	a.session(t, a.bob, postgres.NewSession{})
	tests := []struct {
		name string
		user api.ID
		sql  string
		rows int64
	}{
		{"own account", a.alice, `SELECT id, email FROM satchel.users`, 1},
		{"own sessions", a.alice, `SELECT id FROM satchel.sessions`, 1},
		{"no user: accounts", api.ID{}, `SELECT id FROM satchel.users`, 0},
		{"no user: sessions", api.ID{}, `SELECT id FROM satchel.sessions`, 0},
		{"an admin sees no other account", a.admin, `SELECT id FROM satchel.users`, 1},
		{"own name can change", a.alice, `UPDATE satchel.users SET name = 'A'`, 1},
		{"another's name can't", a.alice, `UPDATE satchel.users SET name = 'X' WHERE id = '` + a.bob.String() + `'`, 0},
		{"another's session can't be ended", a.alice, `UPDATE satchel.sessions SET revoked = now() WHERE user_id = '` + a.bob.String() + `'`, 0},
		{"admin by id", a.admin, `SELECT WHERE satchel.is_admin()`, 1},
		{"no admin by id", a.alice, `SELECT WHERE satchel.is_admin()`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if n, err := a.sql(t, tt.user, tt.sql); err != nil || n != tt.rows {
				t.Errorf("%s: %d rows, %v; want %d", tt.sql, n, err, tt.rows)
			}
		})
	}
}

// An UPDATE of one's own role, or INSERT for another owner, fails (SQLSTATE 42501).
func TestAccountWritesRefusedOverSQL(t *testing.T) {
	a := newAccounts(t)
	for _, tt := range []struct{ name, sql string }{
		{"own role", `UPDATE satchel.users SET role = 'admin'`},
		{"own quota", `UPDATE satchel.users SET quota = 0`},
		{"own password", `UPDATE satchel.users SET password_hash = 'x'`},
		{"read own password hash", `SELECT password_hash FROM satchel.users`},
		{"read secrets", `SELECT secret_sha256 FROM satchel.sessions`},
		{"a new account", `INSERT INTO satchel.users (id, email, role, password_hash) VALUES (gen_random_uuid(), 'x@example.org', 'admin', 'x')`},
		{"delete an account", `DELETE FROM satchel.users`},
		{"delete a session", `DELETE FROM satchel.sessions`},
		{"a session of another", `INSERT INTO satchel.sessions (id, user_id, kind, name, secret_sha256)
			VALUES (gen_random_uuid(), '` + a.bob.String() + `', 'device', 'x', sha256('x'))`},
		{"a session given to another", `UPDATE satchel.sessions SET user_id = '` + a.bob.String() + `'`},
		{"a longer life", `UPDATE satchel.sessions SET expires = NULL`},
		{"a key", `INSERT INTO satchel.signing_keys (kid, sealed) VALUES ('x', 'x')`},
		{"forget a key", `DELETE FROM satchel.signing_keys`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := a.sql(t, a.alice, tt.sql); sqlState(err) != "42501" {
				t.Errorf("%s: %v, want 42501", tt.sql, err)
			}
		})
	}
}

func TestOwnerIsBoundToo(t *testing.T) {
	a := newAccounts(t)
	conn, err := pgx.Connect(t.Context(), a.Owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var n int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM satchel.users`).Scan(&n); err != nil || n != 0 {
		t.Errorf("satchel_owner sees %d accounts, %v; want none", n, err)
	}
}

func TestLoginAccount(t *testing.T) {
	a := newAccounts(t)
	got, err := a.db.LoginAccount(t.Context(), "ALICE@example.org")
	if err != nil || got.ID != a.alice || got.Email != "alice@example.org" || got.PasswordHash != "hash of Alice@example.org" {
		t.Errorf("LoginAccount = %+v, %v", got, err)
	}
	for _, email := range []string{"", "nobody@example.org", "alice@example.org\x00", "\xff"} {
		if _, err := a.db.LoginAccount(t.Context(), email); api.KindOf(err) != api.NotFound {
			t.Errorf("LoginAccount(%q) = %v, want not found", email, err)
		}
	}
	if err := a.operator.DisableUser(t.Context(), "alice@example.org"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.db.LoginAccount(t.Context(), "alice@example.org"); api.KindOf(err) != api.NotFound {
		t.Errorf("LoginAccount of a disabled account = %v, want not found", err)
	}
}

func TestSessionsLiveAndEnd(t *testing.T) {
	a := newAccounts(t)
	s := a.session(t, a.alice, postgres.NewSession{Name: "laptop"})
	got, err := a.db.SessionByID(t.Context(), s.ID)
	want := postgres.Session{ID: s.ID, Kind: postgres.DeviceSession, Name: "laptop", User: a.alice, Email: "alice@example.org", Role: "editor"}
	if err != nil || got != want {
		t.Fatalf("SessionByID = %+v, %v; want %+v", got, err, want)
	}
	if got, err = a.db.SessionBySecret(t.Context(), s.Secret, postgres.DeviceSession); err != nil || got != want {
		t.Fatalf("SessionBySecret = %+v, %v", got, err)
	}
	if _, err = a.db.SessionBySecret(t.Context(), s.Secret, postgres.BrowserSession); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("a device's secret as a cookie: %v", err)
	}

	ends := []struct {
		name string
		end  func(id api.ID) error
		s    postgres.NewSession
	}{
		{"revoked", func(id api.ID) error {
			return a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error { return tx.RevokeSession(ctx, id) })
		}, postgres.NewSession{}},
		{"expired", func(api.ID) error { time.Sleep(20 * time.Millisecond); return nil }, postgres.NewSession{Lifetime: 10 * time.Millisecond}},
		{"password changed", func(api.ID) error { return a.operator.SetPassword(t.Context(), "alice@example.org", "new") }, postgres.NewSession{}},
		{"account disabled", func(api.ID) error { return a.operator.DisableUser(t.Context(), "alice@example.org") }, postgres.NewSession{}},
	}
	for _, tt := range ends {
		t.Run(tt.name, func(t *testing.T) {
			s := a.session(t, a.alice, tt.s)
			if err := tt.end(s.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := a.db.SessionByID(t.Context(), s.ID); api.KindOf(err) != api.Unauthenticated {
				t.Errorf("SessionByID = %v, want unauthenticated", err)
			}
			if _, err := a.db.SessionBySecret(t.Context(), s.Secret, postgres.DeviceSession); api.KindOf(err) != api.Unauthenticated {
				t.Errorf("SessionBySecret = %v, want unauthenticated", err)
			}
		})
	}
}

func TestIdleSessionSlides(t *testing.T) {
	a := newAccounts(t)
	s := a.session(t, a.alice, postgres.NewSession{Kind: postgres.BrowserSession, Idle: 15 * time.Minute, Lifetime: time.Hour})
	seen := func(ago string) {
		t.Helper()
		if _, err := a.sql(t, a.alice, `UPDATE satchel.sessions SET seen = now() - $1::interval WHERE id = $2`, ago, s.ID.String()); err != nil {
			t.Fatal(err)
		}
	}
	seen("14 minutes")
	if _, err := a.db.SessionUnused(t.Context(), s.Secret, postgres.BrowserSession); err != nil {
		t.Fatalf("after 14 minutes: %v", err)
	}
	if n, err := a.sql(t, a.alice, `SELECT FROM satchel.sessions WHERE seen > now() - interval '13 minutes'`); err != nil || n != 0 {
		t.Errorf("what is no use made %d sessions seen, %v", n, err)
	}
	if _, err := a.db.SessionBySecret(t.Context(), s.Secret, postgres.BrowserSession); err != nil {
		t.Fatalf("used after 14 minutes: %v", err)
	}
	// That use has moved it on.
	if n, err := a.sql(t, a.alice, `SELECT FROM satchel.sessions WHERE seen > now() - interval '1 minute'`); err != nil || n != 1 {
		t.Errorf("sessions seen just now = %d, %v", n, err)
	}
	seen("16 minutes")
	for _, by := range []func(context.Context, api.Hash, postgres.SessionKind) (postgres.Session, error){a.db.SessionBySecret, a.db.SessionUnused} {
		if _, err := by(t.Context(), s.Secret, postgres.BrowserSession); api.KindOf(err) != api.Unauthenticated {
			t.Errorf("used after 16 minutes: %v, want unauthenticated", err)
		}
	}
}

func TestCleanSessions(t *testing.T) {
	a := newAccounts(t)
	kept := a.session(t, a.alice, postgres.NewSession{})
	revoked := a.session(t, a.alice, postgres.NewSession{})
	idle := a.session(t, a.alice, postgres.NewSession{Kind: postgres.BrowserSession, Idle: 15 * time.Minute})
	for id, set := range map[api.ID]string{
		revoked.ID: `revoked = now() - interval '31 days'`,
		idle.ID:    `seen = now() - interval '2 days'`,
	} {
		if _, err := a.sql(t, a.alice, `UPDATE satchel.sessions SET `+set+` WHERE id = $1`, id.String()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := a.db.CleanSessions(t.Context()); err != nil || n != 2 {
		t.Errorf("CleanSessions = %d, %v; want 2", n, err)
	}
	if _, err := a.db.SessionByID(t.Context(), kept.ID); err != nil {
		t.Errorf("the live session: %v", err)
	}
}

func TestDevices(t *testing.T) {
	a := newAccounts(t)
	one := a.session(t, a.alice, postgres.NewSession{Name: "one"})
	a.session(t, a.alice, postgres.NewSession{Kind: postgres.BrowserSession})
	other := a.session(t, a.bob, postgres.NewSession{Name: "bob's"})
	list := func() (names []string) {
		err := a.db.AsReadOnly(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
			devices, err := tx.Sessions(ctx, postgres.DeviceSession)
			for _, d := range devices {
				names = append(names, d.Name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := list(); len(got) != 1 || got[0] != "one" {
		t.Errorf("devices = %q, want only one", got)
	}
	revoke := func(id api.ID) error {
		return a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error { return tx.RevokeSession(ctx, id) })
	}
	if err := revoke(other.ID); api.KindOf(err) != api.NotFound {
		t.Errorf("revoking another's device = %v, want not found", err)
	}
	if err := revoke(one.ID); err != nil {
		t.Fatal(err)
	}
	if got := list(); len(got) != 0 {
		t.Errorf("devices after revoking = %q", got)
	}
	if err := revoke(one.ID); api.KindOf(err) != api.NotFound {
		t.Errorf("revoking twice = %v, want not found", err)
	}
}

func TestSigningKeyIsReplacedOnce(t *testing.T) {
	a := newAccounts(t)
	for _, id := range []string{"first", "second"} {
		if err := a.db.AddSigningKey(t.Context(), id, []byte(id), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := a.db.SigningKeys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != "first" || !keys[0].Retired.IsZero() {
		t.Fatalf("keys = %+v, %v; want the first alone", keys, err)
	}
	if err := a.db.AddSigningKey(t.Context(), "third", []byte("third"), 0); err != nil {
		t.Fatal(err)
	}
	keys, err = a.db.SigningKeys(t.Context())
	if err != nil || len(keys) != 2 || keys[0].ID != "third" || keys[1].Retired.Before(time.Now().Add(time.Hour)) {
		t.Fatalf("keys = %+v, %v; want the third, and the first retiring in two hours", keys, err)
	}
}

func TestOperator(t *testing.T) {
	a := newAccounts(t)
	if err := a.operator.AddUser(t.Context(), postgres.User{ID: api.NewID(), Email: "ALICE@EXAMPLE.ORG", Role: "editor"}, "x"); api.KindOf(err) != api.Exists {
		t.Errorf("the same address in capitals = %v, want exists", err)
	}
	if err := a.operator.DisableUser(t.Context(), "nobody@example.org"); api.KindOf(err) != api.NotFound {
		t.Errorf("DisableUser of nobody = %v", err)
	}
	users, err := a.operator.Users(t.Context())
	if err != nil || len(users) != 3 || users[0].Email != "alice@example.org" || users[2].Role != "admin" {
		t.Errorf("Users = %+v, %v", users, err)
	}
}
