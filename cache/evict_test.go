package cache

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// here tells whether a file's whole content is on this machine.
func here(t *testing.T, d *Drive, name string) bool {
	t.Helper()
	return slotOf(d, find(t, d, name)) != 0
}

// shelfOf is a shelf with files of 1 MiB.
func shelfOf(files int) *shelf {
	s := newShelf()
	for i := range files {
		s.add(api.ID{}, api.Name(fmt.Sprintf("f%d", i)), noise(1<<20))
	}
	return s
}

func TestEvictsWhatWasUsedLongestAgo(t *testing.T) {
	s := shelfOf(6)
	d := openShelf(t, s, t.TempDir(), 4<<20)
	for i := range 4 {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
	}
	cat(t, d, rootFID, "f0") // used again
	cat(t, d, rootFID, "f4")
	soon(t, func() bool { return d.Status().CacheBytes <= 4<<20 })
	if !here(t, d, "f0") || here(t, d, "f1") || !here(t, d, "f4") {
		t.Errorf("f0 %v, f1 %v, f4 %v", here(t, d, "f0"), here(t, d, "f1"), here(t, d, "f4"))
	}
}

func TestEvictSparesOpenFiles(t *testing.T) {
	s := shelfOf(6)
	d := openShelf(t, s, t.TempDir(), 2<<20)
	fid := find(t, d, "f0")
	open(t, d, fid, unix.O_RDONLY)
	for i := 1; i < 6; i++ {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
	}
	soon(t, func() bool { return d.Status().CacheBytes <= 2<<20 })
	if slotOf(d, fid) == 0 {
		t.Error("an open file was evicted")
	}
	d.Release(fid, unix.O_RDONLY)
}

func TestUnsentWorkIsNeverEvicted(t *testing.T) {
	s := shelfOf(4)
	var down atomic.Bool
	down.Store(true)
	s.putting = func([]byte) error {
		if down.Load() {
			return api.Errorf(api.Unavailable, "gone")
		}
		return nil
	}
	d := openShelf(t, s, t.TempDir(), 2<<20)
	for i := range 4 {
		save(t, d, fmt.Sprintf("new%d", i), noise(1<<20+i))
	}
	for i := range 4 {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
	}
	soon(t, func() bool { return !here(t, d, "f0") })
	for i := range 4 {
		if !here(t, d, fmt.Sprintf("new%d", i)) {
			t.Errorf("new%d was evicted before it was sent", i)
		}
	}
	down.Store(false)
	if err := d.Sync(t.Context(), true, nil); err != nil {
		t.Fatal(err)
	}
	soon(t, func() bool { return d.Status().CacheBytes <= 2<<20 }) // clean now
}

func TestAShortDiskShrinksTheCache(t *testing.T) {
	s := shelfOf(3)
	d := openShelf(t, s, t.TempDir(), 0)
	for i := range 3 {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
	}
	// Programs have filled the disk: less than a twentieth is left, but more than a fiftieth.
	d.mu.Lock()
	d.diskNow = func() disk { return disk{free: 30 << 20, size: 1 << 30} }
	d.looked = time.Time{}
	d.mu.Unlock()
	save(t, d, "new", []byte("x"))
	soon(t, func() bool { return !here(t, d, "f0") && !here(t, d, "f1") && !here(t, d, "f2") })
	if s := d.Status(); !s.DiskShort || s.DiskFreeBytes != 30<<20 || s.Problem != "" {
		t.Errorf("status tells short %v, %d bytes free, problem %q", s.DiskShort, s.DiskFreeBytes, s.Problem)
	}

	d.mu.Lock()
	d.diskNow = func() disk { return disk{free: 10 << 20, size: 1 << 30} }
	d.looked = time.Time{}
	d.mu.Unlock()
	_, _, err := d.Create(rootFID, "more", 0o644, unix.O_WRONLY, Cred{}, nil)
	if api.KindOf(err) != api.NoSpace {
		t.Errorf("a new file on a disk that is nearly full: %v", err)
	}
	if d.Status().Problem == "" {
		t.Error("status does not tell")
	}
	d.mu.Lock()
	d.diskNow = func() disk { return disk{free: 500 << 20, size: 1 << 30} }
	d.looked = time.Time{}
	d.mu.Unlock()
	if d.Status().DiskShort {
		t.Error("status tells of a short disk when there is room again")
	}
	save(t, d, "more", []byte("x"))
}

