package cache

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// Content that came damaged is fetched again by whoever opens the file anew, though somebody keeps it open.
func TestDamagedIsFetchedAnewThoughOpen(t *testing.T) {
	s := newShelf()
	good := noise(8 << 20)
	n := s.add(api.ID{}, "film", good)
	bad := bytes.Clone(good)
	bad[5<<20] ^= 1
	s.content[n.Version] = bad
	d := openShelf(t, s, t.TempDir(), 0)
	whole := func(fid uint64) (all []byte, err error) {
		for off := int64(0); off < n.Size && err == nil; off += 128 << 10 {
			var b []byte
			b, err = readAt(d, fid, off, 128<<10)
			all = append(all, b...)
		}
		return all, err
	}
	old := find(t, d, "film")
	open(t, d, old, unix.O_RDONLY)
	if _, err := whole(old); api.KindOf(err) != api.Internal {
		t.Errorf("damaged content: %v", err)
	}
	s.mu.Lock()
	s.content[n.Version] = good
	s.mu.Unlock()
	again := find(t, d, "film")
	open(t, d, again, unix.O_RDONLY)
	if got, err := whole(again); err != nil || !bytes.Equal(got, good) {
		t.Errorf("opened anew: %v", err)
	}
	if _, err := readAt(d, old, 0, 4096); api.KindOf(err) != api.Internal {
		t.Errorf("who had it open: %v", err)
	}
	d.Release(old, unix.O_RDONLY)
	d.Release(again, unix.O_RDONLY)
	d.Forget(old, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byFID[old] != nil || d.byID[n.ID] != d.byFID[again] {
		t.Error("the damaged one stays")
	}
}

// A file of which the content that was being fetched turns out to be damaged when it has another one, is what was written to it.
func TestDamagedIsNotWhatWasWrittenSince(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "film", noise(8<<20))
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	d.mu.Lock()
	p := d.byFID[fid].part
	d.mu.Unlock()
	const flags = unix.O_RDWR | unix.O_TRUNC
	open(t, d, fid, flags)
	p.spoiled(api.Errorf(api.Internal, "damaged"))
	if again := find(t, d, "film"); again != fid {
		t.Errorf("the name leads to node %d, and %d is what is written", again, fid)
	}
	_, err := d.Write(fid, 0, []byte("written"), Cred{})
	must(t, err)
	d.Release(fid, flags)
	if got, err := readAt(d, fid, 0, 100); err != nil || string(got) != "written" {
		t.Errorf("%q, %v", got, err)
	}
	d.Release(fid, unix.O_RDONLY)
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.byFID[fid]; n == nil || n.stale || n.size != int64(len("written")) {
		t.Error("what was written is not the file's")
	}
}
