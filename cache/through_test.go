package cache

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/integration/require"
)

// readThrough reads a file as programs do and compares it, from one offset to another.
func readThrough(d *Drive, fid uint64, data []byte, from, to int) error {
	for off := from; off < to; off += 128 << 10 {
		want := data[off:min(off+128<<10, to)]
		got, err := readAt(d, fid, int64(off), len(want))
		if err != nil {
			return fmt.Errorf("at %d: %w", off, err)
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("at %d it has other bytes", off)
		}
	}
	return nil
}

// A file several times as large as the disk is read to its end, by several at once too. All else that is here stays, and what is to be
// free of the disk.
func TestRangeLargerThanTheDisk(t *testing.T) {
	require.Root(t)
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	s := newShelf()
	keep := s.mkdir(api.ID{}, "keep")
	s.add(keep, "pinned", noise(5<<20))
	const others = 4
	for i := range others {
		s.add(api.ID{}, api.Name(fmt.Sprintf("f%d", i)), noise(3<<20))
	}
	s.add(api.ID{}, "late", noise(1<<20))
	data := noise(384<<20 + 12345)
	s.add(api.ID{}, "film", data)
	d := openShelf(t, s, dir, 0)
	must(t, d.Pin(t.Context(), "/keep"))
	for i := range others {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
	}
	var least atomic.Int64
	k := diskOf(dir)
	least.Store(k.free)
	s.dress = func(body io.ReadCloser) io.ReadCloser {
		return watched{body, func() {
			for free := diskOf(dir).free; ; {
				if was := least.Load(); free >= was || least.CompareAndSwap(was, free) {
					return
				}
			}
		}}
	}
	fid := find(t, d, "film")
	check := func(how string) {
		t.Helper()
		if floor := k.floor(); least.Load() < floor-1<<20 {
			t.Errorf("%s: %d bytes were free, not %d", how, least.Load(), floor)
		}
		for i := range others {
			if name := fmt.Sprintf("f%d", i); !here(t, d, name) {
				t.Errorf("%s: %s has gone", how, name)
			}
		}
		keep, err := d.Lookup(find(t, d, "keep"), "pinned", nil)
		if err != nil || slotOf(d, keep.FID) == 0 {
			t.Errorf("%s: what is pinned has gone: %v", how, err)
		}
	}

	open(t, d, fid, unix.O_RDONLY)
	if err := readThrough(d, fid, data, 0, len(data)); err != nil {
		t.Fatalf("from the start to the end: %v", err)
	}
	if _, _, fetched := s.counts(); fetched > int64(len(data))+32<<20 {
		t.Errorf("of %d bytes %d were fetched", len(data), fetched)
	}
	check("one reader")

	var readers sync.WaitGroup
	for _, from := range []int{0, len(data) / 2 / blockSize * blockSize} {
		readers.Go(func() {
			if err := readThrough(d, fid, data, from, len(data)); err != nil {
				t.Errorf("at two places, from %d on: %v", from, err)
			}
			if err := readThrough(d, fid, data, 0, from); err != nil {
				t.Errorf("at two places, up to %d: %v", from, err)
			}
		})
	}
	cat(t, d, rootFID, "late") // what else is done meanwhile has room
	save(t, d, "mine", noise(1<<20))
	readers.Wait()
	check("two readers")
	d.Release(fid, unix.O_RDONLY)

	open(t, d, fid, unix.O_RDONLY)
	if err := readThrough(d, fid, data, 0, 1<<20); err != nil {
		t.Errorf("opened again: %v", err)
	}
	d.Release(fid, unix.O_RDONLY)
}

// watched is a body of which each read is told.
type watched struct {
	io.ReadCloser
	read func()
}

func (w watched) Read(p []byte) (int, error) {
	defer w.read()
	return w.ReadCloser.Read(p)
}

