package server

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
	"satchel/storage/postgres/pgtest"
	"satchel/storage/postgres/populate"
)

// How many files one change may choose has a bound, beyond which none is changed. Parts of them may be changed, one after the other.
func TestChangesByFilterAreBounded(t *testing.T) {
	f := newFixture(t)
	home, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := populate.Drive(t.Context(), f.admin, home.ID(), populate.Shape{Wide: maxChosen + 1}); err != nil {
		t.Fatal(err)
	}
	described := func() int {
		return pgtest.Described(t, f.admin, "one of many")
	}
	left := func() int { return pgtest.Files(t, f.admin) }
	change := func(method, query string) answerData {
		t.Helper()
		r := request{method: method, path: "/files?" + query, as: alice}
		if method == "PATCH" {
			r.body = map[string]string{"description": "one of many"}
		}
		return f.do(r)
	}
	for _, query := range []string{"size=gt.0", "size=gt.0&limit=20001", "file_path=like.wide/*"} {
		for _, method := range []string{"PATCH", "DELETE"} {
			f.fails(change(method, query), 413, "more than 20000 files")
		}
	}
	if described() != 0 || left() != maxChosen+1 {
		t.Fatalf("refused, and done: %d are described, %d are left", described(), left())
	}
	if a := change("PATCH", "size=gt.0&limit=20000"); a.status != 204 || described() != maxChosen {
		t.Errorf("%d %s; %d are described", a.status, a.body, described())
	}
	if a := change("PATCH", "size=gt.0&offset=20000"); a.status != 204 || described() != maxChosen+1 {
		t.Errorf("%d %s; %d are described", a.status, a.body, described())
	}
	if a := change("DELETE", "size=gt.0&limit=100"); a.status != 204 || left() != maxChosen+1-100 {
		t.Errorf("%d %s; %d are left", a.status, a.body, left())
	}
}

// What is held of the files that are changed takes room as lists do: descriptions only if they are in the answer.
func TestChosenFilesTakeRoom(t *testing.T) {
	var config Config
	f := newFixtureWith(t, func(c *Config, _ string) { config = *c })
	for _, name := range strings.Fields("a b c d e f g h i j k l m n o p q r s t u v w x y z") {
		f.store(alice, name, name)
	}
	pgtest.DescribeLong(t, f.admin, 150_000)
	s := newServer(config)
	s.listRoom = serve.NewRoom(3, 2)
	asks := func(method, query, prefer, body string, status int) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(method, "/files?"+query, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+f.token(alice))
		r.Header.Set("Prefer", prefer)
		w := httptest.NewRecorder()
		if map[string]http.HandlerFunc{"PATCH": s.patchFiles, "DELETE": s.deleteFiles}[method](w, r); w.Code != status {
			t.Errorf("%s %q: %d %.200s", method, query, w.Code, w.Body)
		}
		if s.listRoom.Left() > 3 || len(s.turns.of) > 0 {
			t.Errorf("%s %q: %d pieces are free; %d take turns", method, query, s.listRoom.Left(), len(s.turns.of))
		}
		return w
	}
	const rows, none = "return=representation", "return=minimal"
	asks("PATCH", "size=gt.0", none, `{}`, 204)
	asks("PATCH", "size=gt.0&limit=2", rows, `{}`, 200)
	if w := asks("PATCH", "size=gt.0&select=file_path", rows, `{}`, 200); strings.Count(w.Body.String(), "file_path") != 26 {
		t.Errorf("%.300s", w.Body)
	}
	asks("PATCH", "size=gt.0", rows, `{}`, 413)
	asks("DELETE", "size=gt.0", rows, "", 413)
	other := hold(t, serve.Share{Room: s.listRoom, Owner: "another"})
	asks("PATCH", "size=gt.0&limit=15", rows, `{}`, 200)
	other.Close()
	other = hold(t, serve.Share{Room: s.listRoom, Owner: f.userID(alice)}) // her own list has a half
	w := asks("DELETE", "size=gt.0", rows, "", 503)
	if w.Header().Get("Retry-After") == "" {
		t.Errorf("%v", w.Header())
	}
	other.Close()
	if left := pgtest.Files(t, f.admin); left != 26 {
		t.Errorf("refused, and done: %d are left", left)
	}
	if w := asks("DELETE", "file_path=eq.a", rows, "", 200); !strings.Contains(w.Body.String(), strings.Repeat("d", 150_000)) {
		t.Errorf("what was stored before there was a bound: %.200s", w.Body)
	}
	if asks("DELETE", "size=gt.0", none, "", 204); s.listRoom.Left() != 3 {
		t.Errorf("%d pieces of 3 are free", s.listRoom.Left())
	}
}

// What walks the drive is limited as lists are; what names its files is not, so that a program may change one after the other.
func TestChangesThatWalkAreLimited(t *testing.T) {
	f := newFixture(t)
	id := f.store(alice, "a", "1")
	patch := func(query string) answerData {
		return f.do(request{method: "PATCH", path: "/files?" + query, as: alice, body: map[string]string{}})
	}
	for range 400 {
		if a := patch("id=eq." + id); a.status != 204 {
			t.Fatalf("by its id: %d %s", a.status, a.body)
		}
	}
	for range 3000 {
		if a := patch("size=gt.5"); a.status == 429 {
			f.fails(a, 429, "too many lists of files")
			return
		}
	}
	t.Error("3000 walks were let through")
}

