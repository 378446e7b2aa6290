package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage/postgres"
)

// BanConfig says who is refused for what looks like an attack. The zero value
// bans nobody, but refuses all the same.
type BanConfig struct {
	Time     time.Duration // how long an address is banned; 0 = never
	Loopback bool          // ban 127.0.0.0/8 and ::1 too, and limit new accounts from there
	// AddressHeader is the header in which a proxy says where a request comes
	// from: its last address counts. Empty: there is no proxy, and no such header is believed.
	AddressHeader string
}

// exempt tells whether an address is one of this machine's own, to which neither bans nor the limit of new accounts apply.
func (c BanConfig) exempt(from netip.Addr) bool { return !c.Loopback && from.IsLoopback() }

// banStore keeps bans; it is the database, which all server processes share.
type banStore interface {
	Ban(ctx context.Context, network netip.Prefix, reason string, howLong time.Duration) error
	Bans(ctx context.Context) ([]postgres.Ban, error)
}

// recheck is how old the known bans may be: how long a ban, or its lifting, by
// another process takes to be noticed.
const recheck = 2 * time.Second

// bans refuses requests before anything looks at them. It is safe for
// concurrent use.
type bans struct {
	config BanConfig
	store  banStore
	log    *slog.Logger

	mu     sync.Mutex
	loaded time.Time
	until  map[netip.Prefix]time.Time
}

// front stands before the mux, which answers .. and // with a redirect before
// any handler.
func (b *bans) front(next http.Handler, fail failure) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := b.address(r)
		if from.IsValid() && b.banned(r.Context(), from) {
			fail(w, r, api.Errorf(api.Permission, "requests from your address are refused for a while"))
			return
		}
		if reason := attack(r.RequestURI); reason != "" {
			b.caught(r, from, reason)
			fail(w, r, api.Errorf(api.Permission, "a path can't have %s", reason))
			return
		}
		if b.config.AddressHeader != "" && from.IsValid() { // all that follows shall know who asks, and not the proxy
			r.RemoteAddr = netip.AddrPortFrom(from, 0).String()
		}
		next.ServeHTTP(w, r)
	})
}

// address is where a request comes from; invalid when nobody can say.
func (b *bans) address(r *http.Request) netip.Addr {
	from := address(r)
	if b.config.AddressHeader == "" {
		return from.Unmap()
	}
	values := r.Header.Values(b.config.AddressHeader)
	if len(values) == 0 {
		return netip.Addr{}
	}
	last := values[len(values)-1]
	last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	for _, text := range []string{last, last + ":0"} { // IPv6 may be in brackets without a port, too
		if ap, err := netip.ParseAddrPort(text); err == nil {
			return ap.Addr().Unmap()
		}
	}
	from, _ = netip.ParseAddr(last)
	return from.Unmap()
}

// banned tells whether an address is refused now.
func (b *bans) banned(ctx context.Context, from netip.Addr) bool {
	b.mu.Lock()
	if b.store != nil && time.Since(b.loaded) > recheck {
		b.loaded = time.Now() // others go on with what is known
		b.mu.Unlock()
		b.load(ctx)
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	until, ok := b.until[auth.Network(from)]
	return ok && time.Now().Before(until)
}

// loading bounds how long a request waits for the bans. One that comes meanwhile does not.
const loading = 2 * time.Second

func (b *bans) load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, loading)
	defer cancel()
	list, err := b.store.Bans(ctx)
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) { // the client is gone
			b.log.Warn("the bans can't be read", "err", err)
		}
		return
	}
	until := make(map[netip.Prefix]time.Time, len(list))
	for _, ban := range list {
		until[ban.Network] = ban.Until
	}
	b.mu.Lock()
	b.until = until
	b.mu.Unlock()
}

// caught logs an attack and bans who makes it: but not whose browser was made to by a page of another site, as
// an image's address does. (Browsers say so over TLS only.)
func (b *bans) caught(r *http.Request, from netip.Addr, reason string) {
	target, _, _ := strings.Cut(r.RequestURI, "?") // a query may hold what a log must not
	if p := decoded(decoded(target)); loggedPath(p) != p {
		target = loggedPath(p)
	}
	site := r.Header.Get("Sec-Fetch-Site")
	ban := b.config.Time > 0 && from.IsValid() && !b.config.exempt(from) && site != "cross-site" && site != "same-site"
	b.log.Warn("attack refused", "from", from, "method", r.Method, "path", target[:min(300, len(target))], "why", reason, "banned", ban)
	if !ban {
		return
	}
	network := auth.Network(from)
	b.mu.Lock()
	if b.until == nil {
		b.until = map[netip.Prefix]time.Time{}
	}
	b.until[network] = time.Now().Add(b.config.Time)
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	if err := b.store.Ban(ctx, network, reason+" in a path", b.config.Time); err != nil {
		b.log.Error("a ban can't be kept", "network", network, "err", err)
	}
}

// guardedPath is what lies under it that is looked at.
const guardedPath = "/api/vfs"

// attack says what in a request's target no honest client sends: a NUL, a
// backslash, or .. as a name, as it stands or after one or two decodings. It is
// empty for all else, and for what is not under /api/vfs.
func attack(target string) string {
	if _, after, ok := strings.Cut(target, "://"); ok && !strings.HasPrefix(target, "/") {
		target = after[max(0, strings.IndexByte(after, '/')):] // absolute form, as to a proxy
	}
	sent, _, _ := strings.Cut(target, "?")
	levels := []string{sent, decoded(sent), decoded(decoded(sent))}
	if !slices.ContainsFunc(levels, guarded) {
		return ""
	}
	for _, p := range append(levels, decoded(target)) {
		if strings.IndexByte(p, 0) >= 0 {
			return "a NUL"
		}
	}
	for _, p := range levels {
		if strings.IndexByte(p, '\\') >= 0 {
			return "a backslash"
		}
		for name := range strings.SplitSeq(p, "/") {
			if name == ".." {
				return ".. as a name"
			}
		}
	}
	return ""
}

// guarded tells whether a path begins as [guardedPath] does, as it stands or as the mux cleans it.
func guarded(p string) bool {
	p = "/" + strings.ToLower(strings.TrimLeft(p, "/"))
	return strings.HasPrefix(p, guardedPath) || strings.HasPrefix(path.Clean(p), guardedPath)
}

// decoded takes one layer of percent-encoding away; what is none stays.
func decoded(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
