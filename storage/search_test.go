package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"satchel/api"
	"satchel/storage/postgres"
)

// TestChangedFirst: while all drives are looked at, which may take hours, what is changed does not wait for the end.
func TestChangedFirst(t *testing.T) {
	var drives []postgres.OwnedDrive
	for range 5 {
		drives = append(drives, postgres.OwnedDrive{Drive: api.NewID()})
	}
	set := func(which ...int) map[api.ID]*pass {
		m := map[api.ID]*pass{}
		for _, i := range which {
			m[drives[i].Drive] = nil
		}
		return m
	}
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		dirty  []int
		all    bool
		during map[int][]int // while one is looked at, these change
		fail   int           // -1: none
		want   []int
	}{
		"nothing":                {nil, false, nil, -1, nil},
		"some":                   {[]int{3, 1}, false, nil, -1, []int{1, 3}},
		"all":                    {nil, true, nil, -1, []int{0, 1, 2, 3, 4}},
		"all, the changed first": {[]int{4, 2}, true, nil, -1, []int{2, 4, 0, 1, 3}},
		"what changes meanwhile": {nil, true, map[int][]int{0: {4}, 2: {0}}, -1, []int{0, 4, 1, 2, 0, 3}},
		"an error":               {[]int{2}, true, nil, 0, []int{2, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			var next []int
			fresh := func() map[api.ID]*pass {
				m := set(next...)
				next = nil
				return m
			}
			err := changedFirst(drives, set(c.dirty...), c.all, fresh, func(d postgres.OwnedDrive, _ *pass) error {
				i := slices.Index(drives, d)
				got = append(got, i)
				next = append(next, c.during[i]...)
				delete(c.during, i)
				if i == c.fail {
					return failed
				}
				return nil
			})
			if !slices.Equal(got, c.want) || (err != nil) != (c.fail >= 0) {
				t.Errorf("looked at %v, wanted %v; error %v", got, c.want, err)
			}
		})
	}
}

// TestSearchPaths: a part of a path is found in whatever case and form of Unicode it is written.
func TestSearchPaths(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	d.store(t, "Über/Ämter.txt", "")
	d.store(t, norm.NFD.String("über/ämter.doc"), "")
	d.store(t, "Uber/Amter.txt", "")
	for part, want := range map[string]int{"über/ÄMTER": 2, norm.NFD.String("Über/ä"): 2, "/über/ämter.txt": 1, "uber/amter": 1, "er/ä": 2} {
		found, err := d.Search(t.Context(), d.Root(), "", part, 100)
		if err != nil || len(found) != want {
			t.Errorf("%q is found %d times, not %d (%v)", part, len(found), want, err)
		}
	}
}

// TestIndexRests: in the middle of a drive the index rests for three times as long as it worked, up to a second, unless another one waits.
func TestIndexRests(t *testing.T) {
	one, other := api.NewID(), api.NewID()
	for name, c := range map[string]struct {
		dirty        map[api.ID]*pass
		worked, want time.Duration
	}{
		"nothing waits":          {nil, time.Minute, indexQuiet},
		"none is begun":          {map[api.ID]*pass{one: nil, other: nil}, time.Minute, indexQuiet},
		"one is begun":           {map[api.ID]*pass{one: {}}, 5 * time.Millisecond, 15 * time.Millisecond},
		"and the turn took long": {map[api.ID]*pass{one: {}}, time.Minute, time.Second},
		"and another waits":      {map[api.ID]*pass{one: {}, other: nil}, time.Minute, 0},
		"and so is another":      {map[api.ID]*pass{one: {}, other: {}}, time.Minute, 0},
	} {
		x := newIndexing()
		for drive, p := range c.dirty {
			if p != nil {
				x.goOn(drive, p)
			}
		}
		for drive := range c.dirty { // which is changed meanwhile, too
			x.wake(drive)
		}
		if got := x.pause(c.worked); got != c.want {
			t.Errorf("%s: after %v of work it waits %v, not %v", name, c.worked, got, c.want)
		}
	}
}

