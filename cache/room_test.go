package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/integration/require"
)

// openInQuota opens a cache on a file system of some MiB which refuses writes although it says that there is room, as one does on which the
// user's quota is used up. What is kept in Pebble has another place.
func openInQuota(t *testing.T, remote Remote, mib int) *Drive {
	t.Helper()
	require.Root(t)
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	cfg := Config{Dir: dir, Remote: remote, DeviceName: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	cfg.seam.replica = vfs.NewMem()
	cfg.seam.disk = func() disk { return disk{free: 1 << 40, size: 2 << 40} }
	d, err := Open(cfg)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	d.Start(noKernel{})
	return d
}

// sheds is how often content was evicted.
func sheds(d *Drive) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slots.sheds
}

// Where it is a quota that is used up, of which the room on the disk says nothing, clean content makes room too, for what is fetched, small or
// large. Programs go on meanwhile: what is in reserve for the journal stays.
func TestReadsMakeRoomInAQuota(t *testing.T) {
	const small, large = 24, 4
	s := newShelf()
	for i := range small {
		s.add(api.ID{}, api.Name(fmt.Sprint("small", i)), noise(3<<20+i))
	}
	for i := range large {
		s.add(api.ID{}, api.Name(fmt.Sprint("large", i)), noise(20<<20+i))
	}
	d := openInQuota(t, s, 96)
	stop := make(chan struct{})
	var programs sync.WaitGroup
	programs.Go(func() {
		for i := 0; ; i++ {
			name := fmt.Sprint("new", i)
			a, _, err := d.Create(rootFID, name, 0o644, unix.O_WRONLY, Cred{}, nil)
			if err != nil {
				t.Errorf("create while files are read: %v", err)
				return
			}
			d.Release(a.FID, unix.O_WRONLY)
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for i := range small {
		cat(t, d, rootFID, fmt.Sprint("small", i))
	}
	for i := range large {
		cat(t, d, rootFID, fmt.Sprint("large", i))
	}
	close(stop)
	programs.Wait()
	if sheds(d) < 2 {
		t.Error("there was room for all: the test shows nothing")
	}
	if n := d.space.times.Load(); n > 0 {
		t.Errorf("the ballast was given up %d times for what was read", n)
	}
}

// A file larger than a quota has room for is read to its end.
func TestRoomInAQuotaForWhatDoesNotFit(t *testing.T) {
	s := newShelf()
	data := noise(256 << 20)
	s.add(api.ID{}, "film", data)
	d := openInQuota(t, s, 160)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	if err := readThrough(d, fid, data, 0, len(data)); err != nil {
		t.Error(err)
	}
	d.Release(fid, unix.O_RDONLY)
}

// When the journal finds no room in a quota, clean content goes until the ballast can be put back, and not much more, however many files are
// fetched meanwhile.
func TestAUsedUpQuotaLeavesMostOfTheCache(t *testing.T) {
	const files, kept = 200, 180
	d := openInQuota(t, shelfOf(files), 256)
	for i := range kept {
		cat(t, d, rootFID, fmt.Sprint("f", i))
	}
	var fids [files]uint64
	for i := range fids {
		fids[i] = find(t, d, fmt.Sprint("f", i))
	}
	others, err := os.Create(filepath.Join(d.cfg.Dir, "others"))
	must(t, err)
	defer others.Close()
	fill := func() {
		for block := make([]byte, 64<<10); ; {
			if _, err := others.Write(block); errors.Is(err, unix.ENOSPC) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	fill()
	d.mu.Lock() // without which no room becomes free
	before := d.slots.bytes
	d.space.release()
	fill()
	for range 10 { // as for fetches that fail, and at the end of each
		d.yield()
		d.evict()
	}
	least := d.slots.bytes
	d.mu.Unlock()

	stop := make(chan struct{})
	var programs sync.WaitGroup
	for i := range 8 {
		programs.Go(func() {
			for k := i; ; k += 8 {
				if _, err := d.Open(fids[k%files], unix.O_RDONLY, Cred{}, nil); err == nil {
					d.Release(fids[k%files], unix.O_RDONLY)
				} else if api.KindOf(err) != api.NoSpace { // for a while, on a slow machine
					t.Error(err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	soon(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.wakeEvict() // as at the end of each fetch
		least = min(least, d.slots.bytes)
		return !d.full.Load() && d.slots.sheds > 0
	})
	close(stop)
	programs.Wait()
	if gone := before - least; gone > 3*d.space.size {
		t.Errorf("of %d bytes %d went, for a ballast of %d", before, gone, d.space.size)
	}
	for _, fid := range fids { // and all can be read
		soon(t, func() bool {
			_, err := d.Open(fid, unix.O_RDONLY, Cred{}, nil)
			return err == nil
		})
		d.Release(fid, unix.O_RDONLY)
	}
}

// A fullServer has no room itself, for whatever it would need it.
type fullServer struct{ *shelf }

func (fullServer) Content(context.Context, api.ID, api.ID, int64, int64) (io.ReadCloser, error) {
	return nil, api.Errorf(api.NoSpace, "the server's disk is full")
}

func (s fullServer) Contents(_ context.Context, files []api.ContentRef, fn func(int, api.Version, io.Reader) error) error {
	return api.Errorf(api.NoSpace, "the server's disk is full")
}

// That the server has no room is no reason to make some here.
func TestAFullServerEvictsNothing(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "small", noise(1<<20))
	s.add(api.ID{}, "large", noise(6<<20))
	d, err := Open(Config{Dir: t.TempDir(), Remote: fullServer{s}, DeviceName: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	defer func() { must(t, d.Close()) }()
	d.Start(noKernel{})
	soon(t, func() bool { return d.connected.Load() })
	save(t, d, "mine", noise(1<<20))
	must(t, d.Sync(t.Context(), true, nil))
	if _, err := d.Open(find(t, d, "small"), unix.O_RDONLY, Cred{}, nil); api.KindOf(err) != api.NoSpace {
		t.Errorf("a small file: %v", err)
	}
	large := find(t, d, "large")
	_, err = d.Open(large, unix.O_RDONLY, Cred{}, nil)
	must(t, err)
	if _, _, err := d.Read(large, 0, 4096, nil); api.KindOf(err) != api.NoSpace {
		t.Errorf("a large one: %v", err)
	}
	d.Release(large, unix.O_RDONLY)
	if n := d.space.times.Load(); n > 0 || sheds(d) > 0 || !here(t, d, "mine") {
		t.Errorf("the ballast went %d times, content %d times", n, sheds(d))
	}
}

// What programs wrote through the kernel, unseen, counts when they make a file smaller: that needs no room.
func TestSmallerNeedsNoRoom(t *testing.T) {
	for name, fill := range map[string]func(*Drive){
		"a full disk":     func(d *Drive) { d.diskNow = func() disk { return disk{free: 10 << 20, size: 1 << 30} } },
		"a used-up quota": func(*Drive) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.info.Quota = 2000
			d := openShelf(t, s, t.TempDir(), 0)
			a, _, err := d.Create(rootFID, "log", 0o644, unix.O_WRONLY, Cred{}, nil)
			must(t, err)
			must(t, os.WriteFile(d.slotPath(slotOf(d, a.FID)), noise(1900), 0o600))
			d.mu.Lock()
			d.looked, d.quota.counts = time.Time{}, time.Time{}
			fill(d)
			d.mu.Unlock()
			for _, test := range []struct {
				size int64
				ok   bool
			}{{1800, true}, {2100, false}} {
				_, err := d.Setattr(a.FID, Change{Size: &test.size}, nil)
				if (err == nil) != test.ok {
					t.Errorf("cut to %d bytes: %v", test.size, err)
				}
			}
			d.Release(a.FID, unix.O_WRONLY)
		})
	}
}

// What is said of a disk is what a drive on it does.
func TestRoomIsWhatADriveFinds(t *testing.T) {
	d := openShelf(t, newShelf(), t.TempDir(), 0)
	for name, test := range map[string]struct {
		disk        disk
		short, full bool
	}{
		"room":                             {disk{free: 300 << 30, size: 4 << 40}, false, false},
		"a large disk, 1.5% free":          {disk{free: 60 << 30, size: 4 << 40}, true, false},
		"a large disk, less than 1 GiB":    {disk{free: 1<<30 - 1, size: 4 << 40}, true, true},
		"a small disk, less than ballasts": {disk{free: 64<<20 - 1, size: 1 << 30}, true, false},
		"a small disk, 1% free":            {disk{free: 10 << 20, size: 1 << 30}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := test.disk.room(), (Room{test.disk.free, test.disk.size, test.short, test.full}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			d.mu.Lock()
			d.diskNow, d.looked = func() disk { return test.disk }, time.Time{}
			err := d.roomy()
			d.mu.Unlock()
			if (err != nil) != test.full || d.Status().DiskShort != test.short {
				t.Errorf("the drive finds room: %v, short %v", err, d.Status().DiskShort)
			}
		})
	}
}
