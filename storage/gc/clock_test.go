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

// TestAsOf: a run takes it to be as late as both clocks say, and no later than earlier runs bear witness to.
func TestAsOf(t *testing.T) {
	const hour, day = time.Hour, 24 * time.Hour
	start := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		ours, seen time.Duration // how much earlier than the database's clock says; seen 0: never
		want       time.Duration // too
	}{
		"nothing ran before":                       {0, 0, 0},
		"a run yesterday":                          {0, day + hour, 0},
		"a run the day before":                     {0, 2*day + hour, 0},
		"a silence of days":                        {0, 4 * day, 4 * day},
		"a silence of years":                       {0, 1000 * day, 1000 * day},
		"this machine's clock is behind":           {2 * day, day + hour, 2 * day},
		"this machine's clock is ahead":            {-2 * day, day + hour, 0},
		"the database's clock jumped":              {40 * day, 40*day + hour, 40*day + hour},
		"this machine's clock is behind, silence":  {5 * day, 4 * day, 5 * day},
		"this machine's clock is behind, at first": {40 * day, 0, 40 * day},
	} {
		seen := time.Time{}
		if test.seen != 0 {
			seen = start.Add(-test.seen)
		}
		if got := start.Sub(asOf(start, start.Add(-test.ours), seen)); got != test.want {
			t.Errorf("%s: %v earlier, not %v", name, got, test.want)
		}
	}
}

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
		c := &collector{Options: Options{Progress: func(string, int64, int64) {}}, keeper: keeper, blobs: blobs, now: asOf(time.Now().Add(test.database), time.Now(), time.Time{})}
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
