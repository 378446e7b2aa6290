package cache

import (
	"errors"
	"fmt"
	"testing"

	"satchel/api"
)

// A directory's nodes come into memory many at a time, and those that the kernel was not told of go again.
func TestNodesOfADirectoryComeTogether(t *testing.T) {
	const many = 3*loadAtOnce + 5
	s, dir := newShelf(), t.TempDir()
	for i := range many {
		s.add(api.ID{}, api.Name(fmt.Sprintf("%03d", i)), make([]byte, i))
	}
	d := openShelf(t, s, dir, 0)
	find(t, d, "000")
	must(t, d.Close())

	d = openShelf(t, s, dir, 0)
	next, shown := uint64(0), map[string]int64{}
	read := func(most int) {
		t.Helper()
		var name string
		must(t, d.ReadDir(rootFID, next, nil, func(e Dirent) bool {
			if most--; most < 0 {
				return false
			}
			name, next = e.Name, e.Off
			return true
		}, func(a Attr) { shown[name] = a.Size }))
	}
	read(2 + 5)
	d.mu.Lock()
	inMemory := len(d.byFID)
	d.mu.Unlock()
	if len(shown) != 5 || inMemory != 1+5 {
		t.Errorf("%d nodes were shown, and %d are in memory, the root too", len(shown), inMemory)
	}
	for before := uint64(0); next != before; {
		before = next
		read(50)
	}
	for i := range many {
		if name := fmt.Sprintf("%03d", i); shown[name] != int64(i) {
			t.Errorf("%s has %d bytes", name, shown[name])
		}
	}
	if len(shown) != many {
		t.Errorf("%d of %d were shown", len(shown), many)
	}
}

// Keys that there are not are left out, wherever they are, and the rest come in order.
func TestReadOfManyKeys(t *testing.T) {
	d := openShelf(t, newShelf(), t.TempDir(), 0)
	must(t, d.st.Set([]byte("~b"), []byte("2"), nil))
	must(t, d.st.Set([]byte("~d"), []byte("4"), nil))
	read := func(keys ...string) (got string, err error) {
		var all [][]byte
		for _, k := range keys {
			all = append(all, []byte(k))
		}
		err = d.st.read(all, func(k, v []byte) error {
			got += string(v)
			if string(k) == "~d" && len(keys) == 1 {
				return errors.New("enough")
			}
			return nil
		})
		return got, err
	}
	for want, keys := range map[string][]string{"24": {"~a", "~b", "~c", "~d", "~e", "~f"}, "": {"~c"}, "2": {"~b"}} {
		if got, err := read(keys...); got != want || err != nil {
			t.Errorf("%v: %q, %v", keys, got, err)
		}
	}
	if _, err := read("~d"); err == nil {
		t.Error("what the caller says is not passed on")
	}
}
