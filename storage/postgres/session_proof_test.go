package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/postgres"
)

// A session is made for who knows the password that the account has, or through a live session of its own; nobody else makes one.
func TestSessionNeedsAProof(t *testing.T) {
	a := newAccounts(t)
	live, ended, bobs := a.session(t, a.alice, postgres.NewSession{}), a.session(t, a.alice, postgres.NewSession{}), a.session(t, a.bob, postgres.NewSession{})
	late := a.session(t, a.alice, postgres.NewSession{Kind: postgres.BrowserSession, Lifetime: time.Hour})
	hash := a.proof(t, a.alice).PasswordHash
	conn, err := pgx.Connect(t.Context(), a.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), `UPDATE satchel.sessions SET revoked = CASE WHEN id = $1 THEN now() END, expires = CASE WHEN id = $2 THEN now() END WHERE id IN ($1, $2)`,
		ended.ID.String(), late.ID.String()); err != nil {
		t.Fatal(err)
	}
	try := func(user api.ID, by postgres.Proof) error {
		id := api.NewID()
		s := postgres.NewSession{ID: id, Kind: postgres.AppSession, Name: "app"}
		copy(s.Secret[:], id[:])
		return a.db.As(t.Context(), user, func(ctx context.Context, tx *postgres.Tx) error { return tx.AddSession(ctx, s, by) })
	}
	for what, c := range map[string]struct {
		user api.ID
		by   postgres.Proof
		good bool
	}{
		"the password":               {a.alice, postgres.Proof{PasswordHash: hash}, true},
		"a live session":             {a.alice, postgres.Proof{Session: live.ID}, true},
		"nothing":                    {a.alice, postgres.Proof{}, false},
		"another password":           {a.alice, postgres.Proof{PasswordHash: "hash of before"}, false},
		"another one's password":     {a.alice, a.proof(t, a.bob), false},
		"a session that was ended":   {a.alice, postgres.Proof{Session: ended.ID}, false},
		"a session whose time is up": {a.alice, postgres.Proof{Session: late.ID}, false},
		"another one's session":      {a.alice, postgres.Proof{Session: bobs.ID}, false},
		"no session of anybody":      {a.alice, postgres.Proof{Session: api.NewID()}, false},
		"nobody, the password":       {api.ID{}, postgres.Proof{PasswordHash: hash}, false},
		"nobody, a live session":     {api.ID{}, postgres.Proof{Session: live.ID}, false},
		"nobody, nothing":            {api.ID{}, postgres.Proof{}, false},
	} {
		if err := try(c.user, c.by); (err == nil) != c.good || !c.good && api.KindOf(err) != api.Unauthenticated {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := a.operator.DisableUser(t.Context(), "alice@example.org"); err != nil {
		t.Fatal(err)
	}
	if err := try(a.alice, postgres.Proof{PasswordHash: hash}); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("the password of a disabled account: %v", err)
	}
}

// A password is changed by who knows the one that the account has, through a live session of it; else all is as it was.
func TestChangePasswordNeedsBothProofs(t *testing.T) {
	a := newAccounts(t)
	keep, other, ended, bobs := a.session(t, a.alice, postgres.NewSession{}), a.session(t, a.alice, postgres.NewSession{}), a.session(t, a.alice, postgres.NewSession{}), a.session(t, a.bob, postgres.NewSession{})
	hash := a.proof(t, a.alice).PasswordHash
	err := a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error { return tx.RevokeSession(ctx, ended.ID) })
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		verified string
		through  api.ID
	}{
		"another password":         {"hash of before", keep.ID},
		"a session that was ended": {hash, ended.ID},
		"another one's session":    {hash, bobs.ID},
	} {
		err := a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
			_, err := tx.ChangePassword(ctx, c.verified, "the next", c.through)
			return err
		})
		if api.KindOf(err) != api.Unauthenticated {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := a.proof(t, a.alice).PasswordHash; got != hash {
		t.Errorf("the password was changed")
	}
	for _, id := range []api.ID{keep.ID, other.ID, bobs.ID} {
		if _, err := a.db.SessionByID(t.Context(), id); err != nil {
			t.Errorf("a session has ended: %v", err)
		}
	}
}

