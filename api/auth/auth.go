// Package auth decides who a request is from.
//
// A login makes one row in sessions. Two things prove it afterwards: a secret,
// of which the row keeps the SHA-256 (a device's, or a browser's cookie), and
// short-lived signed tokens (JWT) that name the row. Both end when the row is
// revoked, because every request looks at it.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"satchel/api"
	"satchel/storage/postgres"
)

// Roles. A token may also say "authenticated" or "webuser" for editor.
const (
	Editor = "editor"
	Admin  = "admin"
)

// How long things last.
const (
	DeviceTokenTTL  = 15 * time.Minute
	BrowserTokenTTL = time.Hour
	BrowserIdle     = 15 * time.Minute
	BrowserLifetime = 30 * 24 * time.Hour
)

// Auth logs users in and knows them again. It is safe for concurrent use.
type Auth struct {
	db       *postgres.DB
	keys     *Keyring
	throttle *throttle
	said     *said // right passwords of links
	log      *slog.Logger

	registrations *Limit
	devices       *Limit // that ask to be confirmed
	confirmations *Limit // codes that people typed
}

// Identity is who a request is from: a user, through one of his sessions.
type Identity struct {
	Session  api.ID
	Kind     postgres.SessionKind
	Device   string // the session's name, for people
	User     api.ID
	Email    string
	UserName string
	Role     string
}

// New makes an Auth over the accounts in a database, with the signing keys
// that are sealed under a key file; the first start makes them.
func New(ctx context.Context, db *postgres.DB, key SealingKey, log *slog.Logger) (*Auth, error) {
	keys := &Keyring{db: db, sealing: key, log: log}
	if err := keys.refresh(ctx); err != nil {
		return nil, err
	}
	return &Auth{
		db: db, keys: keys, throttle: newThrottle(), said: newSaid(), log: log,
		registrations: NewLimit("new accounts", 20, 20*time.Second),
		devices:       NewLimit("devices that ask to log in", 20, 20*time.Second),
		confirmations: NewLimit("codes", 10, 6*time.Second),
	}, nil
}

// Run does what time brings until ctx ends: it replaces old signing keys,
// learns those of other servers, and removes sessions that ended long ago.
func (a *Auth) Run(ctx context.Context) {
	keys, clean := time.NewTicker(keyReload), time.NewTicker(10*time.Minute)
	defer keys.Stop()
	defer clean.Stop()
	a.clean(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-clean.C:
			a.clean(ctx)
		case <-keys.C:
			if err := a.keys.refresh(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("signing keys were not read", "err", err)
			}
		}
	}
}

func (a *Auth) clean(ctx context.Context) {
	if n, err := a.db.CleanSessions(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("sessions were not cleaned", "err", err)
	} else if n > 0 {
		a.log.Debug("ended sessions removed", "sessions", n)
	}
}

// maxEmail is the longest address in bytes (RFC 5321 section 4.5.3.1).
const maxEmail = 254

// errWrong is the one answer to a wrong password and to an unknown address.
func errWrong() error {
	return api.Errorf(api.Unauthenticated, "Invalid email or password")
}

// check finds the account of an address and password. Whether the account or
// the password is wrong shows neither in the answer nor in its time.
func (a *Auth) check(ctx context.Context, from netip.Addr, email, password string) (postgres.Account, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if len(email) > maxEmail {
		email = "" // nobody's, and no burden on the throttle's memory
	}
	done, err := a.throttle.begin(ctx, from, email)
	if err != nil {
		return postgres.Account{}, err
	}
	wrong := true
	defer func() { done(wrong) }()

	account, err := a.db.LoginAccount(ctx, email)
	switch {
	case api.KindOf(err) == api.NotFound:
		account = postgres.Account{}
	case err != nil:
		wrong = false
		return postgres.Account{}, err
	}
	// The unknown account's empty hash costs as much as any.
	if !verifyPassword(password, account.PasswordHash) {
		a.log.Info("login refused", "from", from)
		if err := a.db.LoginRefused(ctx, strings.ReplaceAll(strings.ToValidUTF8(email, ""), "\x00", "")); err != nil {
			a.log.Error("a refused login is not in the audit log", "err", err)
		}
		return postgres.Account{}, errWrong()
	}
	wrong = false
	return account, nil
}

// LoginDevice makes a session of a client that keeps a secret. A wrong
// password, or one that was changed meanwhile, is [api.Unauthenticated], too many tries are [api.RateLimited].
func (a *Auth) LoginDevice(ctx context.Context, from netip.Addr, l api.Login) (api.Credentials, error) {
	account, err := a.check(ctx, from, l.Email, l.Password)
	if err != nil {
		return api.Credentials{}, err
	}
	return a.newDevice(ctx, account, deviceName(l.Device))
}

// newDevice makes a session of a client that keeps a secret, for an account as it was when the client was let in.
func (a *Auth) newDevice(ctx context.Context, account postgres.Account, name string) (api.Credentials, error) {
	id, secret, err := a.begin(ctx, account, postgres.NewSession{Kind: postgres.DeviceSession, Name: name})
	if err != nil {
		return api.Credentials{}, err
	}
	token, err := a.keys.sign(id, account.ID, account.Role, DeviceTokenTTL)
	if err != nil {
		return api.Credentials{}, err
	}
	return api.Credentials{
		User: account.ID, Email: account.Email, Name: account.Name, Role: account.Role,
		Device: id, Secret: secret, Token: token,
	}, nil
}

