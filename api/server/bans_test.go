package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"satchel/storage/postgres"
)

func TestAttack(t *testing.T) {
	for target, want := range map[string]string{
		"/api/vfs/ls/home/..": "..", "/api/vfs/ls/home/../x": "..", "/api/vfs/ls/home/%2e%2e/x": "..", "/api/vfs/get/home/%2E%2E%2Fetc": "..",
		"/api/vfs/ls/home/%252e%252e/x": "..", "/api/vfs/ls/home/.%2e/x": "..", "/x/../api/vfs/ls/home": "..", "//api/vfs/../x": "..",
		"/api/%76fs/ls/home/..": "..", "http://host/api/vfs/ls/home/../x": "..", "/API/VFS/ls/../x": "..",
		`/api/vfs/ls/home/a\b`: "backslash", "/api/vfs/ls/home/..%5c..%5cx": "backslash", "/api/vfs/ls/home/%255cx": "backslash",
		"/api/vfs/ls/home/a%00": "NUL", "/api/vfs/ls/home/a%2500": "NUL", "/api/vfs/ls/home/a\x00": "NUL", "/api/vfs/ls/home?glob=%00": "NUL",

		"/api/vfs/ls/home/..a": "", "/api/vfs/ls/home/a..": "", "/api/vfs/ls/home/...": "", "/api/vfs/ls/home/100%25.txt": "", "/api/vfs/ls/home/%zz%": "",
		"/api/vfs/ls/home?glob=../*": "", `/api/vfs/ls/home?glob=\*`: "", "/files/..": "", "/rpc/x%00": "", "*": "",
		`/dav/src/api/vfs/a\b`: "", "/browse/api/vfs/a%5Cb": "", "/dav/a%2Fapi%2Fvfs%2F%5C": "", "/api/vfs/get/home/%E2%82%AC": "",
	} {
		if got := attack(target); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
}

func FuzzAttack(f *testing.F) {
	f.Add("/api/vfs/ls/%2e%2e/%")
	f.Fuzz(func(t *testing.T, target string) { attack(target) })
}

// from makes a request as a client at an address.
func from(h http.Handler, addr, target string, header ...string) int {
	r := httptest.NewRequest("GET", "/", nil)
	r.RequestURI, r.RemoteAddr = target, addr
	r.URL.Path = "/health"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestBans(t *testing.T) {
	f := newFixture(t)
	fail := (&server{log: slog.New(slog.DiscardHandler)}).apiError
	seen := ""
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = r.RemoteAddr })
	front := func(c BanConfig) http.Handler {
		return (&bans{config: c, store: f.db, log: slog.New(slog.DiscardHandler)}).front(ok, fail)
	}
	const attackPath = "/api/vfs/ls/home/../x"
	h := front(BanConfig{Time: time.Hour})
	expect := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	expect("before", from(h, "192.0.2.1:1", "/health"), 200)
	expect("attack", from(h, "192.0.2.1:1", attackPath), 403)
	expect("afterwards", from(h, "192.0.2.1:2", "/health"), 403)
	expect("a neighbour", from(h, "192.0.2.2:1", "/health"), 200)
	expect("IPv6", from(h, "[2001:db8:1:2::3]:1", attackPath), 403)
	expect("the same /64", from(h, "[2001:db8:1:2:ffff::1]:1", "/health"), 403)
	expect("another /64", from(h, "[2001:db8:1:3::3]:1", "/health"), 200)
	expect("loopback", from(h, "127.0.0.1:1", attackPath), 403)
	expect("loopback is exempt", from(h, "127.0.0.1:1", "/health"), 200)
	for _, site := range []string{"cross-site", "same-site"} {
		expect("a page of another site", from(h, "192.0.2.3:1", attackPath, "Sec-Fetch-Site", site), 403)
		expect("who looks at it", from(h, "192.0.2.3:1", "/health"), 200)
	}
	expect("a page of this site", from(h, "192.0.2.4:1", attackPath, "Sec-Fetch-Site", "same-origin"), 403)
	expect("who looks at it", from(h, "192.0.2.4:1", "/health"), 403)
	expect("a header that nobody asked for", from(h, "192.0.2.9:1", attackPath, "X-Forwarded-For", "192.0.2.10"), 403)
	expect("who sent it", from(h, "192.0.2.9:1", "/health"), 403)
	expect("whom it named", from(h, "192.0.2.10:1", "/health"), 200)

	asked := front(BanConfig{Time: time.Hour, Loopback: true})
	expect("another process knows", from(asked, "192.0.2.1:1", "/health"), 403)
	expect("loopback when asked", from(asked, "127.0.0.1:1", attackPath), 403)
	expect("loopback when asked", from(asked, "127.0.0.1:1", "/health"), 403)

	proxied := front(BanConfig{Time: time.Hour, AddressHeader: "X-Forwarded-For"})
	expect("by a proxy", from(proxied, "192.0.2.80:1", attackPath, "X-Forwarded-For", "192.0.2.99, 198.51.100.7"), 403)
	expect("the last address counts", from(proxied, "192.0.2.80:1", "/health", "X-Forwarded-For", "198.51.100.7"), 403)
	expect("what its client claims does not", from(proxied, "192.0.2.80:1", "/health", "X-Forwarded-For", "198.51.100.7, 198.51.100.8"), 200)
	if !strings.HasPrefix(seen, "198.51.100.8:") {
		t.Errorf("the handler sees %q", seen)
	}

	// Lifted by the operator, within seconds.
	if err := f.operator.LiftBans(t.Context(), netip.MustParsePrefix("192.0.2.1/32")); err != nil {
		t.Fatal(err)
	}
	list, err := f.operator.Bans(t.Context())
	if err != nil || len(list) != 5 || list[0].Network != netip.MustParsePrefix("2001:db8:1:2::/64") {
		t.Errorf("bans %v: %v", list, err)
	}
	for end := time.Now().Add(30 * time.Second); from(h, "192.0.2.1:1", "/health") != 200; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a lifted ban stays")
		}
	}
	// And over by itself.
	if err := f.db.Ban(context.Background(), netip.MustParsePrefix("203.0.113.1/32"), "test", time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond)
	if list, err := f.db.Bans(t.Context()); err != nil || containsNetwork(list, "203.0.113.1/32") {
		t.Errorf("bans %v: %v", list, err)
	}
}

