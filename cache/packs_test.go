package cache

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// save makes a file in the root as a program does.
func save(t *testing.T, d *Drive, name string, data []byte) uint64 {
	t.Helper()
	a, _, err := d.Create(rootFID, name, 0o644, unix.O_WRONLY, Cred{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(a.FID, 0, data, Cred{}); err != nil {
		t.Fatal(err)
	}
	d.Flush(a.FID)
	d.Release(a.FID, unix.O_WRONLY)
	return a.FID
}

func TestLargeFileGoesInParallelPacks(t *testing.T) {
	s := newShelf()
	var most, now atomic.Int32
	s.putting = func([]byte) error {
		k := now.Add(1)
		for m := most.Load(); k > m && !most.CompareAndSwap(m, k); m = most.Load() {
		}
		time.Sleep(50 * time.Millisecond)
		now.Add(-1)
		return nil
	}
	d := openShelf(t, s, t.TempDir(), 0)
	data := noise(80 << 20)
	fid := save(t, d, "film", data)
	shrank := false
	most64 := int64(0)
	err := d.Sync(t.Context(), true, func(now Status) {
		shrank = shrank || now.PendingBytes > 0 && now.PendingBytes < most64
		most64 = max(most64, now.PendingBytes)
	})
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	version := d.byFID[fid].version
	d.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !bytes.Equal(s.content[version], data) {
		t.Error("the server has something else")
	}
	if most.Load() < 2 || most.Load() > packsAhead {
		t.Errorf("%d packs at the same time", most.Load())
	}
	for _, size := range s.packs {
		if size > 32<<20 {
			t.Errorf("a pack of %d bytes", size)
		}
	}
	if !shrank {
		t.Error("what is pending was not seen to shrink")
	}
}

// What the server has is not sent again: neither after a failure nor to a new version that shares chunks.
func TestUploadGoesOnWhereItWas(t *testing.T) {
	s := newShelf()
	var sent atomic.Int64
	var left atomic.Int32
	left.Store(2)
	s.putting = func(pack []byte) error {
		if left.Add(-1) < 0 {
			return api.Errorf(api.Unavailable, "the network went away")
		}
		sent.Add(int64(len(pack)))
		return nil
	}
	d := openShelf(t, s, t.TempDir(), 0)
	data := noise(80 << 20)
	fid := save(t, d, "film", data)
	d.Sync(t.Context(), false, nil)
	soon(t, func() bool { return left.Load() < 0 })
	left.Store(1000)
	if err := d.Sync(t.Context(), true, nil); err != nil {
		t.Fatal(err)
	}
	if total := sent.Load(); total > int64(len(data))+1<<20 {
		t.Errorf("%d bytes were sent of %d", total, len(data))
	}
	open(t, d, fid, unix.O_WRONLY)
	if _, err := d.Write(fid, 40<<20, []byte("a small change"), Cred{}); err != nil {
		t.Fatal(err)
	}
	d.Flush(fid)
	d.Release(fid, unix.O_WRONLY)
	before := sent.Load()
	if err := d.Sync(t.Context(), true, nil); err != nil {
		t.Fatal(err)
	}
	if more := sent.Load() - before; more == 0 || more > 12<<20 {
		t.Errorf("a small change sent %d bytes", more)
	}
}
