// Package live runs the server's real parts inside a test's process: its HTTP
// handlers on a real PostgreSQL and a real blob store. Tests of the client use
// it where package rig's programs would be too slow, or where they must look
// behind the server's back.
package live

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"satchel/api"
	"satchel/api/admin"
	"satchel/api/auth"
	"satchel/api/server"
	"satchel/storage"
	"satchel/storage/blob/local"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

// Main runs a package's tests; see [pgtest.Main].
func Main(m *testing.M) { pgtest.Main(m) }

// Server is one installation. Its address stays the same when it is restarted.
type Server struct {
	URL string

	t       testing.TB
	urls    pgtest.Database
	blobs   string
	web     *httptest.Server
	handler atomic.Pointer[http.Handler]
	users   atomic.Int64

	mu      sync.Mutex
	stop    func()             // of the instance that runs
	running *postgres.Operator // for what no API does
}

// New starts a server with an empty database; it ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, urls: pgtest.New(t), blobs: t.TempDir()}
	s.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := s.handler.Load()
		if h == nil {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		(*h).ServeHTTP(w, r)
	}))
	s.URL = s.web.URL
	s.Start()
	t.Cleanup(func() {
		s.Stop()
		s.web.Close()
	})
	return s
}

// Start starts an instance on the server's database and blobs.
func (s *Server) Start() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	db, err := postgres.Open(ctx, s.urls.App)
	if err != nil {
		s.t.Fatal(err)
	}
	operator, err := postgres.OpenOperator(ctx, s.urls.Owner)
	if err != nil {
		s.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	accounts, err := auth.New(ctx, db, auth.SealingKey{1}, log)
	if err != nil {
		s.t.Fatal(err)
	}
	blobs, err := local.Open(s.blobs)
	if err != nil {
		s.t.Fatal(err)
	}
	drives := storage.New(db, blobs, log)
	var wg sync.WaitGroup
	wg.Go(func() { drives.Run(ctx) })
	h := server.New(server.Config{Auth: accounts, Drives: drives, Admin: &admin.Office{DB: db, Auth: accounts, Kinds: storage.Kinds()}, Ready: db.Ping, Stopping: ctx.Done(), Log: log})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = operator
	s.stop = func() {
		s.handler.Store(nil)
		cancel()
		s.web.CloseClientConnections()
		wg.Wait()
		drives.Close()
		operator.Close()
		db.Close()
	}
	s.handler.Store(&h)
}

// Stop ends the instance at once: connections break, and requests fail until
// the next Start. What a request had committed stays.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// User is an editor's account.
type User struct {
	ID              api.ID
	Email, Password string

	s *Server
}

var passwordHash = sync.OnceValues(func() (string, error) { return auth.HashPassword(password) })

const password = "correct horse battery staple"

// User makes an account.
func (s *Server) User() *User {
	s.t.Helper()
	hash, err := passwordHash()
	if err != nil {
		s.t.Fatal(err)
	}
	u := &User{ID: api.NewID(), Email: fmt.Sprintf("user%d@example.org", s.users.Add(1)), Password: password, s: s}
	if err := s.running.AddUser(context.Background(), postgres.User{ID: u.ID, Email: u.Email, Role: auth.Editor}, hash); err != nil {
		s.t.Fatal(err)
	}
	return u
}

// Store puts a file at a path by POST /rpc/store_file, with a device's token.
func (s *Server) Store(token, path, content string) error {
	return s.call(http.MethodPost, "/rpc/store_file", token, content, http.Header{"File-Path": {path}})
}

// Delete removes the file at a path by DELETE /files. That there is none is
// no error.
func (s *Server) Delete(token, path string) error {
	return s.call(http.MethodDelete, "/files?file_path=eq."+url.QueryEscape(path), token, "", nil)
}

// Move gives a file another path by PATCH /files.
func (s *Server) Move(token, from, to string) error {
	return s.call(http.MethodPatch, "/files?file_path=eq."+url.QueryEscape(from), token,
		fmt.Sprintf(`{"file_path": %q}`, to), http.Header{"Content-Type": {"application/json"}})
}

func (s *Server) call(method, path, token, body string, header http.Header) error {
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, b)
	}
	return err
}