// Others go for a file that can be kept whole, and for no other.
func TestRoomIsMadeForWhatFits(t *testing.T) {
	for _, c := range []struct {
		mib  int
		fits bool
	}{{80, true}, {160, false}} {
		t.Run(fmt.Sprint(c.mib), func(t *testing.T) {
			s := shelfOf(40)
			data := noise(c.mib << 20)
			s.add(api.ID{}, "film", data)
			d := openShelf(t, s, t.TempDir(), 100<<20)
			for i := range 40 {
				cat(t, d, rootFID, fmt.Sprintf("f%d", i))
			}
			fid := find(t, d, "film")
			open(t, d, fid, unix.O_RDONLY)
			must(t, readThrough(d, fid, data, 0, len(data)))
			if whole := slotOf(d, fid) != 0; whole != c.fits {
				t.Errorf("the file is here: %v", whole)
			}
			if stays := here(t, d, "f0"); stays == c.fits {
				t.Errorf("what was used longest ago is here: %v", stays)
			}
			if n := d.Status().CacheBytes; n > 100<<20 {
				t.Errorf("%d bytes are here", n)
			}
			d.Release(fid, unix.O_RDONLY)
		})
	}
}

// Where there is no room at all, whoever reads is told that.
func TestRoomThatIsNotToBeHad(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "film", noise(160<<20))
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	defer d.Release(fid, unix.O_RDONLY)
	if _, err := readAt(d, fid, 0, 4096); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.diskNow = func() disk { return disk{free: 1000, size: 1 << 30} }
	d.mu.Unlock()
	if _, err := readAt(d, fid, 100<<20, 4096); api.KindOf(err) != api.NoSpace {
		t.Errorf("a read on a full disk: %v", err)
	}
}

// Whoever reads a file through is told at its end when it was wrong, also where that went long ago.
func TestRangeReadThroughIsProven(t *testing.T) {
	s := newShelf()
	data := noise(160 << 20)
	n := s.add(api.ID{}, "film", data)
	bad := bytes.Clone(data)
	bad[5<<20] ^= 1
	s.content[n.Version] = bad
	d := openShelf(t, s, t.TempDir(), 64<<20)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	err := readThrough(d, fid, bad, 0, len(bad))
	if api.KindOf(err) != api.Internal {
		t.Errorf("reading all of it: %v", err)
	}
	d.Release(fid, unix.O_RDONLY)
}

// Whoever reads again what was read through, or opens it for writing, gets what was proven and nothing else that came in its place.
func TestPartialReadThroughBecomesWhole(t *testing.T) {
	for _, wrong := range []bool{false, true} {
		t.Run(fmt.Sprint("wrong ", wrong), func(t *testing.T) {
			s := newShelf()
			data := noise(160 << 20)
			n := s.add(api.ID{}, "film", data)
			d := openShelf(t, s, t.TempDir(), 64<<20)
			fid := find(t, d, "film")
			open(t, d, fid, unix.O_RDONLY)
			defer d.Release(fid, unix.O_RDONLY)
			must(t, readThrough(d, fid, data, 0, 120<<20))
			if wrong {
				bad := bytes.Clone(data)
				bad[1<<20] ^= 1
				s.mu.Lock()
				s.content[n.Version] = bad
				s.mu.Unlock()
			}
			if wrong {
				if err := readThrough(d, fid, data, 0, 120<<20); api.KindOf(err) != api.Internal {
					t.Errorf("read once more: %v", err)
				}
			}
			_, err := d.Open(fid, unix.O_RDWR, Cred{}, nil)
			if wrong {
				if api.KindOf(err) != api.Internal {
					t.Errorf("an open for writing: %v", err)
				}
				return
			}
			must(t, err)
			must(t, readThrough(d, fid, data, 0, len(data)))
			d.Release(fid, unix.O_RDWR)
		})
	}
}

