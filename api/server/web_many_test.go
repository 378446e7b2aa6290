package server

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage"
)

// emptySum is the SHA-256 of nothing.
var emptySum = api.Hash(sha256.Sum256(nil))

// many makes a folder of n files by one device's batches.
func many(t *testing.T, d *storage.Drive, folder api.ID, n int) {
	t.Helper()
	batch := api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{
		{Op: api.OpCreate, Node: folder, Parent: d.Root(), Name: "many", Attr: &api.Attr{Type: api.Directory}, Time: 1}}}
	for i := range n {
		batch.Mutations = append(batch.Mutations, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: folder, Name: api.Name(fmt.Sprintf("photo-%05d.jpg", i)),
			Attr: &api.Attr{Type: api.File}, Version: &api.Version{ID: api.NewID(), SHA256: emptySum}, Time: int64(i) * 1e9})
		if len(batch.Mutations) == api.MaxBatch || i == n-1 {
			if _, err := d.Commit(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			batch.Number++
			batch.Mutations = nil
		}
	}
}

// TestWebTenThousand: the page of a folder of 10,000 files has few bytes, since it shows the first
// of them; the last ones, by any order, are a page like it. Its time is logged.
func TestWebTenThousand(t *testing.T) {
	const (
		files = 10_000
		bytes = 160 << 10 // of the page
	)
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	d, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	many(t, d, api.NewID(), files)
	b.get("/browse/many") // so that nothing is prepared for the first time below
	for path, first := range map[string]string{"/browse/many": "photo-00000.jpg", "/browse/many?sort=-changed": "photo-09999.jpg", "/browse/many?from=9900": "photo-09900.jpg"} {
		begin := time.Now()
		p := b.get(path)
		t.Logf("%s: %v, %d bytes", path, time.Since(begin).Round(time.Millisecond), len(p.body))
		if p.status != 200 || !strings.Contains(p.body, first) {
			t.Errorf("%s: %d without %s", path, p.status, first)
		}
		if len(p.body) > bytes {
			t.Errorf("%s has %d bytes", path, len(p.body))
		}
	}
}