// TestAddressHeader: whom a proxy names is who asks; one that it can't be read from is nobody.
func TestAddressHeader(t *testing.T) {
	b := &bans{config: BanConfig{AddressHeader: "X-Forwarded-For"}}
	for said, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "192.0.2.1:80": "192.0.2.1", "198.51.100.1, 192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "[2001:db8::1]:80": "2001:db8::1", "[::ffff:192.0.2.1]": "192.0.2.1",
		"": "", "unknown": "", "_hidden": "", "for=192.0.2.1": "", "[2001:db8::1": "", "2001:db8::1]": "", "[[2001:db8::1]]": "", "[192.0.2.1]": "",
	} {
		r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {said}}}
		if got := b.address(r); got.IsValid() != (want != "") || want != "" && got.String() != want {
			t.Errorf("%q: %v, want %q", said, got, want)
		}
	}
}

func containsNetwork(list []postgres.Ban, network string) bool {
	for _, b := range list {
		if b.Network.String() == network {
			return true
		}
	}
	return false
}

// Over the wire, as sent: no client library cleans the path.
func TestAttackOverHTTP(t *testing.T) {
	f := newFixture(t)
	for _, target := range []string{"/api/vfs/ls/home/../../etc", "/api/vfs/get/home/%2e%2e/x", "/api/vfs/get/home/%252e%252e/x", "/api/vfs/ls/home/a%00b", "/api/vfs/ls/home/..%5cx"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", f.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = target
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", target, res.StatusCode)
		}
	}
	if !strings.Contains(f.log.String(), "attack refused") {
		t.Error("an attack is not logged")
	}
}