// LoginBrowser makes a session for a cookie with this secret, and a token of
// the same session for programs. The errors are those of LoginDevice.
func (a *Auth) LoginBrowser(ctx context.Context, from netip.Addr, email, password, browser string) (secret string, token api.Token, err error) {
	account, err := a.check(ctx, from, email, password)
	if err != nil {
		return "", api.Token{}, err
	}
	return a.BeginBrowser(ctx, account, browser)
}

// BeginBrowser is LoginBrowser for an account that was just made, or to which somebody else signs people in.
func (a *Auth) BeginBrowser(ctx context.Context, account postgres.Account, browser string) (secret string, token api.Token, err error) {
	id, secret, err := a.begin(ctx, account, postgres.NewSession{
		Kind: postgres.BrowserSession, Name: deviceName(BrowserName(browser)), Idle: BrowserIdle, Lifetime: BrowserLifetime,
	})
	if err != nil {
		return "", api.Token{}, err
	}
	token, err = a.keys.sign(id, account.ID, account.Role, BrowserTokenTTL)
	return secret, token, err
}

// begin stores a session with a fresh secret. If the account's password was changed since the account was read, or the account
// disabled, it is [api.Unauthenticated].
func (a *Auth) begin(ctx context.Context, account postgres.Account, s postgres.NewSession) (api.ID, string, error) {
	secret := newSecret()
	s.ID, s.Secret = api.NewID(), hashSecret(secret)
	err := a.db.As(ctx, account.ID, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AddSession(ctx, s, postgres.Proof{PasswordHash: account.PasswordHash})
	})
	return s.ID, secret, err
}

// Token sells a device a new token for its secret. A revoked or unknown secret
// is [api.Unauthenticated].
func (a *Auth) Token(ctx context.Context, secret string) (api.Token, error) {
	s, err := a.db.SessionBySecret(ctx, hashSecret(secret), postgres.DeviceSession)
	if err != nil {
		return api.Token{}, err
	}
	return a.keys.sign(s.ID, s.User, s.Role, DeviceTokenTTL)
}

// ByToken knows the bearer of a token. All that is wrong with it, and an ended
// session, is [api.Unauthenticated].
func (a *Auth) ByToken(ctx context.Context, token string) (Identity, error) {
	c, err := a.keys.verify(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	s, err := a.db.SessionByID(ctx, c.session)
	if err != nil {
		return Identity{}, err
	}
	// What the token claims about its user must still be so.
	if s.User != c.user || s.Role != c.role {
		return Identity{}, api.Errorf(api.Unauthenticated, "this token is out of date: log in again")
	}
	return identity(s), nil
}

// ByCookie knows a browser by its cookie, and keeps its session from expiring.
// An ended session is [api.Unauthenticated].
func (a *Auth) ByCookie(ctx context.Context, secret string) (Identity, error) {
	s, err := a.db.SessionBySecret(ctx, hashSecret(secret), postgres.BrowserSession)
	if err != nil {
		return Identity{}, err
	}
	return identity(s), nil
}

// ByUnusedCookie is ByCookie for what nobody does who uses the session, such as a page that follows changes by itself: it does
// not keep the session from expiring.
func (a *Auth) ByUnusedCookie(ctx context.Context, secret string) (Identity, error) {
	s, err := a.db.SessionUnused(ctx, hashSecret(secret), postgres.BrowserSession)
	if err != nil {
		return Identity{}, err
	}
	return identity(s), nil
}

func identity(s postgres.Session) Identity {
	return Identity{Session: s.ID, Kind: s.Kind, Device: s.Name, User: s.User, Email: s.Email, UserName: s.UserName, Role: s.Role}
}

// Logout ends the identity's own session.
func (a *Auth) Logout(ctx context.Context, id Identity) error {
	return a.Revoke(ctx, id, id.Session)
}

// Devices lists the clients that the user is logged in on.
func (a *Auth) Devices(ctx context.Context, id Identity) ([]api.Device, error) {
	return a.sessions(ctx, id, postgres.DeviceSession)
}

// Browsers lists the user's sessions in browsers.
func (a *Auth) Browsers(ctx context.Context, id Identity) ([]api.Device, error) {
	return a.sessions(ctx, id, postgres.BrowserSession)
}

func (a *Auth) sessions(ctx context.Context, id Identity, kind postgres.SessionKind) (devices []api.Device, err error) {
	err = a.db.AsReadOnly(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		devices, err = tx.Sessions(ctx, kind)
		return err
	})
	for i := range devices {
		devices[i].Current = devices[i].ID == id.Session
	}
	return devices, err
}

// Revoke ends one of the user's own sessions. Another's, or an ended one, is
// [api.NotFound].
func (a *Auth) Revoke(ctx context.Context, id Identity, session api.ID) error {
	return a.db.As(ctx, id.User, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.RevokeSession(ctx, session)
	})
}

// newSecret is 256 random bits.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// hashSecret is what the database keeps of a secret. The secret is random, so
// a plain hash can't be reversed by guessing.
func hashSecret(secret string) api.Hash { return sha256.Sum256([]byte(secret)) }

// maxDeviceName is the longest device name in bytes.
const maxDeviceName = 100

// deviceName cleans a name given by a client, which others will read.
func deviceName(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, s))
	for len(s) > maxDeviceName {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	if s = strings.TrimSpace(s); s == "" {
		return "unnamed"
	}
	return s
}
