package cache

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clean content leaves a twentieth of the disk free, and room for the ballast. What programs write may go further, since it must go somewhere,
// but not to the end: when less than a fiftieth is left, calls that need room are refused while those who write
// already can still finish, and the journal has room.
const (
	minFree    = 20 // 1/minFree of the disk is never taken by clean content
	minReserve = 50 // 1/minReserve is not taken by new work either, but at most
	maxReserve = 1 << 30
	lookEvery  = 250 * time.Millisecond
	roomTakes  = 1500 * time.Millisecond // from evicting content until its room is free and the ballast back
	lidHolds   = 10 * time.Minute        // then it is found out again how much a quota has room for
	roomTries  = 4                       // of one fetch that does not fit
)

// A disk is the room on the file system under the cache, bytes.
type disk struct{ free, size int64 }

func diskOf(dir string) disk {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return disk{1 << 62, 1 << 62} // not known: whoever writes is told by the disk
	}
	return disk{int64(fs.Bavail) * int64(fs.Bsize), int64(fs.Blocks) * int64(fs.Bsize)}
}

// reserve is how much new work leaves free, bytes.
func (k disk) reserve() int64 { return min(k.size/minReserve, maxReserve) }

// ballast is how large that on the disk is, bytes.
func (k disk) ballast() int64 { return min(ballastSize, k.size/8) }

// floor is how much clean content leaves free, bytes.
func (k disk) floor() int64 { return max(k.size/minFree, 2*k.ballast()) }

// Room is what there is on the disk under a cache, bytes, and what follows from that.
type Room struct {
	Free, Size int64
	Short      bool // what the server has is not kept
	Full       bool // calls that need room are refused
}

// RoomOf looks at the disk under a cache directory as a drive there does.
func RoomOf(dir string) Room { return diskOf(dir).room() }

func (k disk) room() Room {
	return Room{Free: k.free, Size: k.size, Short: k.free < k.floor(), Full: k.free < k.reserve()}
}

// roomy refuses calls that need room on a full disk, and on one that is nearly full of unsent work; locked.
func (d *Drive) roomy() error {
	if now := time.Now(); now.Sub(d.looked) > lookEvery {
		d.looked = now
		k := d.diskNow()
		r := k.room()
		d.scarce = r.Full
		if r.Short {
			d.wakeEvict()
		}
	}
	full := d.full.Load() || d.scarce
	d.tellFull(full)
	if full {
		return errFull
	}
	return nil
}

// awaitRoom makes room for content that is to be fetched: what was used longest ago goes. Locked, and given up while
// it waits; waited says so. It fails at once when nothing can go.
func (d *Drive) awaitRoom(intr Interrupt) (waited bool, err error) {
	for end := time.Now().Add(patience); ; waited = true {
		if err := d.roomy(); err == nil {
			return waited, nil
		} else if time.Now().After(end) || time.Since(d.slots.shed) > roomTakes && !d.yield() {
			return waited, err
		}
		d.mu.Unlock()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-intr:
			err = errStopped
		}
		d.mu.Lock()
		if err != nil {
			return true, err
		}
		d.looked = time.Time{}
	}
}

// tellFull tells who wants to know whether writers are refused.
func (d *Drive) tellFull(full bool) {
	if d.toldAs.CompareAndSwap(!full, full) && d.cfg.Full != nil {
		d.cfg.Full(full)
	}
}

// limit is how many bytes of content may be kept now: the ceiling less what is on its way, for which room was found. spare
// is how much more goes when it is exceeded, so that not every file that comes makes others go.
func (d *Drive) limit() (limit, spare int64) {
	limit = d.cfg.Limit
	if s := d.slots; s.sheds == s.freed.Load() { // else what went takes up room until that is durable
		limit = d.ceiling()
	}
	spare = limit / 10
	if lid, ok := d.lid(); ok && lid <= limit {
		limit, spare = lid, min(lid/10, d.space.size/2)
	}
	return limit - d.slots.coming, spare
}

// ceiling is how many bytes of content there is room for: the configured limit, less when the disk is short of room or a quota is used up.
func (d *Drive) ceiling() int64 {
	k := d.diskNow()
	most := min(d.cfg.Limit, d.slots.bytes+k.free-k.floor())
	if lid, ok := d.lid(); ok {
		most = min(most, lid)
	}
	return most
}

// lid is what all may take where a quota was found used up, bytes.
func (d *Drive) lid() (int64, bool) {
	s := d.slots
	return s.lid, !s.lidSet.IsZero() && time.Since(s.lidSet) < lidHolds
}

// press makes clean content go where a quota is used up, of which the room on the disk says nothing: enough for the ballast and as much again, and the cache stays
// that much smaller for a while, so that the journal finds room. Until the room is free nothing more goes. Locked. It tells whether room is coming.
func (d *Drive) press() bool {
	s := d.slots
	if s.sheds != s.freed.Load() {
		return true
	}
	s.lid, s.lidSet = max(s.bytes-2*d.space.size, 0), time.Now()
	return d.evict()
}

// yield is evict, or press when the ballast is gone for want of a quota; not while the room of what went is coming. Locked.
func (d *Drive) yield() bool {
	if s := d.slots; s.sheds != s.freed.Load() {
		return true
	}
	if d.space.denied() {
		return d.press()
	}
	return d.evict()
}

// relieve makes room after the ballast was given up or could not be put back, as far as clean content can make it: freed is what slots.freed was then.
func (d *Drive) relieve(freed int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slots.freed.Load() == freed { // else there is room by now, and the ballast is about to be put back
		d.yield()
	}
}

// makeRoom is for content that was fetched and did not fit, though the disk may have room: clean content goes. The ballast stays: it is the journal's.
// freed is what slots.freed was before the fetch. It tells whether there is room now. Locked, and given up while it waits.
func (d *Drive) makeRoom(freed int64, intr Interrupt) bool {
	s := d.slots
	if s.freed.Load() != freed {
		return true // since it failed, perhaps
	}
	if !d.press() {
		return false
	}
	for end := time.Now().Add(patience); s.freed.Load() == freed; {
		if time.Now().After(end) {
			return false
		}
		d.mu.Unlock()
		ok := true
		select {
		case <-time.After(20 * time.Millisecond):
		case <-intr:
			ok = false
		case <-d.done:
			ok = false
		}
		d.mu.Lock()
		if !ok {
			return false
		}
	}
	return true
}
