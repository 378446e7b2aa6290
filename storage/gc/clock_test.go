package gc

import (
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/blob/local"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

// TestOrphansAreOldByBothClocks: where this machine's clock and the database's are days apart, no object is taken for
// an orphan that is young by either.
func TestOrphansAreOldByBothClocks(t *testing.T) {
	const apart = 48 * time.Hour
	keeper, err := postgres.OpenKeeper(t.Context(), pgtest.New(t).Owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keeper.Close)
	for name, test := range map[string]struct {
		database time.Duration // by how much its clock is ahead of ours
		left     int           // of three objects that are an hour old by ours, and one just made
	}{
		"the database is behind": {-apart, 4},
		"the database is ahead":  {apart, 1},
	} {
		dir := t.TempDir()
		blobs, err := local.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		put := func() {
			if err := blobs.Put(t.Context(), api.NewID().String(), strings.NewReader("of nobody")); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			put()
		}
		aged(t, dir)
		put()
		c := &collector{Options: Options{Progress: func(string, int64, int64) {}}, keeper: keeper, blobs: blobs, before: time.Now().Add(test.database)}
		if err := c.orphans(t.Context()); err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, err := range blobs.List(t.Context()) {
			if left++; err != nil {
				t.Fatal(err)
			}
		}
		if left != test.left {
			t.Errorf("%s: %d objects are left, want %d", name, left, test.left)
		}
	}
}