// A file that is not here is read though the disk is full, as long as something
// clean is here that can go; and when there is nothing, the program is told.
func TestReadsMakeRoomOnAFullDisk(t *testing.T) {
	s := shelfOf(4)
	d := openShelf(t, s, t.TempDir(), 0)
	for i := range 3 {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
	}
	const size = 1 << 30
	d.mu.Lock()
	had := d.slots.bytes
	d.diskNow = func() disk { return disk{free: size/minReserve - 1000 + had - d.slots.bytes, size: size} }
	d.looked = time.Time{}
	d.mu.Unlock()
	cat(t, d, rootFID, "f3")
	if !here(t, d, "f3") || here(t, d, "f0") {
		t.Errorf("f3 here %v, f0 here %v", here(t, d, "f3"), here(t, d, "f0"))
	}

	d.mu.Lock()
	d.diskNow = func() disk { return disk{free: 1000, size: size} }
	d.looked = time.Time{}
	d.evict()
	d.slots.shed = time.Time{}
	d.looked = time.Time{}
	d.mu.Unlock()
	if _, err := d.Open(find(t, d, "f0"), unix.O_RDONLY, Cred{}, nil); api.KindOf(err) != api.NoSpace {
		t.Errorf("with nothing left to evict: %v", err)
	}
}

// Nobody waits for the lock until all that may go is gone.
func TestEvictionGivesTheLockUp(t *testing.T) {
	const files = 5 * evictAtOnce
	s := newShelf()
	for i := range files {
		s.add(api.ID{}, api.Name(fmt.Sprintf("f%d", i)), noise(1000))
	}
	d := openShelf(t, s, t.TempDir(), 0)
	cat(t, d, rootFID, "f0")
	settled(t, d)
	count := func() int { return len(d.slots.held) }
	d.mu.Lock()
	had := count()
	d.cfg.Limit = 10_000
	more := d.evictSome()
	left := count()
	d.wakeEvict()
	d.mu.Unlock()
	if had != files || !more || left != files-evictAtOnce {
		t.Errorf("at once: of %d files %d are left", had, left)
	}
	soon(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.slots.bytes <= d.cfg.Limit
	})
}

// Where content that went could not be recycled, because a sync failed, the next sync is asked for when more of it went than may wait: room is not made in steps of
// hardInterval.
func TestEvictionGoesOnAfterAFailedSync(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		const files = 4 * evictAtOnce
		for i := range files {
			must(t, x.write(fmt.Sprintf("f%d", i), "some content"))
		}
		mustQuiet(t, x)
		x.settled()
		time.Sleep(2 * hardInterval) // no sync is to come
		x.d.mu.Lock()
		for range limboMax + 1 { // what a sync that failed has put back
			c, err := x.d.slots.take(x.d)
			must(t, err)
			x.d.slots.limbo = append(x.d.slots.limbo, c)
		}
		x.d.cfg.Limit = 1
		x.d.wakeEvict()
		x.d.mu.Unlock()
		start := time.Now()
		eventually(t, "there is room", func() bool {
			x.d.mu.Lock()
			defer x.d.mu.Unlock()
			return len(x.d.slots.held) == 0
		})
		if took := time.Since(start); took >= hardInterval {
			t.Errorf("it took %v", took)
		}
	})
}

