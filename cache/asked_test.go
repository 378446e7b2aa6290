package cache

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A keeper is a kernel that forgets the nodes that it is asked for, but for those that somebody uses.
type keeper struct {
	noKernel
	d *Drive

	mu      sync.Mutex
	lookups map[uint64]uint64 // the references that it has
	used    map[uint64]bool
	asked   map[uint64]int // how often for each
}

func (k *keeper) Prune(fids []uint64) bool {
	k.mu.Lock()
	gone := map[uint64]uint64{}
	for _, fid := range fids {
		k.asked[fid]++
		if n := k.lookups[fid]; n > 0 && !k.used[fid] {
			gone[fid] = n
			delete(k.lookups, fid)
		}
	}
	k.mu.Unlock()
	for fid, n := range gone {
		k.d.Forget(fid, n)
	}
	return true
}

// list reads a directory with the attributes of all that is in it, and tells of whom it heard.
func (k *keeper) list(t *testing.T, dir uint64) (heard []uint64) {
	t.Helper()
	must(t, k.d.ReadDir(dir, 0, nil, func(Dirent) bool { return true }, func(a Attr) {
		k.mu.Lock()
		k.lookups[a.FID]++
		k.mu.Unlock()
		heard = append(heard, a.FID)
	}))
	return heard
}

// A node that the kernel kept, since somebody used it when it was asked to forget it, is asked for again when nobody does; one that was opened in between is kept.
func TestWhatTheKernelKeptIsAskedForAgain(t *testing.T) {
	const each, limit = 60, 40
	s := newShelf()
	for _, name := range []api.Name{"a", "b"} {
		dir := s.mkdir(api.ID{}, name)
		for i := range each {
			s.add(dir, api.Name(fmt.Sprint(i)), nil)
		}
	}
	d := openShelf(t, s, t.TempDir(), 0)
	k := &keeper{d: d, lookups: map[uint64]uint64{}, used: map[uint64]bool{}, asked: map[uint64]int{}}
	d.Start(k)
	a, b := find(t, d, "a"), find(t, d, "b")
	d.mu.Lock()
	d.remembered.limit = limit
	d.mu.Unlock()
	inUse := k.list(t, a)
	k.mu.Lock()
	for _, fid := range inUse {
		k.used[fid] = true
	}
	k.mu.Unlock()
	k.list(t, b)
	eventually(t, "the kernel is asked", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return slices.ContainsFunc(inUse, func(fid uint64) bool { return k.asked[fid] > 0 })
	})
	k.mu.Lock()
	clear(k.used)
	k.mu.Unlock()
	eventually(t, "no more is remembered than there is room for", func() bool {
		k.list(t, b)
		must(t, d.notes.told(t.Context()))
		d.mu.Lock()
		defer d.mu.Unlock()
		r := &d.remembered
		if r.asked < 0 || r.count > len(d.byFID) {
			t.Fatalf("%d remembered, %d asked for, %d in memory", r.count, r.asked, len(d.byFID))
		}
		return !r.full()
	})

	a1, err := d.Lookup(a, "1", nil)
	must(t, err)
	d.mu.Lock()
	kid := d.byFID[a1.FID]
	kid.asked, d.remembered.asked = true, d.remembered.asked+1
	d.mu.Unlock()
	open(t, d, a1.FID, unix.O_RDONLY)
	d.mu.Lock()
	if kid.asked {
		t.Error("a node that was opened is still taken for one that goes")
	}
	d.mu.Unlock()
	d.Release(a1.FID, unix.O_RDONLY)
}
