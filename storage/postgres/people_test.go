package postgres_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

func TestPeopleShowsNamesOnly(t *testing.T) {
	a := newAccounts(t)
	people := func(user api.ID, q postgres.FileQuery) (all []postgres.Person) {
		t.Helper()
		err := a.db.AsReadOnly(t.Context(), user, func(ctx context.Context, tx *postgres.Tx) (err error) {
			all, err = tx.People(ctx, q)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := people(api.ID{}, postgres.FileQuery{}); len(all) != 0 {
		t.Errorf("nobody sees %+v", all)
	}
	for _, user := range []api.ID{a.alice, a.admin} {
		all := people(user, postgres.FileQuery{})
		if len(all) != 3 {
			t.Errorf("there are %d people", len(all))
		}
		for _, p := range all {
			if own := p.ID == user; own != (p.Email != "") || own != (p.Role != "") {
				t.Errorf("%s sees %+v", user, p)
			}
		}
	}
	// Nor can an address be found by asking for it.
	for _, f := range []postgres.Filter{
		{Column: postgres.ColumnEmail, Op: postgres.Eq, Values: []string{"bob@example.org"}},
		{Column: postgres.ColumnEmail, Op: postgres.Like, Values: []string{"bob%"}},
		{Column: postgres.ColumnRole, Op: postgres.Eq, Values: []string{"admin"}},
	} {
		if got := people(a.alice, postgres.FileQuery{Filters: []postgres.Filter{f}}); len(got) != 0 {
			t.Errorf("%+v finds %+v", f, got)
		}
	}
	if got := people(a.alice, postgres.FileQuery{Filters: []postgres.Filter{{Column: postgres.ColumnEmail, Op: postgres.Eq, Values: []string{"alice@example.org"}}}}); len(got) != 1 {
		t.Errorf("her own address finds %+v", got)
	}
	if err := a.operator.DisableUser(t.Context(), "bob@example.org"); err != nil {
		t.Fatal(err)
	}
	if all := people(a.alice, postgres.FileQuery{}); len(all) != 2 {
		t.Errorf("with bob disabled there are %d", len(all))
	}
}

func TestSignUpMakesEditors(t *testing.T) {
	a := newAccounts(t)
	if err := a.db.SignUp(t.Context(), api.NewID(), "New@example.org", "New", "hash", nil); err != nil {
		t.Fatal(err)
	}
	got, err := a.db.LoginAccount(t.Context(), "new@example.org")
	if err != nil || got.Role != "editor" || got.Name != "New" || got.PasswordHash != "hash" {
		t.Errorf("the account is %+v, %v", got, err)
	}
	for _, taken := range []string{"NEW@example.org", "alice@example.org"} {
		if err := a.db.SignUp(t.Context(), api.NewID(), taken, "", "hash", nil); api.KindOf(err) != api.Exists {
			t.Errorf("signing up as %s = %v, want exists", taken, err)
		}
	}
	// An operator sees for whom nobody vouches, until he does.
	signedUp := func() (emails []string) {
		t.Helper()
		users, err := a.operator.Users(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range users {
			if u.SignedUp {
				emails = append(emails, u.Email)
			}
		}
		return emails
	}
	if got := signedUp(); !slices.Equal(got, []string{"new@example.org"}) {
		t.Errorf("signed up: %q", got)
	}
	if err := a.operator.SetPassword(t.Context(), "new@example.org", "another hash"); err != nil {
		t.Fatal(err)
	}
	if got := signedUp(); got != nil {
		t.Errorf("with the operator's password: %q", got)
	}
}

// A server of the former version beside this one signs somebody in whom a provider
// vouches for, by an account that it makes first. This one leads nobody to an account of the same making.
func TestIdentityOfAFormerServer(t *testing.T) {
	a := newAccounts(t)
	id, subject := api.NewID(), postgres.Subject{Issuer: "https://id.example.org", ID: "s"}
	if _, err := a.sql(t, api.ID{}, `SELECT satchel.sign_up($1, 'new@example.org', '', 'hash')`, id.String()); err != nil {
		t.Fatal(err)
	}
	link := func(ctx context.Context, tx *postgres.Tx) error { return tx.AddSubject(ctx, subject) }
	if err := a.db.As(t.Context(), id, link); api.KindOf(err) != api.Permission {
		t.Errorf("an account that may have been signed up is linked: %v, want permission", err)
	}
	if _, err := a.sql(t, id, `SELECT satchel.add_identity($1, $2)`, subject.Issuer, subject.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := a.db.SubjectAccount(t.Context(), subject); err != nil || got.ID != id {
		t.Errorf("the subject signs in to %+v, %v", got, err)
	}
}

// Changing a password ends the other sessions.
func TestChangePasswordEndsOtherSessions(t *testing.T) {
	a := newAccounts(t)
	keep, device, cookie := a.session(t, a.alice, postgres.NewSession{}), a.session(t, a.alice, postgres.NewSession{}), a.session(t, a.alice, postgres.NewSession{Kind: postgres.BrowserSession})
	bobs := a.session(t, a.bob, postgres.NewSession{})
	err := a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
		ended, err := tx.ChangePassword(ctx, a.proof(t, a.alice).PasswordHash, "another hash", keep.ID)
		if ended != 2 {
			t.Errorf("%d sessions ended", ended)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, lives := range map[api.ID]bool{keep.ID: true, device.ID: false, cookie.ID: false, bobs.ID: true} {
		if _, err := a.db.SessionByID(t.Context(), id); (err == nil) != lives {
			t.Errorf("session %s: %v", id, err)
		}
	}
	if got, err := a.db.LoginAccount(t.Context(), "alice@example.org"); err != nil || got.PasswordHash != "another hash" {
		t.Errorf("the account is %+v, %v", got, err)
	}
	if got, err := a.db.LoginAccount(t.Context(), "bob@example.org"); err != nil || got.PasswordHash != "hash of bob@example.org" {
		t.Errorf("another's account is %+v, %v", got, err)
	}
	for _, call := range []string{`SELECT satchel.change_password('x', NULL)`, `SELECT satchel.change_password(NULL, 'x', NULL)`} {
		if _, err := a.sql(t, api.ID{}, call); sqlState(err) != "28P01" {
			t.Errorf("%s by nobody: %v", call, err)
		}
	}
	if got, _ := a.db.LoginAccount(t.Context(), "alice@example.org"); got.PasswordHash != "another hash" {
		t.Error("nobody changed a password")
	}
}

// A token outlives the cookie of its session; using it must not bring the
// cookie back.
func TestTokenDoesNotReviveACookie(t *testing.T) {
	a := newAccounts(t)
	s := a.session(t, a.alice, postgres.NewSession{Kind: postgres.BrowserSession, Idle: 15 * time.Minute, Lifetime: time.Hour})
	if _, err := a.sql(t, a.alice, `UPDATE satchel.sessions SET seen = now() - interval '16 minutes' WHERE id = $1`, s.ID.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.db.SessionByID(t.Context(), s.ID); err != nil {
		t.Fatalf("the token after 16 minutes: %v", err)
	}
	if _, err := a.db.SessionBySecret(t.Context(), s.Secret, postgres.BrowserSession); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("the cookie after that: %v, want unauthenticated", err)
	}
	touch := func(id api.ID) error {
		return a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error { return tx.TouchSession(ctx, id) })
	}
	if err := touch(s.ID); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("refreshing it by the token: %v, want unauthenticated", err)
	}
	if _, err := a.db.SessionBySecret(t.Context(), s.Secret, postgres.BrowserSession); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("the cookie after the refresh: %v, want unauthenticated", err)
	}
	device := a.session(t, a.alice, postgres.NewSession{Kind: postgres.DeviceSession, Lifetime: time.Hour})
	if err := touch(device.ID); err != nil {
		t.Errorf("refreshing what has no such time: %v", err)
	}
}

func TestOnlyOnesOwnNameChanges(t *testing.T) {
	a := newAccounts(t)
	for user, want := range map[api.ID]bool{a.alice: true, a.bob: false, a.admin: false} {
		err := a.db.As(t.Context(), a.alice, func(ctx context.Context, tx *postgres.Tx) error {
			done, err := tx.Rename(ctx, user, "Renamed")
			if done != want {
				t.Errorf("renaming %s: %v", user, done)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := a.db.LoginAccount(t.Context(), "bob@example.org"); got.Name != "" {
		t.Errorf("bob is called %q", got.Name)
	}
}

func TestReplaceSigningKey(t *testing.T) {
	a := newAccounts(t)
	replace := func(id string, overlap time.Duration) []postgres.SigningKey {
		t.Helper()
		if err := a.operator.ReplaceSigningKey(t.Context(), id, []byte(id), overlap); err != nil {
			t.Fatal(err)
		}
		keys, err := a.operator.SigningKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	replace("one", time.Hour)
	keys := replace("two", time.Hour)
	if len(keys) != 2 || keys[0].ID != "two" || keys[0].Retired.Year() > 1 || time.Until(keys[1].Retired) > time.Hour || time.Until(keys[1].Retired) < 50*time.Minute {
		t.Errorf("after a rotation: %+v", keys)
	}
	if keys = replace("three", 0); len(keys) != 1 || keys[0].ID != "three" {
		t.Errorf("after one without overlap: %+v", keys)
	}
}
