package cache

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/api/pace"
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
		if got, err := d.Seek(fid, c.off, c.whence, nil); got != c.want || err != nil {
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

// What is still on its way of a hole when all of a file is here is not written over what a program writes then.
func TestHolesOnTheirWay(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		data, hole := make([]byte, holesFrom), api.Hole{Off: 1 << 20, Size: holesFrom - 1<<20}
		copy(data, noise(int(hole.Off)))
		must(t, x.write("disk.img", string(data)))
		must(t, x.sync())
		eventually(t, "y knows it", func() bool { a, err := y.stat("disk.img"); return err == nil && a.Size == int64(len(data)) })
		y.narrow(blockSize, 50*time.Millisecond)
		y.wire.faults(func(w *wire) {
			w.holes = func(context.Context) ([]api.Hole, error) {
				time.Sleep(2 * time.Second) // meanwhile all of it is asked for
				return []api.Hole{hole}, nil
			}
		})
		reader, err := y.openFile("disk.img", unix.O_RDONLY)
		must(t, err)
		writer, err := y.openFile("disk.img", unix.O_RDWR)
		must(t, err)
		const at = 20 << 20
		copy(data[at:], "written")
		_, err = y.d.Write(writer.fid, at, []byte("written"), self)
		must(t, err)
		time.Sleep(time.Hour) // all that was asked for has come
		if got, err := readAt(y.d, writer.fid, 0, len(data)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("after an hour it is not what was written (%v)", err)
		}
		writer.close()
		reader.close()
	})
}

// Holes that are told when they are asked for already are asked for no more, but for what was begun. Until that is here, not all is.
func TestHolesThatAreAskedFor(t *testing.T) {
	s := newShelf()
	data := make([]byte, holesFrom)
	holes := []api.Hole{{Off: 1 << 20, Size: 39 << 20}, {Off: 41 << 20, Size: holesFrom - 41<<20}}
	copy(data, noise(1<<20))
	copy(data[40<<20:], noise(1<<20))
	s.add(api.ID{}, "disk.img", data)
	answer := make(chan struct{})
	s.before = func(int64, int64) error { <-answer; return nil }
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "disk.img")
	open(t, d, fid, unix.O_RDONLY)
	defer d.Release(fid, unix.O_RDONLY)
	d.mu.Lock()
	p := d.byFID[fid].part
	d.mu.Unlock()
	soon(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.holesTold // that there are none
	})
	p.mu.Lock()
	for b := int64(0); b < p.have.blocks; b += maxRange / blockSize {
		p.request(span{b, b + maxRange/blockSize})
	}
	p.learn(holes)
	if p.have.left == 0 {
		t.Error("all is here while it is asked for")
	}
	for b := range p.have.blocks {
		if p.have.has(b) && p.asked.has(b) {
			t.Errorf("block %d is here and asked for", b)
		}
	}
	p.mu.Unlock()
	close(answer)
	soon(t, func() bool { return slotOf(d, fid) != 0 })
	if _, _, fetched := s.counts(); fetched > 2<<20+3*blockSize {
		t.Errorf("%d bytes were fetched", fetched)
	}
	if err := readThrough(d, fid, data, 0, len(data)); err != nil {
		t.Error(err)
	}
}

// A file of which all but holes is here when these become known at last is whole.
func TestHolesAreAllThatIsMissing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		data, hole := make([]byte, 96<<20), api.Hole{Size: 64 << 20}
		copy(data[hole.Size:], noise(32<<20))
		must(t, x.write("disk.img", string(data)))
		must(t, x.sync())
		y.cfg.Limit = 40 << 20
		y.restart()
		y.wire.faults(func(w *wire) { w.holes = func(context.Context) ([]api.Hole, error) { return nil, errCut } })
		eventually(t, "y knows it", func() bool { a, err := y.stat("disk.img"); return err == nil && a.Size == int64(len(data)) })
		h, err := y.openFile("disk.img", unix.O_RDONLY)
		must(t, err)
		must(t, readThrough(y.d, h.fid, data, 0, len(data)))
		h.close()
		if y.has(t, "disk.img") {
			t.Fatal("all of it is here")
		}
		y.wire.faults(func(w *wire) { w.holes = func(context.Context) ([]api.Hole, error) { return []api.Hole{hole}, nil } })
		h, err = y.openFile("disk.img", unix.O_RDONLY)
		must(t, err)
		defer h.close()
		eventually(t, "it is whole", func() bool { return y.has(t, "disk.img") })
	})
}

// However long the answer is on its way, attributes don't wait for it for long, and who looks for holes may give up.
func TestHolesThatTrickle(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("disk.img", string(make([]byte, holesFrom))))
		must(t, x.sync())
		eventually(t, "y knows it", func() bool { a, err := y.stat("disk.img"); return err == nil && a.Size == holesFrom })
		y.wire.faults(func(w *wire) {
			w.holes = func(ctx context.Context) ([]api.Hole, error) {
				for ctx.Err() == nil {
					time.Sleep(time.Second)
					pace.Of(ctx).Moved(2 * pace.Slowest)
				}
				return nil, ctx.Err()
			}
		})
		h, err := y.openFile("disk.img", unix.O_RDONLY)
		must(t, err)
		defer h.close()
		told, intr := make(chan error, 1), make(chan struct{})
		tell := func(err error) { told <- err }
		over := func(what string, want api.Kind) {
			t.Helper()
			select {
			case err := <-told:
				if api.KindOf(err) != want {
					t.Errorf("%s: %v", what, err)
				}
			case <-time.After(time.Hour):
				t.Fatalf("%s: no answer", what)
			}
		}
		for range 2 {
			go func() {
				_, err := y.d.Getattr(h.fid)
				tell(err)
			}()
			over("attributes", "")
		}
		go func() {
			_, err := y.d.Seek(h.fid, 0, unix.SEEK_HOLE, intr)
			tell(err)
		}()
		time.Sleep(time.Hour)
		if len(told) > 0 {
			t.Errorf("the next hole is told before the server says where it is: %v", <-told)
		}
		close(intr)
		over("an interrupted search", api.Cancelled)
	})
}
