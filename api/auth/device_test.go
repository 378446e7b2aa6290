package auth

import (
	"context"
	"testing"

	"satchel/api"
	"satchel/storage/postgres"
)

// What ends an account's sessions ends the wishes of devices that were granted and not asked about yet: a device that somebody
// let in at another one's browser does not log in after the password was changed.
func TestGrantedDeviceEndsWithTheSessions(t *testing.T) {
	f := newFixture(t)
	const alice, password = "alice@example.org", "right again"
	hash, err := HashPassword(password)
	if err == nil {
		err = f.operator.SetPassword(t.Context(), alice, hash)
	}
	if err != nil {
		t.Fatal(err)
	}
	admin := postgres.User{ID: api.NewID(), Email: "admin@example.org", Name: "Admin", Role: Admin}
	if err := f.operator.AddUser(t.Context(), admin, hash); err != nil {
		t.Fatal(err)
	}
	var id Identity
	byAdmin := func(c postgres.AccountChange) func() error {
		return func() error {
			return f.db.As(t.Context(), admin.ID, func(ctx context.Context, tx *postgres.Tx) error { return tx.AdminChangeUser(ctx, id.User, c) })
		}
	}
	both := func(one, two func() error) func() error {
		return func() error {
			if err := one(); err != nil {
				return err
			}
			return two()
		}
	}
	enabled, disabled, name, editor, desk := false, true, "Alice A", Editor, Admin
	for what, c := range map[string]struct {
		do    func() error
		state string
	}{
		"nothing":             {func() error { return nil }, api.DeviceAllowed},
		"a name by an admin":  {byAdmin(postgres.AccountChange{Name: &name}), api.DeviceAllowed},
		"a password":          {func() error { return f.ChangePassword(t.Context(), here, id, password, password) }, api.DeviceExpired},
		"one by an admin":     {byAdmin(postgres.AccountChange{PasswordHash: &hash}), api.DeviceExpired},
		"a role by an admin":  {both(byAdmin(postgres.AccountChange{Role: &desk}), byAdmin(postgres.AccountChange{Role: &editor})), api.DeviceExpired},
		"disabled, enabled":   {both(byAdmin(postgres.AccountChange{Disabled: &disabled}), byAdmin(postgres.AccountChange{Disabled: &enabled})), api.DeviceExpired},
		"one by the operator": {func() error { return f.operator.SetPassword(t.Context(), alice, hash) }, api.DeviceExpired},
		"a role by him":       {both(func() error { return f.operator.SetRole(t.Context(), alice, Admin) }, func() error { return f.operator.SetRole(t.Context(), alice, Editor) }), api.DeviceExpired},
		"disabled by him, enabled": {both(func() error { return f.operator.DisableUser(t.Context(), alice) }, func() error { return f.operator.EnableUser(t.Context(), alice) }),
			api.DeviceExpired},
	} {
		_, token, err := f.LoginBrowser(t.Context(), here, alice, password, "Firefox")
		if err != nil {
			t.Fatal(err)
		}
		if id, err = f.ByToken(t.Context(), token.Token); err != nil {
			t.Fatal(err)
		}
		code, err := f.BeginDevice(t.Context(), here, "laptop")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.AnswerDevice(t.Context(), here, id, code.UserCode, true); err != nil {
			t.Fatal(err)
		}
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if a, err := f.PollDevice(t.Context(), code.Secret); err != nil || a.State != c.state || (a.Credentials != nil) != (c.state == api.DeviceAllowed) {
			t.Errorf("after %s the device is %q, %v", what, a.State, err)
		}
	}
}
