package gc

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/blob/local"
	"satchel/storage/fault"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// aged makes all objects of a directory a day old.
func aged(t *testing.T, dir string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			old := time.Now().Add(-24 * time.Hour)
			err = os.Chtimes(path, old, old)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestLostLockEndsTheRun: a run whose connection is cut has no lock any more. It deletes nothing from then on, and
// the next one goes on.
func TestLostLockEndsTheRun(t *testing.T) {
	url := pgtest.New(t).Owner
	linked, cut := pgtest.Link(t, url)
	dir := t.TempDir()
	blobs, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	const orphans = 5
	for range orphans {
		if err := blobs.Put(t.Context(), api.NewID().String(), strings.NewReader("of nobody")); err != nil {
			t.Fatal(err)
		}
	}
	aged(t, dir)
	left := func() (n int) {
		for _, err := range blobs.List(t.Context()) {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	run := func(url string) (*postgres.Keeper, Report, error) {
		keeper, err := postgres.OpenKeeper(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(keeper.Close)
		report, err := Run(t.Context(), keeper, blobs, Options{}, slog.New(slog.DiscardHandler))
		return keeper, report, err
	}

	disarm := fault.Arm(func(s fault.Step) {
		if s == fault.OrphanDeleted {
			cut()
		}
	})
	keeper, report, err := run(linked)
	disarm()
	if api.KindOf(err) != api.Unavailable || !keeper.Lost() || report.Orphans != 1 || left() != orphans-1 {
		t.Errorf("a run that lost its lock after the first orphan: %v, lost %t, %d orphans, %d objects left", err, keeper.Lost(), report.Orphans, left())
	}
	deadline := time.Now().Add(time.Minute)
	for report.AnotherRunning = true; report.AnotherRunning && time.Now().Before(deadline); { // until PostgreSQL has ended that session
		if _, report, err = run(url); err != nil {
			t.Fatal(err)
		}
	}
	if report.Orphans != orphans-1 || left() != 0 {
		t.Errorf("the next run: %+v, %d objects left", report, left())
	}
}
