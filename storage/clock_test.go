package storage

import (
	"log/slog"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/gc"
	"satchel/storage/postgres"
)

// pass has the clocks of the database and of this machine go on, or back: all that happened is so much longer ago.
func (k *kept) pass(t *testing.T, by time.Duration) {
	t.Helper()
	k.ageAll(t, by)
	for _, q := range []string{
		`UPDATE satchel.uploads SET created = created - $1::interval`,
		`UPDATE satchel.links SET expires = expires - $1::interval`,
		`UPDATE satchel.sessions SET seen = seen - $1::interval`,
		`UPDATE satchel.runs SET started = started - $1::interval, touched = touched - $1::interval, finished = finished - $1::interval`,
	} {
		if _, err := k.admin.Exec(t.Context(), q, by); err != nil {
			t.Fatal(err)
		}
	}
}

// upkeep is a run of gc as a server does it.
func (k *kept) upkeep(t *testing.T) (r gc.Report) {
	t.Helper()
	k.keep(t, func(keeper *postgres.Keeper) error {
		run := postgres.Run{ID: api.NewID(), Kind: "gc", Via: "server", Host: "h"}
		if err := keeper.StartRun(t.Context(), run); err != nil {
			return err
		}
		var err error
		keep := DefaultRetention
		keep.Events = time.Hour
		r, err = gc.Run(t.Context(), keeper, k.blobs, gc.Options{Grace: gc.DefaultGrace, Changes: gc.DefaultChanges, Keep: keep, Expire: k.Expire}, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		return keeper.EndRun(t.Context(), run.ID, []byte("{}"), "")
	})
	return r
}

// A clock that is ahead for some time makes nothing old, however often it is. When it goes on for days it is believed: the server was off.
func TestAClockThatJumpsAhead(t *testing.T) {
	const hours, jump = 6 * time.Hour, 40 * day
	k := newKept(t)
	me := k.user(t, "editor")
	d := k.home(t, me)
	k.session(t, me, 0)
	d.store(t, "/kept", "before")
	d.store(t, "/kept", "later that day")
	d.store(t, "/deleted", "in the trash")
	d.unlink(t, "/deleted")
	if _, err := d.AddLink(t.Context(), names(t, "kept"), LinkOptions{Expires: time.Now().Add(7 * day)}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.BeginResumable(t.Context(), api.NewID(), names(t, "under way"), 10, nil); err != nil {
		t.Fatal(err)
	}
	there := func(when string, trash, versions, links, uploads int) {
		t.Helper()
		var is [4]int
		if err := k.admin.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM satchel.trash), (SELECT count(*) FROM satchel.versions), (SELECT count(*) FROM satchel.links),
				(SELECT count(*) FROM satchel.uploads)`).Scan(&is[0], &is[1], &is[2], &is[3]); err != nil {
			t.Fatal(err)
		}
		if want := [4]int{trash, versions, links, uploads}; is != want {
			t.Fatalf("%s there are %v things in the trash, versions, links and uploads, not %v", when, is, want)
		}
	}
	runs := func(when string, behind time.Duration) {
		t.Helper()
		r := k.upkeep(t)
		if is := time.Duration(r.BehindSeconds * float64(time.Second)); is < behind-time.Hour || is > behind+time.Hour {
			t.Errorf("%s gc takes it to be %v earlier, not %v", when, is, behind)
		}
	}
	runs("at first", 0)
	k.pass(t, hours)
	runs("later", 0)
	for range 2 { // twice, so that what was told by the wrong clock is no witness to it
		k.pass(t, hours+jump)
		runs("when the clock has jumped", hours+jump)
		k.pass(t, hours)
		runs("when it is still ahead", 2*hours+jump)
		there("by the wrong clock", 1, 3, 1, 1)
		k.pass(t, hours-jump)
		runs("when it is right again", 0)
		there("by the right clock", 1, 3, 1, 1)
	}
	k.pass(t, 400*day)
	runs("after a year", 400*day)
	there("after a year", 1, 3, 1, 1)
	for range 4 {
		k.pass(t, hours+time.Minute)
		k.upkeep(t)
	}
	if left := k.upkeep(t); left.BehindSeconds != 0 {
		t.Errorf("after a day, gc takes it to be %v s earlier", left.BehindSeconds)
	}
	there("when a day is over", 0, 1, 0, 0)
}
