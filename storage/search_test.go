package storage

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// TestChangedFirst: while all drives are looked at, which may take hours, what is changed does not wait for the end.
func TestChangedFirst(t *testing.T) {
	var drives []postgres.OwnedDrive
	for range 5 {
		drives = append(drives, postgres.OwnedDrive{Drive: api.NewID()})
	}
	set := func(which ...int) map[api.ID]bool {
		m := map[api.ID]bool{}
		for _, i := range which {
			m[drives[i].Drive] = true
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
			fresh := func() map[api.ID]bool {
				m := set(next...)
				next = nil
				return m
			}
			err := changedFirst(drives, set(c.dirty...), c.all, fresh, func(d postgres.OwnedDrive) error {
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

// TestIndexRests: the index rests for three times as long as it worked, up to a second, and not at all when the server ends.
func TestIndexRests(t *testing.T) {
	for worked, want := range map[time.Duration]time.Duration{
		0: 0, 5 * time.Millisecond: 15 * time.Millisecond, 300 * time.Millisecond: 900 * time.Millisecond, time.Minute: time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			time.Sleep(worked)
			if err := rest(t.Context(), began); err != nil || time.Since(began) != worked+want {
				t.Errorf("after %v of work it rested until %v: %v", worked, time.Since(began), err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		time.Sleep(time.Minute)
		if err := rest(ctx, began); !errors.Is(err, context.Canceled) || time.Since(began) != time.Minute {
			t.Errorf("at the end it rested until %v: %v", time.Since(began), err)
		}
	})
}

// TestIndexRestsBetweenTexts: what was found is kept, and then the index rests.
func TestIndexRestsBetweenTexts(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	file := d.createFile(t, d.Root(), "notes.txt", "a word")
	d.commit(t, file)
	began := time.Now().Add(-100 * time.Millisecond)
	found := foundWords{
		files: []postgres.Unindexed{{Node: file.Node, Version: file.Version.ID, Name: "notes.txt", Size: 6}}, texts: []string{"a word"}, began: began,
	}
	if err := found.keep(t.Context(), d.Drive); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("100 ms of work and its rest took %v", took)
	}
	if hits, err := d.Search(t.Context(), d.Root(), "word", "", 10); err != nil || len(hits) != 1 {
		t.Errorf("the word is found in %v: %v", hits, err)
	}
}