// A session that is being made while the account's sessions are ended ends with them.
func TestSessionBeingMadeEndsWithTheOthers(t *testing.T) {
	a := newAccounts(t)
	const alice = "alice@example.org"
	admin, err := pgx.Connect(t.Context(), a.Admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	byAdmin := func(c postgres.AccountChange) func() error {
		return func() error { return a.change(t, a.admin, a.alice, c) }
	}
	for what, end := range map[string]func() error{
		"its owner changes the password": func() error {
			keep, was := a.session(t, a.alice, postgres.NewSession{}), a.proof(t, a.alice)
			return a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
				_, err := tx.ChangePassword(ctx, was.PasswordHash, "the next", keep.ID)
				return err
			})
		},
		"he does by a server of the version before": func() error {
			_, err := a.sql(t, a.alice, `SELECT satchel.change_password('one more', $1)`, a.session(t, a.alice, postgres.NewSession{}).ID.String())
			return err
		},
		"an admin resets the password":     byAdmin(postgres.AccountChange{PasswordHash: new("by an admin")}),
		"an admin disables the account":    byAdmin(postgres.AccountChange{Disabled: new(true)}),
		"an admin changes the role":        byAdmin(postgres.AccountChange{Role: new("admin")}),
		"the operator sets a password":     func() error { return a.operator.SetPassword(t.Context(), alice, "by the operator") },
		"the operator disables it":         func() error { return a.operator.DisableUser(t.Context(), alice) },
		"the operator changes the role":    func() error { return a.operator.SetRole(t.Context(), alice, "admin") },
		"the operator takes the role back": func() error { return a.operator.SetRole(t.Context(), alice, "editor") },
	} {
		if err := a.operator.EnableUser(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		s, by := postgres.NewSession{ID: api.NewID(), Kind: postgres.DeviceSession, Name: "laptop"}, a.proof(t, a.alice)
		copy(s.Secret[:], s.ID[:])
		done := make(chan error, 1)
		err := a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
			if err := tx.AddSession(ctx, s, by); err != nil {
				return err
			}
			go func() { done <- end() }()
			for waits := false; !waits && len(done) == 0; time.Sleep(time.Millisecond) {
				if err := admin.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := a.operator.EnableUser(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		if _, err := a.db.SessionByID(t.Context(), s.ID); api.KindOf(err) != api.Unauthenticated {
			t.Errorf("%s: the session that was being made: %v", what, err)
		}
	}
}

// What servers of the version before call goes on until the last of them is restarted.
func TestSessionsByAFormerServer(t *testing.T) {
	a := newAccounts(t)
	keep, ended := a.session(t, a.alice, postgres.NewSession{}), api.NewID()
	insert := func(id api.ID) {
		t.Helper()
		n, err := a.sql(t, a.alice, `INSERT INTO satchel.sessions (id, user_id, kind, name, secret_sha256, idle, expires) VALUES ($1, $2, 'device', 'x', sha256($3::bytea), NULL, NULL)`,
			id.String(), a.alice.String(), id[:])
		if err != nil || n != 1 {
			t.Fatalf("a session is inserted: %d, %v", n, err)
		}
	}
	insert(ended)
	if begun, err := a.db.BeginDevice(t.Context(), api.Hash{1}, "BCDFGHJK", "laptop", "192.0.2.1", time.Minute); err != nil || !begun {
		t.Fatal(begun, err)
	}
	if _, err := a.sql(t, a.alice, `SELECT satchel.change_password('the next', $1)`, keep.ID.String()); err != nil {
		t.Errorf("the password is changed: %v", err)
	}
	if got := a.proof(t, a.alice).PasswordHash; got != "the next" {
		t.Errorf("the password is %q", got)
	}
	if _, err := a.db.SessionByID(t.Context(), ended); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("the other session: %v", err)
	}
	if _, err := a.sql(t, a.alice, `SELECT satchel.change_password('the old one', $1)`, ended.String()); sqlState(err) != "28P01" {
		t.Errorf("a session that has ended changes the password: %v", err)
	}
	if _, err := a.sql(t, a.alice, `SELECT satchel.answer_device('BCDFGHJK', true)`); err != nil {
		t.Errorf("a device is let in: %v", err)
	}
	if state, device, account, err := a.db.PollDevice(t.Context(), api.Hash{1}, time.Second); err != nil || state != api.DeviceAllowed || device != "laptop" || account.ID != a.alice || account.PasswordHash != "the next" {
		t.Errorf("the device is %s, %q, %+v, %v", state, device, account, err)
	}
}
