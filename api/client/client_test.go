package client

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"satchel/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// edge is a server that knows tokens and leaves the rest to the test.
type edge struct {
	*httptest.Server
	mux *http.ServeMux

	mu      sync.Mutex
	valid   string // the token it takes
	bought  int
	life    time.Duration
	skew    time.Duration // how far its clock is ahead
	revoked bool
}

func newEdge(t *testing.T) *edge {
	e := &edge{mux: http.NewServeMux(), life: time.Hour}
	e.mux.HandleFunc("POST /v1/token", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Secret string }
		json.NewDecoder(r.Body).Decode(&in)
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.revoked || in.Secret != "s3cret" {
			fail(w, 401, api.Unauthenticated, "no such device")
			return
		}
		e.bought++
		e.valid = "t" + strings.Repeat("+", e.bought)
		now := time.Now().Add(e.skew)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		json.NewEncoder(w).Encode(api.Token{Token: e.valid, Expires: now.Add(e.life)})
	})
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/token" && r.URL.Path != "/v1/login" {
			e.mu.Lock()
			ok := r.Header.Get("Authorization") == "Bearer "+e.valid && e.valid != ""
			e.mu.Unlock()
			if !ok {
				fail(w, 401, api.Unauthenticated, "the token is not valid")
				return
			}
		}
		e.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *edge) purchases() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bought
}

// expire makes the server refuse the token that it gave last.
func (e *edge) expire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.valid = ""
}

func (e *edge) client(t *testing.T) *Client {
	t.Helper()
	c, err := New(e.URL, api.Credentials{Secret: "s3cret"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func fail(w http.ResponseWriter, status int, kind api.Kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail, "kind": kind})
}

func answer(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(v) }
}

