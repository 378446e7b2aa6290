package auth

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var here = netip.MustParseAddr("127.0.0.1")

type fixture struct {
	*Auth
	pgtest.Database
	db       *postgres.DB
	operator *postgres.Operator
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	urls := pgtest.New(t)
	db, err := postgres.Open(t.Context(), urls.App)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	o, err := postgres.OpenOperator(t.Context(), urls.Owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	hash, err := HashPassword("right")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.AddUser(t.Context(), postgres.User{ID: api.NewID(), Email: "alice@example.org", Name: "Alice", Role: Editor}, hash); err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), db, SealingKey{1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{a, urls, db, o}
}

func TestDeviceLogin(t *testing.T) {
	f := newFixture(t)
	c, err := f.LoginDevice(t.Context(), here, api.Login{Email: " Alice@Example.org", Password: "right", Device: "lap\ntop"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := f.ByToken(t.Context(), c.Token.Token)
	want := Identity{Session: c.Device, Kind: postgres.DeviceSession, Device: "laptop", User: c.User, Email: "alice@example.org", UserName: "Alice", Role: Editor}
	if err != nil || id != want {
		t.Fatalf("ByToken = %+v, %v; want %+v", id, err, want)
	}
	again, err := f.Token(t.Context(), c.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if id, err = f.ByToken(t.Context(), again.Token); err != nil || id != want {
		t.Fatalf("ByToken of a second token = %+v, %v", id, err)
	}
	if _, err := f.ByCookie(t.Context(), c.Secret); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("a device's secret as a cookie: %v", err)
	}

	if err := f.Logout(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"token":        second(f.ByToken(t.Context(), c.Token.Token)),
		"other token":  second(f.ByToken(t.Context(), again.Token)),
		"secret":       second(f.Token(t.Context(), c.Secret)),
		"wrong secret": second(f.Token(t.Context(), "")),
	} {
		if api.KindOf(err) != api.Unauthenticated {
			t.Errorf("%s after logout: %v, want unauthenticated", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestBrowserLogin(t *testing.T) {
	f := newFixture(t)
	secret, token, err := f.LoginBrowser(t.Context(), here, "alice@example.org", "right", "Firefox")
	if err != nil {
		t.Fatal(err)
	}
	byCookie, err := f.ByCookie(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	byToken, err := f.ByToken(t.Context(), token.Token)
	if err != nil || byToken != byCookie || byToken.Device != "Firefox" {
		t.Errorf("by token %+v, by cookie %+v, %v; want one session", byToken, byCookie, err)
	}
	if _, err := f.Token(t.Context(), secret); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("a cookie as a device's secret: %v", err)
	}
	if err := f.Logout(t.Context(), byToken); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ByCookie(t.Context(), secret); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("the cookie after logout: %v", err)
	}
}

func TestWrongLogins(t *testing.T) {
	f := newFixture(t)
	for name, l := range map[string]api.Login{
		"wrong password":   {Email: "alice@example.org", Password: "wrong"},
		"no password":      {Email: "alice@example.org"},
		"unknown":          {Email: "nobody@example.org", Password: "right"},
		"nothing":          {},
		"a NUL":            {Email: "alice@example.org\x00", Password: "right"},
		"endless address":  {Email: strings.Repeat("a", 1000), Password: "right"},
		"endless password": {Email: "alice@example.org", Password: strings.Repeat("right", 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.LoginDevice(t.Context(), here, l)
			if api.KindOf(err) != api.Unauthenticated || err.Error() != "Invalid email or password" {
				t.Errorf("login = %v", err)
			}
		})
	}
	if err := f.operator.DisableUser(t.Context(), "alice@example.org"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.LoginDevice(t.Context(), here, api.Login{Email: "alice@example.org", Password: "right"}); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("login to a disabled account = %v", err)
	}
}

// In the same time for a known and an unknown email.
func TestUnknownAccountCostsAsMuch(t *testing.T) {
	hash, err := HashPassword("right")
	if err != nil {
		t.Fatal(err)
	}
	dummyHash() // made once, not at the first login only
	// The memory that argon2 fills is what it costs, whatever else the machine does.
	cost := func(hash string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		verifyPassword("wrong", hash)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	known, unknown := cost(hash), cost("")
	if ratio := float64(unknown) / float64(known); known < 1<<20 || ratio < 0.9 || ratio > 1.1 {
		t.Errorf("a known account takes %d bytes of work, an unknown one %d", known, unknown)
	}
	if verifyPassword("", "") {
		t.Error("an unknown account has a password")
	}
}

func TestLoginIsThrottled(t *testing.T) {
	f := newFixture(t)
	var limited error
	tries := 0 // some more than the burst on a machine so slow that the allowance grows meanwhile
	for ; retryAfter(limited) <= 0 && tries < 5*accountBurst; tries++ {
		_, limited = f.LoginDevice(t.Context(), here, api.Login{Email: "alice@example.org", Password: "wrong"})
	}
	if retryAfter(limited) <= 0 || tries <= accountBurst {
		t.Fatalf("after %d wrong passwords: %v, want rate limited after more than %d", tries, limited, accountBurst)
	}
	if _, err := f.LoginDevice(t.Context(), here, api.Login{Email: "ALICE@example.org ", Password: "right"}); retryAfter(err) <= 0 {
		t.Errorf("another spelling of the address: %v, want rate limited", err)
	}
}

func TestRoleChangeEndsTokens(t *testing.T) {
	f := newFixture(t)
	c, err := f.LoginDevice(t.Context(), here, api.Login{Email: "alice@example.org", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	forged, err := f.keys.sign(c.Device, c.User, Admin, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ByToken(t.Context(), forged.Token); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("a token that claims another role than the account has: %v", err)
	}
	other, err := f.keys.sign(c.Device, api.NewID(), Editor, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ByToken(t.Context(), other.Token); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("a token for another's session: %v", err)
	}
}

// Keys are made on first start and kept so that all server processes share them.
func TestServersShareKeys(t *testing.T) {
	f := newFixture(t)
	c, err := f.LoginDevice(t.Context(), here, api.Login{Email: "alice@example.org", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	other, err := New(t.Context(), f.db, SealingKey{1}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.ByToken(t.Context(), c.Token.Token); err != nil {
		t.Errorf("another server: %v", err)
	}
	// The other one replaces the key; this one learns it by its tokens.
	if err := other.keys.add(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := other.keys.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	renewed, err := other.Token(t.Context(), c.Secret)
	if err != nil {
		t.Fatal(err)
	}
	f.keys.mu.Lock()
	f.keys.loaded = time.Time{} // the pause since the last look is over
	f.keys.mu.Unlock()
	if _, err := f.ByToken(t.Context(), renewed.Token); err != nil {
		t.Errorf("a token signed with another server's new key: %v", err)
	}
	if _, err := f.ByToken(t.Context(), c.Token.Token); err != nil {
		t.Errorf("a token signed with the replaced key: %v", err)
	}
	// With another key file no key can be opened: a new one is made.
	stranger, err := New(t.Context(), f.db, SealingKey{2}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.ByToken(t.Context(), renewed.Token); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("a token whose key can't be opened: %v", err)
	}
	if _, err := stranger.Token(t.Context(), c.Secret); err != nil {
		t.Errorf("the device's secret outlives the keys: %v", err)
	}
	// The first one leaves it at that: else they would replace each other's for ever.
	if err := f.keys.refresh(t.Context()); api.KindOf(err) != api.Invalid {
		t.Errorf("a server whose key was replaced under another key file: %v", err)
	}
	if err := stranger.keys.refresh(t.Context()); err != nil {
		t.Errorf("the one that replaced it: %v", err)
	}
	// While a server runs, none with another key file starts.
	ctx, stop := context.WithCancel(t.Context())
	listening, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- f.db.Listen(ctx, func() { close(listening) }, func(api.ID) {}) }()
	<-listening
	if _, err := New(t.Context(), f.db, SealingKey{3}, quiet); api.KindOf(err) != api.Invalid {
		t.Errorf("another key file beside a server that runs: %v", err)
	}
	if _, err := New(t.Context(), f.db, SealingKey{2}, quiet); err != nil {
		t.Errorf("the same key file beside it: %v", err)
	}
	stop()
	<-ended
	if _, err := Rotate(t.Context(), f.operator, SealingKey{3}, Overlap); api.KindOf(err) != api.Invalid {
		t.Errorf("rotated under another key file than the servers': %v", err)
	}
}