// What went takes up room until that is durable, and nothing more goes for it.
func TestEvictsOnceForAShortDisk(t *testing.T) {
	s := shelfOf(6)
	d := openShelf(t, s, t.TempDir(), 0)
	for i := range 6 {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	const size = 1 << 30
	d.diskNow = func() disk { return disk{free: (disk{size: size}).floor() - 1<<20, size: size} }
	if !d.evict() {
		t.Fatal("nothing went")
	}
	left := d.slots.bytes
	if d.evict(); d.slots.bytes != left {
		t.Errorf("%d bytes were here, then %d", left, d.slots.bytes)
	}
	if !d.yield() {
		t.Error("who waits for room is not told that it is coming")
	}
}

// When nothing can go it is not tried again and again; what can go later goes.
func TestEvictionRests(t *testing.T) {
	s := shelfOf(3)
	d := openShelf(t, s, t.TempDir(), 0)
	fids := make([]uint64, 3)
	for i := range fids {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
		fids[i] = find(t, d, fmt.Sprintf("f%d", i))
		open(t, d, fids[i], unix.O_RDONLY)
	}
	soon(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return !d.slots.evicting // after the fetches
	})
	d.mu.Lock()
	d.cfg.Limit = 1 << 20
	went := d.evict()
	rested := d.slots.rested
	d.wakeEvict()
	queued := d.slots.evicting
	d.mu.Unlock()
	if went || queued || time.Until(rested) <= 0 {
		t.Errorf("went %v, queued %v, until %v", went, queued, rested)
	}
	for _, fid := range fids {
		d.Release(fid, unix.O_RDONLY)
	}
	soon(t, func() bool { return d.Status().CacheBytes <= 1<<20 })
}

func TestPinnedFolderStaysAndFollows(t *testing.T) {
	s := newShelf()
	keep := s.mkdir(api.ID{}, "keep")
	sub := s.mkdir(keep, "sub")
	var files []api.Node
	for i := range 3 {
		files = append(files, s.add(keep, api.Name(fmt.Sprintf("k%d", i)), noise(1<<20)), s.add(sub, api.Name(fmt.Sprintf("s%d", i)), noise(1000)))
	}
	large := s.add(sub, "large", noise(6<<20))
	for i := range 4 {
		s.add(api.ID{}, api.Name(fmt.Sprintf("f%d", i)), noise(1<<20))
	}
	dir := t.TempDir()
	d := openShelf(t, s, dir, 10<<20)
	if err := d.Pin(t.Context(), "/keep"); err != nil {
		t.Fatal(err)
	}
	all := func(d *Drive) (missing int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, f := range append(files, large) {
			n, err := d.load(f.ID)
			if err != nil || n == nil || n.slot == 0 {
				missing++
			}
		}
		return missing
	}
	if n := all(d); n > 0 {
		t.Fatalf("%d files are not here after Pin", n)
	}
	for i := range 4 {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
	}
	soon(t, func() bool { return !here(t, d, "f0") })
	if n := all(d); n > 0 {
		t.Errorf("%d pinned files were evicted", n)
	}
	// Another device changes one, after a restart too.
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openShelf(t, s, dir, 10<<20)
	before := files[0].Version
	files[0] = s.replace(files[0].ID, noise(1<<20))
	soon(t, func() bool {
		d.mu.Lock()
		n, err := d.load(files[0].ID)
		follows := err == nil && n.version != before
		d.mu.Unlock()
		return follows && all(d) == 0
	})
	if err := d.Unpin(t.Context(), "/keep/sub"); api.KindOf(err) != api.NotFound {
		t.Errorf("unpin of what is pinned with its folder: %v", err)
	}
	if err := d.Unpin(t.Context(), "/keep"); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		cat(t, d, rootFID, fmt.Sprintf("f%d", i))
	}
	soon(t, func() bool { return all(d) > 0 })
	if err := d.Pin(t.Context(), "/nowhere"); api.KindOf(err) != api.NotFound {
		t.Errorf("pin of nothing: %v", err)
	}
}