// After a crash no block is taken for here that went to make room.
func TestPartialReadThroughOutlivesACrash(t *testing.T) {
	s := newShelf()
	data := noise(160 << 20)
	s.add(api.ID{}, "film", data)
	dir, mem := t.TempDir(), vfs.NewCrashableMem()
	start := func() *Drive {
		d, err := Open(Config{Dir: dir, Remote: s, DeviceName: "test", Limit: 64 << 20, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			seam: seam{replica: mem, boot: "one"}})
		must(t, err)
		d.Start(noKernel{})
		return d
	}
	d := start()
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	must(t, readThrough(d, fid, data, 0, 8<<20))
	d.mu.Lock()
	p := d.byFID[fid].part
	d.mu.Unlock()
	d.Release(fid, unix.O_RDONLY)
	soon(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return p.c == nil
	})
	must(t, d.st.settle())
	open(t, d, fid, unix.O_RDONLY)
	must(t, readThrough(d, fid, data, 0, 120<<20))
	after := mem.CrashClone(vfs.CrashCloneCfg{})
	must(t, d.Close())

	mem = after
	d = start()
	defer func() { must(t, d.Close()) }()
	fid = find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	if err := readThrough(d, fid, data, 0, 8<<20); err != nil {
		t.Errorf("after a crash: %v", err)
	}
	d.Release(fid, unix.O_RDONLY)
}

// What a read is about to take stays there, however long it takes, and goes afterwards.
func TestRangeStaysWhileItIsRead(t *testing.T) {
	s := newShelf()
	data := noise(160 << 20)
	s.add(api.ID{}, "film", data)
	d := openShelf(t, s, t.TempDir(), 64<<20)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	defer d.Release(fid, unix.O_RDONLY)
	fd, done, err := d.Read(fid, 1<<20, 128<<10, nil)
	must(t, err)
	must(t, readThrough(d, fid, data, 0, 120<<20))
	got := make([]byte, 128<<10)
	if _, err := unix.Pread(fd, got, 1<<20); err != nil || !bytes.Equal(got, data[1<<20:1<<20+128<<10]) {
		t.Errorf("a slow read: %v", err)
	}
	done()
	must(t, readThrough(d, fid, data, 120<<20, len(data)))
	must(t, readThrough(d, fid, data, 0, 100<<20))
	if _, err := unix.Pread(fd, got, 1<<20); err != nil || bytes.Equal(got, data[1<<20:1<<20+128<<10]) {
		t.Errorf("it never goes: %v", err)
	}
}

// The end of a request does not give back what arrived of it, went again, and is on its way in another one: two would write it at once.
func TestRangeEndsAsItWasAsked(t *testing.T) {
	s := newShelf()
	data := noise(160 << 20)
	s.add(api.ID{}, "film", data)
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	defer d.Release(fid, unix.O_RDONLY)
	d.mu.Lock()
	p := d.byFID[fid].part
	d.mu.Unlock()
	first, second := make(chan struct{}), make(chan struct{})
	begun := make(chan struct{}, 2)
	s.mu.Lock()
	s.before = func(off, _ int64) error {
		if off > 0 {
			<-first // what follows the block that goes
		} else if begun <- struct{}{}; len(begun) == 2 {
			<-second
		}
		return nil
	}
	s.dress = func(body io.ReadCloser) io.ReadCloser { return &halting{body, 2 * blockSize, first} }
	s.mu.Unlock()
	p.mu.Lock()
	p.request(span{0, 64})
	p.mu.Unlock()
	here := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.have.has(0)
	}
	soon(t, here)
	d.mu.Lock()
	must(t, d.readThrough(p))
	d.mu.Unlock()
	p.mu.Lock()
	gone := []span{{0, 1}}
	p.have.clear(0)
	p.asked.set(0)
	p.mu.Unlock()
	_, err := p.punch(gone)
	must(t, err)
	p.mu.Lock()
	p.asked.clear(0)
	p.request(span{0, 1})
	p.mu.Unlock()
	soon(t, func() bool { return len(begun) == 2 })
	close(first)
	soon(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.working) == 1
	})
	p.mu.Lock()
	if !p.asked.has(0) {
		t.Error("what is on its way would be asked for again")
	}
	p.mu.Unlock()
	close(second)
	soon(t, here)
}

// halting gives so many bytes, and the rest when it may.
type halting struct {
	io.ReadCloser
	left int
	on   chan struct{}
}

func (h *halting) Read(b []byte) (int, error) {
	if h.left <= 0 {
		<-h.on
		return h.ReadCloser.Read(b)
	}
	n, err := h.ReadCloser.Read(b[:min(len(b), h.left)])
	h.left -= n
	return n, err
}
