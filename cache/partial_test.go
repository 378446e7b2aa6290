package cache

import (
	"bytes"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// noise is bytes that no two blocks have alike.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// find looks a file in the root up.
func find(t *testing.T, d *Drive, name string) uint64 {
	t.Helper()
	a, err := d.Lookup(rootFID, name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.FID
}

// readAt reads as fusefs does.
func readAt(d *Drive, fid uint64, off int64, n int) ([]byte, error) {
	fd, done, err := d.Read(fid, off, n, nil)
	if err != nil {
		return nil, err
	}
	defer done()
	b := make([]byte, n)
	k, err := unix.Pread(fd, b, off)
	return b[:max(k, 0)], err
}

func open(t *testing.T, d *Drive, fid uint64, flags uint32) {
	t.Helper()
	if _, err := d.Open(fid, flags, Cred{}, nil); err != nil {
		t.Fatal(err)
	}
}

func slotOf(d *Drive, fid uint64) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byFID[fid].slot
}

func TestPartialRandomReadsFetchLittle(t *testing.T) {
	s := newShelf()
	data := noise(64 << 20)
	s.add(api.ID{}, "film", data)
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	// What a thumbnailer does: the head, the tail, and a few places between.
	for _, off := range []int64{0, 4096, 64<<20 - 4096, 40 << 20, 20 << 20, 50 << 20} {
		got, err := readAt(d, fid, off, 4096)
		if err != nil || !bytes.Equal(got, data[off:off+4096]) {
			t.Fatalf("at %d: %d bytes, %v", off, len(got), err)
		}
	}
	if _, _, fetched := s.counts(); fetched > 2<<20 {
		t.Errorf("six small reads fetched %d bytes", fetched)
	}
	d.Release(fid, unix.O_RDONLY)
	if slotOf(d, fid) != 0 {
		t.Error("the file counts as whole")
	}
}

func TestPartialSequentialReadBringsTheWhole(t *testing.T) {
	s := newShelf()
	data := noise(40<<20 + 12345)
	s.add(api.ID{}, "film", data)
	var most, now atomic.Int32
	s.before = func(off, n int64) error {
		if n > maxRange {
			t.Errorf("one request for %d bytes", n)
		}
		k := now.Add(1)
		for m := most.Load(); k > m && !most.CompareAndSwap(m, k); m = most.Load() {
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
		return nil
	}
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	for off := 0; off < len(data); off += 128 << 10 {
		want := data[off:min(off+128<<10, len(data))]
		got, err := readAt(d, fid, int64(off), len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("at %d: %d bytes, %v", off, len(got), err)
		}
	}
	// Whoever has read the end knows that all of it was right.
	if slotOf(d, fid) == 0 {
		t.Error("the whole is here, but the file has no content")
	}
	if most.Load() < 2 {
		t.Error("no two ranges were fetched in parallel")
	}
	if _, _, fetched := s.counts(); fetched != int64(len(data)) {
		t.Errorf("%d bytes fetched of a file of %d", fetched, len(data))
	}
	d.Release(fid, unix.O_RDONLY)
	open(t, d, fid, unix.O_RDWR)
	d.Release(fid, unix.O_RDWR)
}

func TestPartialSurvivesARestart(t *testing.T) {
	s := newShelf()
	data := noise(32 << 20)
	s.add(api.ID{}, "film", data)
	dir := t.TempDir()
	d := openShelf(t, s, dir, 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	for off := int64(0); off < 8<<20; off += 128 << 10 {
		if _, err := readAt(d, fid, off, 128<<10); err != nil {
			t.Fatal(err)
		}
	}
	d.Release(fid, unix.O_RDONLY)
	soon(t, func() bool { // the requests under way have ended
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, p := range d.parts {
			if p.busy() {
				return false
			}
		}
		return true
	})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, before := s.counts()
	d = openShelf(t, s, dir, 0)
	fid = find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	for off := int64(0); off < 8<<20; off += 1 << 20 {
		got, err := readAt(d, fid, off, 4096)
		if err != nil || !bytes.Equal(got, data[off:off+4096]) {
			t.Fatalf("at %d after the restart: %v", off, err)
		}
	}
	d.Release(fid, unix.O_RDONLY)
	if _, _, after := s.counts(); after-before > 3<<20 { // what read-ahead asks for beyond the 8 MiB
		t.Errorf("%d bytes were fetched again", after-before)
	}
}

func TestPartialWrongContentIsNotServed(t *testing.T) {
	s := newShelf()
	data := noise(8 << 20)
	n := s.add(api.ID{}, "film", data)
	bad := bytes.Clone(data)
	bad[5<<20] ^= 1
	s.content[n.Version] = bad
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	var err error
	for off := int64(0); off < n.Size && err == nil; off += 128 << 10 {
		_, err = readAt(d, fid, off, 128<<10)
	}
	if api.KindOf(err) != api.Internal {
		t.Fatalf("reading all of it: %v", err)
	}
	if _, err := readAt(d, fid, 0, 4096); err == nil {
		t.Error("served after it was found wrong")
	}
	d.Release(fid, unix.O_RDONLY)
	s.mu.Lock()
	s.content[n.Version] = data // somebody mended the server
	s.mu.Unlock()
	fid = find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	got, err := readAt(d, fid, 5<<20, 4096)
	if err != nil || !bytes.Equal(got, data[5<<20:5<<20+4096]) {
		t.Errorf("a new attempt: %v", err)
	}
	d.Release(fid, unix.O_RDONLY)
}

// Whoever has read all of it in any order, as the kernel's reads ahead come, has been told.
func TestPartialWrongContentIsNotServedInAnyOrder(t *testing.T) {
	s := newShelf()
	data := noise(8 << 20)
	n := s.add(api.ID{}, "film", data)
	bad := bytes.Clone(data)
	bad[5<<20] ^= 1
	s.content[n.Version] = bad
	for _, order := range [][]int64{{7, 0, 1, 2, 3, 4, 5, 6}, {7, 6, 5, 4, 3, 2, 1, 0}, {5, 7, 0, 6, 1, 4, 2, 3}} {
		d := openShelf(t, s, t.TempDir(), 0)
		fid := find(t, d, "film")
		open(t, d, fid, unix.O_RDONLY)
		var err error
		for _, mib := range order {
			if _, err = readAt(d, fid, mib<<20, 1<<20); err != nil {
				break
			}
		}
		if api.KindOf(err) != api.Internal {
			t.Errorf("reading all of it in the order %v: %v", order, err)
		}
		d.Release(fid, unix.O_RDONLY)
	}
}

// A server that can give no more than the beginning, and not even a whole block more at each attempt, is given up. One
// that says why, when it is asked from there on, is believed.
func TestPartialBreaksOffWithinABlock(t *testing.T) {
	s := newShelf()
	data := noise(8 << 20)
	n := s.add(api.ID{}, "film", data)
	s.content[n.Version] = data[:5<<20+1000]
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	if got, err := readAt(d, fid, 0, 5<<20); err != nil || !bytes.Equal(got, data[:5<<20]) {
		t.Fatalf("what is there: %d bytes, %v", len(got), err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := readAt(d, fid, 5<<20, 4096)
		read <- err
	}()
	select {
	case err := <-read:
		if api.KindOf(err) != api.Unavailable {
			t.Errorf("what is not: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it is asked for again and again")
	}
	s.mu.Lock()
	s.before = func(off, _ int64) error {
		if off == 5<<20+1000 {
			return api.Errorf(api.Internal, "the server can't read this content")
		}
		return nil
	}
	s.mu.Unlock()
	if _, err := readAt(d, fid, 5<<20, 4096); api.KindOf(err) != api.Internal {
		t.Errorf("what the server says it can't read: %v", err)
	}
	d.Release(fid, unix.O_RDONLY)
}

func TestPartialKeepsItsVersion(t *testing.T) {
	s := newShelf()
	old, fresh := noise(12<<20), bytes.Repeat([]byte("new"), 3<<20)
	n := s.add(api.ID{}, "film", old)
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	if _, err := readAt(d, fid, 0, 4096); err != nil {
		t.Fatal(err)
	}
	s.replace(n.ID, fresh)
	var now uint64
	soon(t, func() bool { now = find(t, d, "film"); return now != fid })
	open(t, d, now, unix.O_RDONLY)
	for _, off := range []int64{0, 3 << 20, 6 << 20} {
		got, err := readAt(d, fid, off, 4096)
		if err != nil || !bytes.Equal(got, old[off:off+4096]) {
			t.Errorf("the handle opened before, at %d: %v", off, err)
		}
		got, err = readAt(d, now, off, 4096)
		if err != nil || !bytes.Equal(got, fresh[off:off+4096]) {
			t.Errorf("the new handle, at %d: %v", off, err)
		}
	}
	d.Release(fid, unix.O_RDONLY)
	d.Release(now, unix.O_RDONLY)
}

func TestPartialWriterGetsTheWhole(t *testing.T) {
	s := newShelf()
	data := noise(20 << 20)
	s.add(api.ID{}, "film", data)
	s.add(api.ID{}, "other", data)
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	if _, err := readAt(d, fid, 10<<20, 4096); err != nil {
		t.Fatal(err)
	}
	open(t, d, fid, unix.O_RDWR)
	if _, err := d.Write(fid, 5, []byte("changed"), Cred{}); err != nil {
		t.Fatal(err)
	}
	got, err := readAt(d, fid, 0, 4096) // both handles are on the same content now
	if err != nil || string(got[5:12]) != "changed" || !bytes.Equal(got[12:], data[12:4096]) {
		t.Errorf("after the write: %v", err)
	}
	d.Release(fid, unix.O_RDWR)
	d.Release(fid, unix.O_RDONLY)

	_, _, before := s.counts()
	other := find(t, d, "other")
	open(t, d, other, unix.O_WRONLY|unix.O_TRUNC)
	d.Release(other, unix.O_WRONLY)
	if _, _, after := s.counts(); after != before {
		t.Errorf("an open that cuts the file fetched %d bytes", after-before)
	}
}

func TestPartialOffline(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "film", noise(8<<20))
	var down atomic.Bool
	s.before = func(int64, int64) error {
		if down.Load() {
			return api.Errorf(api.Unavailable, "gone")
		}
		return nil
	}
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	if _, err := readAt(d, fid, 0, 4096); err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	start := time.Now()
	if _, err := readAt(d, fid, 6<<20, 4096); api.KindOf(err) != api.Unavailable {
		t.Errorf("a part that is not here: %v", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v to fail", took)
	}
	if _, err := readAt(d, fid, 0, 4096); err != nil {
		t.Errorf("a part that is here: %v", err)
	}
	down.Store(false)
	if _, err := readAt(d, fid, 6<<20, 4096); err != nil {
		t.Errorf("when the server is back: %v", err)
	}
	d.Release(fid, unix.O_RDONLY)
}

func TestPartialHasNoHolesOfItsOwn(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "film", noise(8<<20))
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	if off, err := d.Seek(fid, 1<<20, unix.SEEK_DATA, nil); off != 1<<20 || err != nil {
		t.Errorf("SEEK_DATA: %d, %v", off, err)
	}
	if off, err := d.Seek(fid, 1<<20, unix.SEEK_HOLE, nil); off != 8<<20 || err != nil {
		t.Errorf("SEEK_HOLE: %d, %v", off, err)
	}
	if _, err := d.Seek(fid, 8<<20, unix.SEEK_DATA, nil); err != unix.ENXIO {
		t.Errorf("beyond the end: %v", err)
	}
	d.Release(fid, unix.O_RDONLY)
}

// Many programs read one cold file at once, each from somewhere else; some give up.
func TestPartialManyReaders(t *testing.T) {
	s := newShelf()
	data := noise(24 << 20)
	s.add(api.ID{}, "film", data)
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := d.Open(fid, unix.O_RDONLY, Cred{}, nil); err != nil {
				t.Error(err)
				return
			}
			defer d.Release(fid, unix.O_RDONLY)
			for k := range 24 {
				off := int64((k+3*i)%24) << 20
				got, err := readAt(d, fid, off, 64<<10)
				if err != nil || !bytes.Equal(got, data[off:off+64<<10]) {
					t.Errorf("reader %d at %d: %v", i, off, err)
				}
			}
		})
	}
	all.Wait()
}

func TestEvictGivesUpPartials(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "film", noise(16<<20))
	d := openShelf(t, s, t.TempDir(), 1<<20)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	for off := int64(0); off < 4<<20; off += 128 << 10 {
		if _, err := readAt(d, fid, off, 128<<10); err != nil {
			t.Fatal(err)
		}
	}
	d.mu.Lock()
	path := d.slotPath(d.byFID[fid].part.slot)
	d.mu.Unlock()
	d.Release(fid, unix.O_RDONLY)
	soon(t, func() bool { return d.Status().CacheBytes == 0 })
	soon(t, func() bool {
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		return os.IsNotExist(err) || st.Blocks == 0
	})
	open(t, d, fid, unix.O_RDONLY)
	if _, err := readAt(d, fid, 0, 4096); err != nil {
		t.Errorf("after it was given up: %v", err)
	}
	d.Release(fid, unix.O_RDONLY)
}