// What names the files that it changes takes its user's turn, too: of many that name the same ones all would wait for their rows, each with a connection.
func TestNamedChangesTakeTurns(t *testing.T) {
	var config Config
	f := newFixtureWith(t, func(c *Config, _ string) { config = *c })
	a, b := f.store(alice, "a", "1"), f.store(alice, "b", "2")
	f.store(bob, "a", "3")
	home, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(config)
	change := func(as, method, query string) (*httptest.ResponseRecorder, chan struct{}) {
		r := httptest.NewRequest(method, "/files?"+query, strings.NewReader(`{"description": "changed"}`))
		r.Header.Set("Authorization", "Bearer "+f.token(as))
		w, done := httptest.NewRecorder(), make(chan struct{})
		go func() {
			defer close(done)
			map[string]http.HandlerFunc{"PATCH": s.patchFiles, "DELETE": s.deleteFiles}[method](w, r)
		}()
		return w, done
	}
	waiting := func() int {
		s.turns.mu.Lock()
		defer s.turns.mu.Unlock()
		return s.turns.of[home.Owner()].inside - 1
	}
	for _, c := range []struct{ method, query string }{
		{"PATCH", "id=in.(" + a + "," + b + ")"}, {"PATCH", "id=eq." + a}, {"PATCH", "file_path=eq.a"}, {"DELETE", "id=in.(" + a + "," + b + ")"},
	} {
		var w *httptest.ResponseRecorder
		var done chan struct{}
		err := s.turns.do(t.Context(), home.Owner(), func() error {
			w, done = change(alice, c.method, c.query)
			for waiting() == 0 {
				select {
				case <-done:
					t.Errorf("%s %s did not wait: %d %s", c.method, c.query, w.Code, w.Body)
					return nil
				case <-time.After(time.Millisecond):
				}
			}
			theirs, changed := change(bob, "PATCH", "file_path=eq.a")
			if <-changed; theirs.Code != 204 {
				t.Errorf("another one: %d %s", theirs.Code, theirs.Body)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if <-done; w.Code != 204 {
			t.Errorf("%s %s, when it is its turn: %d %s", c.method, c.query, w.Code, w.Body)
		}
	}
}

// A description has at most 4 KiB, however it comes, and what comes with one that is longer is not stored.
func TestDescriptionsAreBounded(t *testing.T) {
	f := newFixture(t)
	id := f.store(alice, "a", "1")
	most := strings.Repeat("ü", storage.MaxDescription/2)
	patch := func(text string) answerData {
		return f.do(request{method: "PATCH", path: "/files?id=eq." + id, as: alice, body: map[string]string{"description": text, "file_path": "moved"}})
	}
	store := func(text string) answerData {
		return f.do(request{method: "POST", path: "/rpc/store_file", as: alice, body: "x", header: map[string]string{"File-Path": "b", "Description": text, "Content-Type": "application/octet-stream"}})
	}
	tus := func(text string) int {
		encoded := base64.StdEncoding.EncodeToString([]byte(text))
		return (tusClient{f, alice}).create(t, "c", 1, strings.NewReader("x"), "Upload-Metadata", "path Yw==,description "+encoded).StatusCode
	}
	b := f.browser()
	b.signIn(alice)
	f.fails(patch(most+"!"), 413, "a description has at most 4096 bytes")
	f.fails(store(most+"!"), 413, "a description has at most 4096 bytes")
	if status := tus(most + "!"); status != 413 {
		t.Errorf("tus: %d", status)
	}
	if p := b.post("/do/describe", "path", "a", "description", most+"!"); p.status != 413 || !strings.Contains(p.body, "at most 4096 bytes") {
		t.Errorf("the page: %d %s", p.status, p.body)
	}
	if got := f.paths(f.do(request{path: "/files", as: alice})); got != "a" {
		t.Errorf("refused, and there are %q", got)
	}
	if status := tus(most); status != 201 {
		t.Errorf("tus: %d", status)
	}
	if p := b.post("/do/describe", "path", "a", "description", most); p.status != 200 || !strings.Contains(p.body, ">"+most+"<") {
		t.Errorf("the page: %d", p.status)
	}
	if a, b := store(most), patch(most); a.status != 200 || b.status != 204 {
		t.Errorf("%d %s, %d %s", a.status, a.body, b.status, b.body)
	}
	for _, row := range f.rows(f.do(request{path: "/files", as: alice})) {
		if row["description"] != most {
			t.Errorf("%v", row)
		}
	}
}

// Of a user's changes one is made at a time; another's do not wait for it, and nobody waits without an end.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		alice, bob := api.NewID(), api.NewID()
		end := make(chan struct{})
		var all sync.WaitGroup
		at := 0
		all.Go(func() {
			turns.do(t.Context(), alice, func() error { at++; <-end; at--; return nil })
		})
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			if err := turns.do(gone, alice, func() error { return nil }); err != context.Canceled {
				t.Errorf("who is gone: %v", err)
			}
		})
		all.Go(func() {
			err := turns.do(t.Context(), alice, func() error { return nil })
			if e, ok := err.(*api.Error); !ok || e.Kind != api.Unavailable || e.RetryAfter <= 0 {
				t.Errorf("who waits too long: %v", err)
			}
		})
		cancel()
		if err := turns.do(t.Context(), bob, func() error { return context.DeadlineExceeded }); err != context.DeadlineExceeded {
			t.Errorf("another one: %v", err)
		}
		time.Sleep(turnPatience) // of the bubble's clock
		for range 20 {
			all.Go(func() {
				turns.do(t.Context(), alice, func() error {
					if at++; at > 1 {
						t.Errorf("%d at a time", at)
					}
					at--
					return nil
				})
			})
		}
		close(end)
		all.Wait()
		if len(turns.of) != 0 {
			t.Errorf("%d are left", len(turns.of))
		}
	})
}
