package auth

import (
	"context"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

// meanwhile runs do while a transaction that ended an account's sessions is not committed yet: until do is done, or waits for it.
func (f *fixture) meanwhile(t *testing.T, by api.ID, end func(context.Context, *postgres.Tx) error, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	err := f.db.As(t.Context(), by, func(ctx context.Context, tx *postgres.Tx) error {
		if err := end(ctx, tx); err != nil {
			return err
		}
		go func() { done <- do() }()
		for len(done) == 0 && pgtest.Waiting(t, f.Admin) == 0 {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return <-done
}

// What ends an account's sessions ends what is under way, too: nothing that began before lets anybody in afterwards, and the password
// is the one that was set.
func TestWhatIsUnderWayEndsWithTheSessions(t *testing.T) {
	f := newFixture(t)
	f.devices, f.confirmations = NewLimit("devices", 1000, time.Second), NewLimit("codes", 1000, time.Second)
	const alice, password, theirs = "alice@example.org", "right again", "a password of the attacker"
	boss, subject := api.NewID(), postgres.Subject{Issuer: "https://id.example.org", ID: "alice"}
	hash, err := HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	reset, err := HashPassword("as the admin set it")
	if err == nil {
		err = f.operator.AddUser(t.Context(), postgres.User{ID: boss, Email: "boss@example.org", Role: Admin}, reset)
	}
	if err != nil {
		t.Fatal(err)
	}
	var id Identity
	var code api.DeviceCode
	var granted, vouched postgres.Account // whom a granted code, and a provider, let in
	prepare := func() {
		t.Helper()
		if err := f.operator.SetPassword(t.Context(), alice, hash); err != nil {
			t.Fatal(err)
		}
		_, token, err := f.LoginBrowser(t.Context(), here, alice, password, "Firefox")
		if err != nil {
			t.Fatal(err)
		}
		if id, err = f.ByToken(t.Context(), token.Token); err != nil {
			t.Fatal(err)
		}
		if code, err = f.BeginDevice(t.Context(), here, "laptop"); err == nil {
			err = f.AnswerDevice(t.Context(), here, id, code.UserCode, true)
		}
		if err == nil {
			_, _, granted, err = f.db.PollDevice(t.Context(), hashSecret(code.Secret), 0)
		}
		if err == nil {
			err = f.db.As(t.Context(), id.User, func(ctx context.Context, tx *postgres.Tx) error { return tx.AddSubject(ctx, subject) })
		}
		if err == nil {
			vouched, err = f.db.SubjectAccount(t.Context(), subject)
		}
		if err == nil {
			code, err = f.BeginDevice(t.Context(), here, "phone")
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	var in func() error // how to come in by what was made
	under := map[string]func() error{
		"a device's log-in": func() error {
			c, err := f.LoginDevice(t.Context(), here, api.Login{Email: alice, Password: password, Device: "laptop"})
			in = func() error { return second(f.Token(t.Context(), c.Secret)) }
			return err
		},
		"a browser's log-in": func() error {
			secret, _, err := f.LoginBrowser(t.Context(), here, alice, password, "Firefox")
			in = func() error { return second(f.ByCookie(t.Context(), secret)) }
			return err
		},
		"a provider's sign-in": func() error {
			secret, _, err := f.BeginBrowser(t.Context(), vouched, "Firefox")
			in = func() error { return second(f.ByCookie(t.Context(), secret)) }
			return err
		},
		"a device that was let in": func() error {
			c, err := f.newDevice(t.Context(), granted, "laptop")
			in = func() error { return second(f.Token(t.Context(), c.Secret)) }
			return err
		},
		"letting a device in": func() error {
			err := f.AnswerDevice(t.Context(), here, id, code.UserCode, true)
			in = func() error {
				a, err := f.PollDevice(t.Context(), code.Secret)
				if err == nil && a.State != api.DeviceAllowed {
					err = api.Errorf(api.Unauthenticated, "the device is %s", a.State)
				}
				return err
			}
			return err
		},
		"making an app password": func() error {
			p, err := f.AddAppPassword(t.Context(), id, "calendar")
			in = func() error { return second(f.ByAppPassword(t.Context(), alice, p.Password)) }
			return err
		},
		"making an access key": func() error {
			k, err := f.AddAccessKey(t.Context(), id, "backups")
			in = func() error {
				_, _, err := f.ByAccessKey(t.Context(), k.Key)
				return err
			}
			return err
		},
		"changing the password": func() error {
			err := f.ChangePassword(t.Context(), here, id, password, theirs)
			in = func() error {
				_, _, err := f.LoginBrowser(t.Context(), here, alice, theirs, "")
				return err
			}
			return err
		},
	}
	byAdmin := func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AdminChangeUser(ctx, id.User, postgres.AccountChange{PasswordHash: &reset})
	}
	for what, do := range under {
		prepare()
		if err := do(); err != nil {
			t.Errorf("%s, alone: %v", what, err)
		} else if err := in(); err != nil {
			t.Errorf("%s, alone, lets nobody in: %v", what, err)
		}
		prepare()
		if err := f.meanwhile(t, boss, byAdmin, do); err == nil {
			t.Errorf("%s, while the password is reset: nothing was wrong", what)
		}
		if err := in(); api.KindOf(err) != api.Unauthenticated {
			t.Errorf("%s, while the password is reset, lets one in afterwards: %v", what, err)
		}
		if account, err := f.db.LoginAccount(t.Context(), alice); err != nil || account.PasswordHash != reset {
			t.Errorf("%s: the password is not the one that the admin set: %v", what, err)
		}
	}
}

// Who proved to be an account's user before it was changed begins no session by it afterwards, when its owner changes the password.
func TestNoSessionByAPasswordThatWasChanged(t *testing.T) {
	f := newFixture(t)
	const alice, next = "alice@example.org", "the owner's next one"
	account, err := f.check(t.Context(), here, alice, "right")
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := f.LoginBrowser(t.Context(), here, alice, "right", "")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := f.ByToken(t.Context(), token.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.ChangePassword(t.Context(), here, owner, "right", next); err != nil {
		t.Fatal(err)
	}
	if _, err := f.newDevice(t.Context(), account, "laptop"); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("a device: %v", err)
	}
	if _, _, err := f.BeginBrowser(t.Context(), account, ""); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("a browser: %v", err)
	}
	if devices, err := f.Devices(t.Context(), owner); err != nil || len(devices) != 0 {
		t.Errorf("devices: %v, %v", devices, err)
	}
	if _, _, err := f.LoginBrowser(t.Context(), here, alice, next, ""); err != nil {
		t.Errorf("by the new password: %v", err)
	}
}
