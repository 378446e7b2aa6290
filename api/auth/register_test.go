package auth

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"satchel/api"
)

func TestRegister(t *testing.T) {
	f := newFixture(t)
	account, err := f.Register(t.Context(), here, Registration{Email: " New@Example.org ", Name: " Nina ", Password: "long enough"})
	if err != nil || account.Email != "new@example.org" || account.Name != "Nina" || account.Role != Editor {
		t.Fatalf("Register = %+v, %v", account, err)
	}
	secret, token, err := f.LoginBrowser(t.Context(), here, "new@example.org", "long enough", "a browser")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := f.ByCookie(t.Context(), secret); err != nil || id.User != account.ID || id.UserName != "Nina" {
		t.Errorf("ByCookie = %+v, %v", id, err)
	}
	if id, err := f.ByToken(t.Context(), token.Token); err != nil || id.Role != Editor {
		t.Errorf("ByToken = %+v, %v", id, err)
	}
	for what, c := range map[string]struct {
		r    Registration
		kind api.Kind
	}{
		"taken":              {Registration{Email: "alice@example.org", Password: "long enough"}, api.Exists},
		"taken in capitals":  {Registration{Email: "ALICE@example.org", Password: "long enough"}, api.Exists},
		"no address":         {Registration{Password: "long enough"}, api.Invalid},
		"no address at all":  {Registration{Email: "alice", Password: "long enough"}, api.Invalid},
		"a name in it":       {Registration{Email: "A <a@example.org>", Password: "long enough"}, api.Invalid},
		"a line in it":       {Registration{Email: "a@example.org\r\nBcc: b@example.org", Password: "long enough"}, api.Invalid},
		"too long":           {Registration{Email: strings.Repeat("a", 250) + "@example.org", Password: "long enough"}, api.Invalid},
		"a NUL":              {Registration{Email: "a\x00@example.org", Password: "long enough"}, api.Invalid},
		"a short password":   {Registration{Email: "b@example.org", Password: "seven77"}, api.Invalid},
		"a huge password":    {Registration{Email: "b@example.org", Password: strings.Repeat("x", maxPassword+1)}, api.Invalid},
		"a name with a line": {Registration{Email: "b@example.org", Name: "a\nb", Password: "long enough"}, api.Invalid},
	} {
		if _, err := f.Register(t.Context(), netip.MustParseAddr("192.0.2.7"), c.r); api.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %s", what, err, c.kind)
		}
	}
}

func TestRegistrationsAreLimited(t *testing.T) {
	f := newFixture(t)
	f.registrations = NewLimit("new accounts", 1, time.Minute)
	limited := 0
	for range 2 * addressShare {
		// Taken, so that no test waits for hashes only.
		if _, err := f.Register(t.Context(), here, Registration{Email: "alice@example.org", Password: "long enough"}); api.KindOf(err) == api.RateLimited {
			limited++
		}
	}
	if limited != addressShare {
		t.Errorf("%d of %d were refused", limited, 2*addressShare)
	}
	if _, err := f.Register(t.Context(), here, Registration{Email: "alice@example.org", Password: "long enough", Unlimited: true}); api.KindOf(err) != api.Exists {
		t.Errorf("one without a limit: %v", err)
	}
}

// Changing a password ends the other sessions.
func TestChangePassword(t *testing.T) {
	f := newFixture(t)
	login := func(password string) Identity {
		t.Helper()
		secret, _, err := f.LoginBrowser(t.Context(), here, "alice@example.org", password, "")
		if err != nil {
			t.Fatal(err)
		}
		id, err := f.ByCookie(t.Context(), secret)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	mine, other := login("right"), login("right")
	token := func(id Identity) error { _, err := f.Refresh(t.Context(), id); return err }
	if err := f.ChangePassword(t.Context(), here, mine, "wrong", "a new password"); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("with a wrong one: %v", err)
	}
	if err := f.ChangePassword(t.Context(), here, mine, "right", "short"); api.KindOf(err) != api.Invalid {
		t.Errorf("a short one: %v", err)
	}
	if err := f.ChangePassword(t.Context(), here, mine, "right", "a new password"); err != nil {
		t.Fatal(err)
	}
	if err := token(mine); err != nil {
		t.Errorf("the session that did it: %v", err)
	}
	if _, err := f.db.SessionByID(t.Context(), other.Session); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("the other session: %v", err)
	}
	if _, _, err := f.LoginBrowser(t.Context(), here, "alice@example.org", "right", ""); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("the old password: %v", err)
	}
	login("a new password")
}

// Keys are replaced with an overlap: the old ones' tokens stay good for a
// while, on every server. Without one they end at once.
func TestRotate(t *testing.T) {
	f := newFixture(t)
	another, err := New(t.Context(), f.db, SealingKey{1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, old, err := f.LoginBrowser(t.Context(), here, "alice@example.org", "right", "")
	if err != nil {
		t.Fatal(err)
	}
	kid, err := Rotate(t.Context(), f.operator, SealingKey{1}, Overlap)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.keys.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, fresh, err := f.LoginBrowser(t.Context(), here, "alice@example.org", "right", "")
	if err != nil {
		t.Fatal(err)
	}
	if signer, _ := f.keys.signer(); signer != kid {
		t.Errorf("%s signs, not %s", signer, kid)
	}
	if _, err := f.ByToken(t.Context(), old.Token); err != nil {
		t.Errorf("a token of the old key: %v", err)
	}
	// The other server has not looked yet, and must when it sees the new key.
	another.keys.loaded = time.Now().Add(-time.Minute)
	for name, token := range map[string]string{"old": old.Token, "new": fresh.Token} {
		if _, err := another.ByToken(t.Context(), token); err != nil {
			t.Errorf("a token of the %s key at the other server: %v", name, err)
		}
	}

	if _, err := Rotate(t.Context(), f.operator, SealingKey{1}, 0); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Auth{f.Auth, another} {
		if err := a.keys.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, token := range map[string]string{"old": old.Token, "new": fresh.Token} {
			if _, err := a.ByToken(t.Context(), token); api.KindOf(err) != api.Unauthenticated {
				t.Errorf("a token of the %s key after a rotation without overlap: %v", name, err)
			}
		}
	}
}

func TestChosenPasswords(t *testing.T) {
	for password, want := range map[string]api.Kind{
		"":             api.Invalid,
		"eleven 4567":  api.Invalid,
		"twelve 45678": "",
		"🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑":             api.Invalid, // of 44 bytes
		"🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑":            "",
		"a        b        c":     api.Invalid,
		"one two      three":      "",
		"            ":            api.Invalid,
		"correct horse   battery": "",
	} {
		if err := CheckChosen(password); api.KindOf(err) != want {
			t.Errorf("%q: %v, not of kind %q", password, err, want)
		}
	}
}