func TestParseServer(t *testing.T) {
	for in, want := range map[string]string{
		"https://Drive.Example.org/":   "https://drive.example.org",
		"http://127.0.0.1:7070":        "http://127.0.0.1:7070",
		"https://example.org/satchel/": "https://example.org/satchel",
		"http://[::1]:7070":            "http://[::1]:7070",
		"example.org":                  "",
		"127.0.0.1:7070":               "",
		"ftp://example.org":            "",
		"https://":                     "",
		"https://u:p@example.org":      "",
		"https://example.org?x=1":      "",
		"":                             "",
	} {
		got, err := ParseServer(in)
		if got != want || (want == "") != (api.KindOf(err) == api.Invalid) {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestTokenIsBoughtOnceAndKept(t *testing.T) {
	e := newEdge(t)
	e.mux.HandleFunc("GET /v1/whoami", answer(api.Credentials{Email: "a@b"}))
	c := e.client(t)
	for range 3 {
		who, err := c.Whoami(t.Context())
		if err != nil || who.Email != "a@b" {
			t.Fatal(who, err)
		}
	}
	if n := e.purchases(); n != 1 {
		t.Errorf("%d tokens for three calls", n)
	}
}

func TestTokenIsReplacedBeforeItEnds(t *testing.T) {
	e := newEdge(t)
	e.life = 2 * time.Second // whole seconds, as in a Date header
	e.mux.HandleFunc("GET /v1/whoami", answer(api.Credentials{}))
	c := e.client(t)
	for deadline := time.Now().Add(time.Minute); e.purchases() < 2; time.Sleep(50 * time.Millisecond) {
		if _, err := c.Whoami(t.Context()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the token was not replaced")
		}
	}
}

func TestTokenOutlivesAWrongClock(t *testing.T) {
	for _, skew := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		e := newEdge(t)
		e.skew = skew
		e.mux.HandleFunc("GET /v1/whoami", answer(api.Credentials{}))
		c := e.client(t)
		for range 3 {
			if _, err := c.Whoami(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := e.purchases(); n != 1 {
			t.Errorf("clock off by %v: %d tokens for three calls", skew, n)
		}
	}
}

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	e := newEdge(t)
	var bodies atomic.Int32
	e.mux.HandleFunc("POST /v1/drives/home/packs", func(w http.ResponseWriter, r *http.Request) {
		if b, _ := io.ReadAll(r.Body); string(b) == "pack" {
			bodies.Add(1)
		}
		w.WriteHeader(200)
	})
	d := e.client(t).Drive("home")
	for range 2 {
		if err := d.PutPack(t.Context(), []byte("pack")); err != nil {
			t.Fatal(err)
		}
		e.expire()
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := d.PutPack(t.Context(), []byte("pack")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := e.purchases(); n != 3 || bodies.Load() != 10 {
		t.Errorf("%d tokens and %d packs; want 3 and 10", n, bodies.Load())
	}
}

func TestRevokedDevice(t *testing.T) {
	e := newEdge(t)
	e.mux.HandleFunc("GET /v1/whoami", answer(api.Credentials{}))
	c := e.client(t)
	if _, err := c.Whoami(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	e.revoked, e.valid = true, ""
	e.mu.Unlock()
	_, err := c.Whoami(t.Context())
	if api.KindOf(err) != api.Unauthenticated || !strings.Contains(err.Error(), "log in again") || !strings.Contains(err.Error(), e.URL) {
		t.Errorf("revoked: %v", err)
	}
	never, _ := New(e.URL, api.Credentials{}, nil)
	t.Cleanup(never.Close)
	if _, err := never.Whoami(t.Context()); api.KindOf(err) != api.Unauthenticated {
		t.Errorf("never logged in: %v", err)
	}
}

func TestLogin(t *testing.T) {
	e := newEdge(t)
	e.mux.HandleFunc("POST /v1/login", func(w http.ResponseWriter, r *http.Request) {
		var in api.Login
		json.NewDecoder(r.Body).Decode(&in)
		if in != (api.Login{Email: "a@b", Password: "pw", Device: "laptop"}) {
			fail(w, 401, api.Unauthenticated, "wrong email or password")
			return
		}
		answer(api.Credentials{Secret: "s3cret", Email: in.Email})(w, r)
	})
	cred, err := Login(t.Context(), e.URL+"/", "a@b", "pw", "laptop")
	if err != nil || cred.Secret != "s3cret" {
		t.Fatal(cred, err)
	}
	_, err = Login(t.Context(), e.URL, "a@b", "oops", "laptop")
	if api.KindOf(err) != api.Unauthenticated || err.Error() != "wrong email or password" {
		t.Errorf("wrong password: %v", err)
	}
}

func TestAnswerErrors(t *testing.T) {
	e := newEdge(t)
	var reply atomic.Value
	e.mux.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, r *http.Request) { reply.Load().(http.HandlerFunc)(w, r) })
	c := e.client(t)
	for name, tt := range map[string]struct {
		reply http.HandlerFunc
		kind  api.Kind
		after time.Duration
		text  string
	}{
		"a problem": {func(w http.ResponseWriter, r *http.Request) { fail(w, 507, api.Quota, "the quota of 1 GiB is used up") },
			api.Quota, 0, "the quota of 1 GiB is used up"},
		"a problem without detail": {func(w http.ResponseWriter, r *http.Request) { fail(w, 409, api.NotEmpty, "") },
			api.NotEmpty, 0, "Conflict"},
		"to wait": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			fail(w, 429, api.RateLimited, "slowly")
		}, api.RateLimited, 7 * time.Second, "slowly"},
		"a proxy to wait for": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
			w.WriteHeader(429)
		}, api.RateLimited, 58 * time.Second, "slow down"},
		"a proxy's 404":  {http.NotFound, api.Unavailable, 0, "did not answer as a Satchel server does (404 Not Found)"},
		"a proxy's 502":  {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502) }, api.Unavailable, 0, "502"},
		"a proxy's 413":  {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(413) }, api.TooLarge, 0, "proxy"},
		"a sign-in page": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, api.Unavailable, 0, "did not answer"},
		"a redirect":     {http.RedirectHandler("https://new.example.org/", http.StatusMovedPermanently).ServeHTTP, api.Unavailable, 0, "https://new.example.org/"},
		"half an answer": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9")
			io.WriteString(w, "{")
		}, api.Unavailable, 0, "ended the connection"},
		"a dead connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, api.Unavailable, 0, "ended the connection"},
	} {
		reply.Store(tt.reply)
		_, err := c.Whoami(t.Context())
		e, _ := errors.AsType[*api.Error](err)
		if e == nil || e.Kind != tt.kind || e.RetryAfter < tt.after || !strings.Contains(e.Message, tt.text) {
			t.Errorf("%s: %#v, want kind %s and %q", name, err, tt.kind, tt.text)
		}
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of what is meant to fail
	tls.StartTLS()
	defer tls.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for server, text := range map[string]string{
		closed:                            closed + " cannot be reached: connection refused",
		"http://no-such-host.invalid":     "http://no-such-host.invalid cannot be reached",
		tls.URL:                           tls.URL + " cannot be trusted",
		"https" + plain.URL[len("http"):]: "does not speak TLS",
		"http" + tls.URL[len("https"):]:   "did not answer as a Satchel server does",
	} {
		_, err := Login(t.Context(), server, "a@b", "pw", "x")
		if api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %s: %v", server, api.KindOf(err), err)
		}
	}
}

func TestGzipAndReuse(t *testing.T) {
	e := newEdge(t)
	var conns sync.Map
	e.mux.HandleFunc("GET /v1/devices", func(w http.ResponseWriter, r *http.Request) {
		conns.Store(r.RemoteAddr, true)
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding is %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		json.NewEncoder(z).Encode([]api.Device{{Name: "laptop"}})
		z.Close()
	})
	c := e.client(t)
	for range 10 {
		devices, err := c.Devices(t.Context())
		if err != nil || len(devices) != 1 || devices[0].Name != "laptop" {
			t.Fatal(devices, err)
		}
	}
	n := 0
	conns.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("ten calls took %d connections", n)
	}
}

// A server that restarted closed our idle connections; the next call must not
// fail because of that.
func TestClosedIdleConnection(t *testing.T) {
	e := newEdge(t)
	e.mux.HandleFunc("POST /v1/drives/home/missing", answer(map[string][]api.Hash{}))
	d := e.client(t).Drive("home")
	for range 50 {
		if _, err := d.Missing(t.Context(), []api.Hash{{1}}); err != nil {
			t.Fatal(err)
		}
		e.CloseClientConnections()
	}
}

func TestCancelled(t *testing.T) {
	e := newEdge(t)
	release := make(chan struct{})
	e.mux.HandleFunc("GET /v1/whoami", func(http.ResponseWriter, *http.Request) { <-release })
	c := e.client(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Whoami(ctx)
	close(release)
	if api.KindOf(err) != api.Cancelled || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	if _, err := c.Whoami(ctx); api.KindOf(err) != api.Cancelled {
		t.Errorf("after it: %v", err)
	}
}
