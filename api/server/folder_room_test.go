package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"satchel/api"
	"satchel/api/route"
	"satchel/api/serve"
	"satchel/storage"
)

// What large folders hold in memory has a bound, for one and for all together, whoever lists them and how.
func TestFoldersAreBounded(t *testing.T) {
	const files = 6000
	var config Config
	f := newFixtureWith(t, func(c *Config, _ string) { config = *c })
	d, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	many(t, d, api.NewID(), files)
	nowhere := api.NewID()
	batch := api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{
		{Op: api.OpCreate, Node: nowhere, Parent: d.Root(), Name: "nowhere", Attr: &api.Attr{Type: api.Directory}}}}
	for i := range 1200 {
		batch.Mutations = append(batch.Mutations, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: nowhere, Name: api.Name(fmt.Sprint(i)),
			Attr: &api.Attr{Type: api.Symlink, Target: "gone"}})
	}
	if _, err := d.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	b := f.browser()
	b.signIn(alice)
	at, err := url.Parse(f.url)
	if err != nil {
		t.Fatal(err)
	}
	made := f.do(request{method: "POST", path: "/v1/drives/home/links", as: alice, body: map[string]string{"path": "/many"}})
	var link api.Link
	if err := json.Unmarshal([]byte(made.body), &link); err != nil || link.URL == "" {
		t.Fatalf("%d %s", made.status, made.body)
	}
	var mux *http.ServeMux
	has := func(pieces int) *server { // for one, and a piece for others
		s := newServer(config)
		s.listRoom, s.pageRoom = serve.NewRoom(pieces+1, pieces), serve.NewRoom(pieces+1, pieces)
		doc := route.New("Satchel", "1", "")
		mux = http.NewServeMux()
		s.routeWeb(mux)
		s.routeVFS(mux, doc)
		s.routeDAV(mux, doc)
		return s
	}
	ask := func(method, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+f.token(alice))
		for _, c := range b.c.Jar.Cookies(at) {
			r.AddCookie(c)
		}
		r.Header.Set("Depth", "1")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	stranger := httptest.NewRequest("GET", "/", nil)
	lists := func(s *server) serve.Share { return s.listShare(d.Owner()) }
	pages := func(s *server) serve.Share { return s.pageShare(stranger, d.Owner()) }
	links := func(s *server) serve.Share { return s.pageShare(stranger, api.ID{}) }
	for _, tt := range []struct {
		method, path string
		of           func(*server) serve.Share
		pieces       int
		status       int
		first        string
	}{
		{"GET", "/browse/many", pages, 2, 200, "photo-00000.jpg"},
		{"GET", "/browse/many?sort=-size", pages, 2, 200, "photo-00000.jpg"},
		{"GET", strings.TrimPrefix(link.URL, f.url) + "/?from=5900", links, 2, 200, "photo-05900.jpg"},
		{"PROPFIND", "/dav/many", lists, 5, 207, "photo-05999.jpg"},
		{"PROPFIND", "/dav/many/", lists, 5, 207, "photo-05999.jpg"},
	} {
		is := func(what string, status int, says string) {
			t.Helper()
			w := ask(tt.method, tt.path)
			if w.Code != status || !strings.Contains(w.Body.String(), says) || status == 503 && w.Header().Get("Retry-After") == "" {
				t.Errorf("%s %s, %s: %d %v %.300s", tt.method, tt.path, what, w.Code, w.Header(), w.Body)
			}
		}
		own := tt.of(has(tt.pieces))
		is("with room for it", tt.status, tt.first)
		other := hold(t, serve.Share{Room: own.Room, Owner: "another"})
		is("beside another's", tt.status, tt.first)
		other.Close()
		other = hold(t, own)
		is("beside another of the same owner", 503, "")
		other.Close()
		is("alone again", tt.status, tt.first)
		if left := own.Room.Left(); left != tt.pieces+1 {
			t.Errorf("%s %s: %d pieces of %d are free", tt.method, tt.path, left, tt.pieces+1)
		}
		has(tt.pieces - 1)
		is("with too little room", 413, "")
	}

	has(0)
	if w := ask("PROPFIND", "/dav/nowhere"); w.Code != 413 {
		t.Errorf("symlinks that lead nowhere: %d %.300s", w.Code, w.Body)
	}
	var entries []vfsEntry
	w := ask("GET", "/api/vfs/ls/home/many?includeSize=true")
	if err := json.Unmarshal(w.Body.Bytes(), &entries); err != nil || w.Code != 200 || len(entries) != files || entries[5999].Name != "photo-05999.jpg" {
		t.Errorf("/api/vfs/ls: %d, %d entries: %v", w.Code, len(entries), err)
	}
	if w := ask("GET", "/api/vfs/ls/home/many?glob=nothing"); w.Body.String() != "[]\n" {
		t.Errorf("/api/vfs/ls of nothing: %d %q", w.Code, w.Body)
	}
}

// A list that can't be completed does not look whole; where nothing of it was sent it is answered.
func TestVFSListBreaksOff(t *testing.T) {
	sick := errors.New("the database is gone")
	for n, breaks := range map[int]bool{1: false, storage.MaxPage: false, storage.MaxPage + 1: true} {
		asked := 0
		l := &vfsListing{w: httptest.NewRecorder(), sizes: func(context.Context, []api.ID) (map[api.ID]int64, error) {
			if asked++; n > storage.MaxPage && asked == 1 {
				return nil, nil
			}
			return nil, sick
		}}
		var err error
		for i := range n {
			if err == nil {
				err = l.add(t.Context(), vfsEntry{Name: api.Name(fmt.Sprint(i)), Type: "dir"})
			}
		}
		if err == nil {
			err = l.end(t.Context())
		}
		func() {
			defer func() {
				if broke := recover() == http.ErrAbortHandler; broke != breaks {
					t.Errorf("of %d entries: broken off %t", n, broke)
				}
			}()
			if err := l.whole(err); err != sick {
				t.Errorf("of %d entries: %v", n, err)
			}
		}()
	}
}
