package cache

import (
	"bytes"
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// sparse is content whose middle is a hole.
func sparse() (data []byte, hole api.Hole) {
	data, hole = noise(96<<20+777), api.Hole{Off: 5<<20 + 123, Size: 80 << 20}
	clear(data[hole.Off : hole.Off+hole.Size])
	return data, hole
}

// A hole is neither fetched nor stored nor counted, and programs see it where it is.
func TestHolesAreNotFetched(t *testing.T) {
	s := newShelf()
	data, hole := sparse()
	file := s.add(api.ID{}, "disk.img", data)
	s.holes[file.Version] = []api.Hole{hole}
	dir := t.TempDir()
	d := openShelf(t, s, dir, 0)
	fid := find(t, d, "disk.img")
	if a, err := d.Getattr(fid); err != nil || a.Valid != 0 {
		t.Errorf("the kernel may keep for %v how many blocks a file has that nobody knows (%v)", a.Valid, err)
	}
	open(t, d, fid, unix.O_RDONLY)
	if a, err := d.Getattr(fid); err != nil || a.Blocks > (file.Size-hole.Size)/512+8 || a.Valid == 0 {
		t.Errorf("%d blocks, valid for %v (%v)", a.Blocks, a.Valid, err)
	}
	for _, c := range []struct {
		off    int64
		whence int
		want   int64
	}{
		{0, unix.SEEK_DATA, 0}, {0, unix.SEEK_HOLE, hole.Off}, {hole.Off, unix.SEEK_HOLE, hole.Off}, {hole.Off - 1, unix.SEEK_DATA, hole.Off - 1},
		{hole.Off + 7, unix.SEEK_HOLE, hole.Off + 7}, {hole.Off + 7, unix.SEEK_DATA, hole.Off + hole.Size}, {90 << 20, unix.SEEK_HOLE, file.Size},
	} {
		if got, err := d.Seek(fid, c.off, c.whence); got != c.want || err != nil {
			t.Errorf("seek %d from %d: %d, not %d (%v)", c.whence, c.off, got, c.want, err)
		}
	}
	for off := int64(0); off < file.Size; off += 1 << 20 {
		want := data[off:min(off+1<<20, file.Size)]
		if got, err := readAt(d, fid, off, len(want)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("at %d: %d bytes, %v", off, len(got), err)
		}
	}
	d.Release(fid, unix.O_RDONLY)
	soon(t, func() bool { return slotOf(d, fid) != 0 }) // all is here, and its hash was right
	if _, _, fetched := s.counts(); fetched > file.Size-hole.Size+2*blockSize {
		t.Errorf("%d bytes were fetched", fetched)
	}
	if got := d.Status().CacheBytes; got > file.Size-hole.Size+2*blockSize || got < 16<<20 {
		t.Errorf("%d bytes count", got)
	}
	a, err := d.Getattr(fid)
	if err != nil || a.Blocks*512 > file.Size-hole.Size+4*blockSize {
		t.Errorf("%d blocks (%v)", a.Blocks, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := openShelf(t, s, dir, 0)
	if got := again.Status().CacheBytes; got > file.Size-hole.Size+2*blockSize {
		t.Errorf("%d bytes count after a restart", got)
	}
}

// Holes that can't be are not believed, and those that are not true are found out.
func TestHolesThatAreNone(t *testing.T) {
	for name, holes := range map[string][]api.Hole{
		"beyond the end": {{Off: 90 << 20, Size: 80 << 20}},
		"before it":      {{Off: -1, Size: 10}},
		"without end":    {{Off: 1, Size: 1<<63 - 1}},
		"empty":          {{Off: 4096, Size: 0}},
		"overlapping":    {{Off: 5 << 20, Size: 50 << 20}, {Off: 10 << 20, Size: 1 << 20}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &partial{d: &Drive{log: slog.New(slog.DiscardHandler)}, size: 96 << 20, have: newBlockMap(96 << 20)}
			if p.learn(holes); p.have.left != p.have.blocks || p.holesTold {
				t.Error("believed")
			}
		})
	}
	s := newShelf()
	data, hole := sparse()
	copy(data[40<<20:], "no hole")
	file := s.add(api.ID{}, "disk.img", data)
	s.holes[file.Version] = []api.Hole{hole}
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "disk.img")
	if _, err := d.Open(fid, unix.O_RDWR, Cred{}, nil); api.KindOf(err) != api.Internal {
		t.Errorf("damaged content can be written to: %v", err)
	}
}

// A large sparse file of this machine's own takes no room from others.
func TestSparseFileEvictsNothing(t *testing.T) {
	s := newShelf()
	d := openShelf(t, s, t.TempDir(), 64<<20)
	small := save(t, d, "small", noise(1<<20))
	a, _, err := d.Create(rootFID, "disk.img", 0o644, unix.O_WRONLY, Cred{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(a.FID, 200<<20, []byte("the end"), Cred{}); err != nil {
		t.Fatal(err)
	}
	d.Flush(a.FID)
	d.Release(a.FID, unix.O_WRONLY)
	if err := d.Sync(t.Context(), true, nil); err != nil {
		t.Fatal(err)
	}
	soon(t, func() bool { // both are proven to be on the server, and could go
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.syn.hots) == 0
	})
	d.mu.Lock()
	d.evict()
	d.mu.Unlock()
	if got := d.Status().CacheBytes; got < 1<<20 || got > 2<<20 {
		t.Errorf("%d bytes count", got)
	}
	if slotOf(d, small) == 0 || slotOf(d, a.FID) == 0 {
		t.Error("something had to go")
	}
	if sent := s.sent(); sent > 6<<20 {
		t.Errorf("%d bytes were sent", sent)
	}
}