// TestIndexTakesTurns: one user's many files keep another's one from being found for no longer than a turn.
func TestIndexTakesTurns(t *testing.T) {
	defer func(was int) { wordsAtOnce = was }(wordsAtOnce)
	wordsAtOnce = 1
	w := newWorld(t)
	many, single := w.home(t, w.user(t, "editor")), w.home(t, w.user(t, "editor"))
	hits := func(d *drive, word string) int {
		t.Helper()
		found, err := d.Search(t.Context(), d.Root(), word, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	const files = 5
	for i := range files {
		many.store(t, fmt.Sprintf("many %d.txt", i), "word")
		many.store(t, fmt.Sprintf("picture %d.png", i), "word") // is not read
	}
	w.index.wake(many.ID())
	w.indexDirty(t.Context())
	single.store(t, "one.txt", "word")
	w.index.wake(single.ID())
	w.indexDirty(t.Context())
	if here, there := hits(many, "word"), hits(single, "word"); here != 2 || there != 1 {
		t.Errorf("after two turns of one and one of the other %d and %d files are found", here, there)
	}
	// Of this nobody is told but in the middle.
	many.store(t, "late.txt", "late")
	w.index.wake(many.ID())
	turns := 2
	for ; len(w.index.dirty) > 0 && turns < 100; turns++ {
		w.indexDirty(t.Context())
	}
	if words, late := hits(many, "word"), hits(many, "late"); words != files || late != 1 {
		t.Errorf("at the end %d files are found, and %d that came late", words, late)
	}
	if again := w.index.pause(time.Minute); turns < files+1 || turns > files+4 || again != indexQuiet {
		t.Errorf("%d files took %d turns, and then %v of rest", files+1, turns, again)
	}
	if w.indexDirty(t.Context()); len(w.index.dirty) != 0 {
		t.Error("it does not come to an end")
	}
	// All is forgotten in the middle.
	many.store(t, "later.txt", "word")
	many.store(t, "latest.txt", "word")
	w.index.wake(many.ID())
	w.indexDirty(t.Context())
	if err := w.Reindex(t.Context(), w.user(t, "admin")); err != nil {
		t.Fatal(err)
	}
	for w.index.all || len(w.index.dirty) > 0 {
		w.indexDirty(t.Context())
	}
	if words, one := hits(many, "word"), hits(single, "word"); words != files+2 || one != 1 {
		t.Errorf("after all was to be found again %d and %d files are found", words, one)
	}
}

// While all words are found again those of before are found: no row goes, of how many files soever.
func TestReindexForgetsNothing(t *testing.T) {
	w := newWorld(t)
	admin := w.user(t, "admin")
	d := w.home(t, w.user(t, "editor"))
	finds := func(when, word string, want int) {
		t.Helper()
		if found, err := d.Search(t.Context(), d.Root(), word, "", 100); err != nil || len(found) != want {
			t.Errorf("%s: %d files have %q, not %d: %v", when, len(found), word, want, err)
		}
	}
	looked := 0
	index := func() {
		t.Helper()
		w.index.wakeAll()
		for w.index.all || len(w.index.dirty) > 0 {
			w.indexDirty(t.Context())
		}
	}
	says := func(word string) {
		w.ExtractWith(func(context.Context, string, []byte) (string, error) { looked++; return word, nil })
	}
	const files = 3
	for i := range files {
		d.store(t, fmt.Sprintf("%d.pdf", i), fmt.Sprint("content ", i))
	}
	says("before")
	index()
	says("after")
	for range 2 {
		if err := w.Reindex(t.Context(), admin); err != nil {
			t.Fatal(err)
		}
		finds("when nothing was looked at yet", "before", files)
	}
	index()
	finds("at the end", "before", 0)
	finds("at the end", "after", files)
	if index(); looked != 2*files {
		t.Errorf("%d files were looked at %d times", files, looked)
	}
	if err := w.Reindex(t.Context(), d.caller); api.KindOf(err) != api.Permission {
		t.Errorf("somebody else has all words found again: %v", err)
	}
	err := w.db.As(t.Context(), d.caller.User, func(ctx context.Context, tx *postgres.Tx) error { return tx.RenewTexts(ctx) })
	if api.KindOf(err) != api.Permission {
		t.Errorf("the database lets him: %v", err)
	}
}

// What is unavailable is read later, and neither that nor what is lost keeps others from being found.
func TestIndexBeyondFailures(t *testing.T) {
	defer func(was int) { missesInRow = was }(missesInRow)
	w := newWorld(t)
	store := w.ledger()
	d := w.home(t, w.user(t, "editor"))
	packs := map[string]string{} // of the files
	put := func(name, word string) {
		t.Helper()
		d.store(t, name, word)
		for info, err := range w.blobs.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(slices.Collect(maps.Values(packs)), info.Key) {
				packs[name] = info.Key
			}
		}
	}
	put("lost.txt", "mislaid")
	put("barred.txt", "hidden")
	put("there.txt", "present")
	failures := map[string]error{} // by pack
	store.damage = func(key string, r io.ReadCloser) (io.ReadCloser, error) {
		if err := failures[key]; err != nil {
			r.Close()
			return nil, err
		}
		return r, nil
	}
	away := api.Errorf(api.Unavailable, "the store is away")
	// look has a whole pass look; done: and nothing is left to a later one.
	look := func(what string, present, hidden int, done bool) {
		t.Helper()
		w.index.wake(d.ID())
		for turns := 0; len(w.index.dirty) > 0; turns++ {
			if turns == 100 {
				t.Fatalf("%s: it does not come to an end", what)
			}
			w.indexDirty(t.Context())
		}
		for word, want := range map[string]int{"present": present, "hidden": hidden} {
			found, err := d.Search(t.Context(), d.Root(), word, "", 100)
			if err != nil || len(found) != want {
				t.Errorf("%s: %d files have %q, not %d (%v)", what, len(found), word, want, err)
			}
		}
		if err := d.snapshot(t.Context(), func(ctx context.Context, tx *postgres.Tx) error {
			s, err := tx.IndexState(ctx, d.id)
			if (s.Seq == s.Indexed) != done {
				t.Errorf("%s: looked at up to %d of %d", what, s.Indexed, s.Seq)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range packs {
		failures[key] = away
	}
	look("while the store is away", 0, 0, false)
	failures = map[string]error{packs["lost.txt"]: api.Errorf(api.NotFound, "gone"), packs["barred.txt"]: away}
	missesInRow = 1
	look("one in a row is too many", 0, 0, false)
	missesInRow = 2
	look("while one can't be read", 1, 0, false)
	delete(failures, packs["barred.txt"])
	look("when it can be", 1, 1, true)
}

// A thumbnail for which no process was to be had is made later.
func TestThumbnailBeyondFailures(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	d.store(t, "a.png", "an image")
	failure := api.Errorf(api.Unavailable, "no process to be had")
	w.ThumbnailWith(func(context.Context, []byte) ([]byte, error) {
		if failure != nil {
			return nil, failure
		}
		return []byte("a picture"), nil
	})
	n, err := d.Lookup(t.Context(), names(t, "a.png"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Content(t.Context(), n.ID, api.ID{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Thumbnail(t.Context()); api.KindOf(err) != api.Unavailable {
		t.Errorf("without a process: %v", err)
	}
	failure = nil
	if got, err := c.Thumbnail(t.Context()); err != nil || string(got) != "a picture" {
		t.Errorf("later: %q, %v", got, err)
	}
}
