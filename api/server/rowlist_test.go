package server

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
	"satchel/storage/postgres/pgtest"
)

// A list in pieces is what the whole of it would be.
func TestRowListIsTheList(t *testing.T) {
	fields, err := filesTable.parseSelect("")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 2, 40} {
		for _, accept := range []string{"", objectJSON} {
			files := make([]storage.File, n)
			room := serve.NewRoom(4, 4)
			l := &rowList[storage.File]{table: filesTable, fields: fields, share: serve.Share{Room: room}}
			for range 2 { // a transaction may run again
				l.Begin()
				for i := range files {
					files[i] = storage.File{ID: api.NewID(), FilePath: fmt.Sprint(i, " <&>"), Description: strings.Repeat("ü", 50_000)}
					if err := l.Add(files[i]); err != nil {
						t.Fatal(err)
					}
				}
			}
			r := httptest.NewRequest("GET", "/files", nil)
			r.Header.Set("Accept", accept)
			got, want := httptest.NewRecorder(), httptest.NewRecorder()
			err, wanted := l.write(got, r, 206), filesTable.write(want, r, 206, fields, files)
			if err != wanted || got.Code != want.Code || got.Body.String() != want.Body.String() || got.Header().Get("Content-Type") != want.Header().Get("Content-Type") {
				t.Errorf("%d files, %q: %v %d %d bytes, and not %v %d %d bytes", n, accept, err, got.Code, got.Body.Len(), wanted, want.Code, want.Body.Len())
			}
			if l.Close(); room.Left() != 4 {
				t.Errorf("%d pieces of 4 are free", room.Left())
			}
		}
	}
}

// hold takes a piece for a list that somebody is slow to take.
func hold(t *testing.T, s serve.Share) *serve.Share {
	t.Helper()
	if err := s.Grow(serve.Piece); err != nil {
		t.Fatal(err)
	}
	return &s
}

// What lists hold in memory has a bound, for one and for all together.
func TestListsAreBounded(t *testing.T) {
	var config Config
	f := newFixtureWith(t, func(c *Config, _ string) { config = *c })
	for i := range 50 {
		f.store(alice, fmt.Sprint(i), "x")
	}
	pgtest.DescribeLong(t, f.admin, 50_000)
	s := newServer(config)
	s.listRoom = serve.NewRoom(3, 2)
	asks := func(query string, status int) {
		t.Helper()
		r := httptest.NewRequest("GET", "/files?"+query, nil)
		r.Header.Set("Authorization", "Bearer "+f.token(alice))
		w := httptest.NewRecorder()
		if s.getFiles(w, r); w.Code != status {
			t.Errorf("%q: %d %.200s", query, w.Code, w.Body)
		}
		if w.Code == 503 && w.Header().Get("Retry-After") == "" {
			t.Errorf("%q: %v", query, w.Header())
		}
	}
	asks("", 200)
	asks("select=description,description", 413) // more than one may have
	asks("select=description,description&limit=20", 200)
	other := hold(t, serve.Share{Room: s.listRoom, Owner: "another"})
	asks("", 200)
	other.Close()
	other = hold(t, serve.Share{Room: s.listRoom, Owner: f.userID(alice)}) // her own has a half
	asks("", 503)
	asks("limit=5", 200)
	other.Close()
	asks("", 200)
	asks("select="+strings.Repeat("*,", 1000)+"*", 400)
	if s.listRoom.Left() != 3 {
		t.Errorf("%d pieces of 3 are free", s.listRoom.Left())
	}
}
