package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/admin"
	"satchel/api/auth"
	"satchel/storage"
	"satchel/storage/blob/local"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	alice    = "alice@example.org"
	bob      = "bob@example.org"
	root     = "root@example.org"
	password = "correct horse"
)

// fixture is a server on a real database and a real blob store.
type fixture struct {
	t        *testing.T
	url      string
	db       *postgres.DB
	operator *postgres.Operator
	auth     *auth.Auth
	drives   *storage.Service
	app      string // the URL of the database for what serves requests
	admin    string // and for its superuser
	blobs    string // the directory of the blob store
	stop     func()
	upkeep   noUpkeep
	log      *lockedBuffer
	tokens   map[string]string
}

// noUpkeep notes the runs that it is asked to start.
type noUpkeep struct{ started []postgres.Run }

func (u *noUpkeep) Start(_ context.Context, r postgres.Run) error {
	if len(u.started) > 0 {
		return api.Errorf(api.Exists, "one is at work")
	}
	u.started = append(u.started, r)
	return nil
}

var passwordHash = sync.OnceValues(func() (string, error) { return auth.HashPassword(password) })

// lockedBuffer is a log that tests can read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newFixture(t *testing.T) *fixture { return newFixtureWith(t, func(*Config, string) {}) }

// newFixtureWith is a server whose configuration is changed first, by what
// knows its address.
func newFixtureWith(t *testing.T, change func(c *Config, url string)) *fixture {
	t.Helper()
	urls := pgtest.New(t)
	f := &fixture{t: t, app: urls.App, admin: urls.Admin, log: &lockedBuffer{}, tokens: map[string]string{}}
	var err error
	if f.db, err = postgres.Open(t.Context(), urls.App); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.db.Close)
	if f.operator, err = postgres.OpenOperator(t.Context(), urls.Owner); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.operator.Close)
	hash, err := passwordHash()
	if err != nil {
		t.Fatal(err)
	}
	for email, role := range map[string]string{alice: auth.Editor, bob: auth.Editor, root: auth.Admin} {
		if err := f.operator.AddUser(t.Context(), postgres.User{ID: api.NewID(), Email: email, Role: role}, hash); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if f.auth, err = auth.New(t.Context(), f.db, auth.SealingKey{1}, log); err != nil {
		t.Fatal(err)
	}
	f.blobs = t.TempDir()
	blobs, err := local.Open(f.blobs)
	if err != nil {
		t.Fatal(err)
	}
	f.drives = storage.New(f.db, blobs, log)
	running, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		indexing := make(chan struct{})
		go func() {
			defer close(indexing)
			f.drives.RunIndex(running)
		}()
		f.drives.Run(running)
		<-indexing
	}()
	stopping, stopWaiting := context.WithCancel(running)
	f.stop = stopWaiting
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	f.url = web.URL
	config := Config{BanStore: f.db, Bans: BanConfig{Time: time.Minute}, Auth: f.auth, Drives: f.drives, Admin: &admin.Office{DB: f.db, Auth: f.auth, Upkeep: &f.upkeep, Kinds: storage.Kinds()}, Ready: f.db.Ping, Stopping: stopping.Done(), Log: log, OpenSignup: true}
	change(&config, f.url)
	handler = New(config)
	t.Cleanup(func() {
		stop()
		web.Close()
		<-done
	})
	return f
}

// request is one call. Zero values leave things out.
type request struct {
	method string
	path   string
	as     string // an e-mail address, logged in by token
	body   any    // []byte, string and io.Reader as they are, else JSON
	header map[string]string
}

// answer is what came back.
type answerData struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) do(r request) answerData {
	f.t.Helper()
	resp := f.send(r)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	return answerData{resp.StatusCode, resp.Header, string(b)}
}

func (f *fixture) send(r request) *http.Response {
	f.t.Helper()
	var body io.Reader
	kind := ""
	switch b := r.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	case string:
		body = strings.NewReader(b)
	case io.Reader:
		body = b
	default:
		j, err := json.Marshal(b)
		if err != nil {
			f.t.Fatal(err)
		}
		body, kind = bytes.NewReader(j), "application/json"
	}
	method := r.method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+r.path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if r.as != "" {
		req.Header.Set("Authorization", "Bearer "+f.token(r.as))
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, r.path, err)
	}
	return resp
}

// token logs an account in by /rpc/login, once.
func (f *fixture) token(email string) string {
	f.t.Helper()
	if f.tokens[email] == "" {
		a := f.login(email, password)
		var rows []struct{ Token string }
		if err := json.Unmarshal([]byte(a.body), &rows); err != nil || a.status != 200 || len(rows) != 1 {
			f.t.Fatalf("login as %s: %d %s", email, a.status, a.body)
		}
		f.tokens[email] = rows[0].Token
	}
	return f.tokens[email]
}

func (f *fixture) login(email, password string) answerData {
	f.t.Helper()
	return f.do(request{method: "POST", path: "/rpc/login", body: map[string]string{"email": email, "password": password}})
}

// store stores a file and returns its document.
func (f *fixture) store(as, path, content string) string {
	f.t.Helper()
	a := f.do(request{method: "POST", path: "/rpc/store_file", as: as, body: content,
		header: map[string]string{"File-Path": path, "Content-Type": "application/octet-stream"}})
	var id string
	if err := json.Unmarshal([]byte(a.body), &id); err != nil || a.status != 200 {
		f.t.Fatalf("store %s as %s: %d %s", path, as, a.status, a.body)
	}
	return id
}

// fails checks an error in PostgREST's shape.
func (f *fixture) fails(a answerData, status int, message string) {
	f.t.Helper()
	var e map[string]any
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		f.t.Fatalf("error body %q: %v", a.body, err)
	}
	for _, name := range []string{"message", "code", "details", "hint"} {
		if _, ok := e[name]; !ok {
			f.t.Errorf("the error %s has no %s", a.body, name)
		}
	}
	if text, _ := e["message"].(string); a.status != status || !strings.Contains(text, message) || text == "" {
		f.t.Errorf("%d %s; want %d …%s…", a.status, a.body, status, message)
	}
}

// rows reads a list of /files.
func (f *fixture) rows(a answerData) []map[string]any {
	f.t.Helper()
	var rows []map[string]any
	if err := json.Unmarshal([]byte(a.body), &rows); err != nil || a.status/100 != 2 {
		f.t.Fatalf("rows: %d %s", a.status, a.body)
	}
	return rows
}

// paths is the file_path of each row.
func (f *fixture) paths(a answerData) string {
	f.t.Helper()
	var paths []string
	for _, row := range f.rows(a) {
		paths = append(paths, row["file_path"].(string))
	}
	return strings.Join(paths, " ")
}
