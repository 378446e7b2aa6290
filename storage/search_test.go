package storage

import (
	"errors"
	"slices"
	"testing"

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
