package cache

import (
	"bytes"
	"log/slog"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// Where the cache's file system gives no leases, what is written becomes clean all the same, and goes when room is needed; the kernel gets no
// content file.
func TestWithoutLeases(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "fetched", noise(1<<20))
	dir, none := t.TempDir(), false
	d, err := Open(Config{Dir: dir, Remote: s, DeviceName: "test", Limit: 1 << 20, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), seam: seam{leasing: &none}})
	must(t, err)
	defer func() { must(t, d.Close()) }()
	kern := &registrar{ids: map[int32]bool{}}
	d.Start(kern)
	soon(t, func() bool { return d.connected.Load() })
	data := noise(1<<20 + 1)
	fid := save(t, d, "mine", data)
	// As long as this is open no lease is to be had, as where there is none at all.
	d.mu.Lock()
	path := d.slotPath(d.byFID[fid].slot)
	d.mu.Unlock()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	must(t, d.Sync(t.Context(), true, nil))
	soon(t, func() bool {
		st := d.Status()
		return st.PendingMutations == 0 && st.Unproven == 0
	})

	open(t, d, fid, unix.O_RDWR)
	if got, err := readAt(d, fid, 0, len(data)); err != nil || !bytes.Equal(got, data) {
		t.Errorf("it is read: %v", err)
	}
	cat(t, d, rootFID, "fetched")
	soon(t, func() bool { return !here(t, d, "fetched") })
	if slotOf(d, fid) == 0 {
		t.Error("an open file has gone")
	}
	d.Release(fid, unix.O_RDWR)
	must(t, d.Sync(t.Context(), true, nil))
	soon(t, func() bool {
		cat(t, d, rootFID, "fetched")
		return !here(t, d, "mine")
	})
	if kern.last > 0 {
		t.Errorf("the kernel got %d content files", kern.last)
	}
	if d.Leases() || !Leases(dir) {
		t.Errorf("leases: %v, and on this file system %v", d.Leases(), Leases(dir))
	}
}
