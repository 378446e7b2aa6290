package auth

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"slices"
	"strings"

	"satchel/api"
	"satchel/storage/postgres"
)

// An app password is a session's secret that people type into programs: four
// groups of eight letters and digits, 160 random bits. So there is nothing to
// guess, a plain hash of it keeps it, and wrong ones need no counting.
const appGroup = 8

var appLetters = base32.StdEncoding.WithPadding(base32.NoPadding)

// AddAppPassword makes a password for a program of the user's.
func (a *Auth) AddAppPassword(ctx context.Context, id Identity, name string) (api.AppPassword, error) {
	letters := randomLetters(20)
	p := api.AppPassword{ID: api.NewID(), Name: deviceName(name), Password: grouped(letters)}
	err := a.db.As(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		app := postgres.NewSession{ID: p.ID, Kind: postgres.AppSession, Name: p.Name, Secret: hashSecret(letters)}
		err := tx.AddSession(ctx, app, postgres.Proof{Session: id.Session})
		if err != nil {
			return err
		}
		all, err := tx.Sessions(ctx, postgres.AppSession)
		for _, s := range all {
			if s.ID == p.ID {
				p.Created, p.Seen = s.Created, postgres.LastUse(s.Created, s.Seen)
			}
		}
		return err
	})
	return p, err
}

// randomLetters is n random bytes as letters and digits that can be read out.
func randomLetters(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return strings.ToLower(appLetters.EncodeToString(b))
}

// grouped puts a dash after every group of letters.
func grouped(letters string) (text string) {
	for group := range slices.Chunk([]byte(letters), appGroup) {
		text += "-" + string(group)
	}
	return text[1:]
}

// RandomPassword is a password that an account gets from somebody else: 100
// random bits, to be typed once.
func RandomPassword() string { return grouped(randomLetters(15)[:20]) }

// AppPasswords lists the user's app passwords, without what they are.
func (a *Auth) AppPasswords(ctx context.Context, id Identity) ([]api.AppPassword, error) {
	passwords := []api.AppPassword{}
	err := a.db.AsReadOnly(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		all, err := tx.Sessions(ctx, postgres.AppSession)
		for _, s := range all {
			passwords = append(passwords, api.AppPassword{ID: s.ID, Name: s.Name, Created: s.Created, Seen: postgres.LastUse(s.Created, s.Seen)})
		}
		return err
	})
	return passwords, err
}

// ByAppPassword knows a program by its user's address and the password made for
// it; the account's own password is none. All that is wrong is
// [api.Unauthenticated].
func (a *Auth) ByAppPassword(ctx context.Context, email, password string) (Identity, error) {
	letters := strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(password))
	s, err := a.db.SessionBySecret(ctx, hashSecret(letters), postgres.AppSession)
	if err == nil && !strings.EqualFold(s.Email, strings.TrimSpace(email)) {
		err = api.Errorf(api.Unauthenticated, "this app password is another user's")
	}
	if api.KindOf(err) == api.Unauthenticated {
		return Identity{}, api.Errorf(api.Unauthenticated, "this needs an app password: make one with satchel app-password add")
	}
	if err != nil {
		return Identity{}, err
	}
	return identity(s), nil
}
