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

// roomy refuses calls that need room on a full disk, and on one that is nearly full of unsent work; locked.
func (d *Drive) roomy() error {
	if now := time.Now(); now.Sub(d.looked) > lookEvery {
		d.looked = now
		k := d.diskNow()
		d.scarce = k.free < min(k.size/minReserve, maxReserve)
		if k.free < d.floor(k) {
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
		} else if time.Now().After(end) || time.Since(d.slots.shed) > roomTakes && !d.evict() {
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

// floor is how much of a disk clean content leaves free, bytes.
func (d *Drive) floor(k disk) int64 { return max(k.size/minFree, 2*d.space.size) }

// tellFull tells who wants to know whether writers are refused.
func (d *Drive) tellFull(full bool) {
	if d.toldAs.CompareAndSwap(!full, full) && d.cfg.Full != nil {
		d.cfg.Full(full)
	}
}

// limit is how many bytes of content may be kept now: the configured limit, less
// when the disk is short of room.
func (d *Drive) limit() int64 {
	k := d.diskNow()
	limit := min(d.cfg.Limit, d.slots.bytes+k.free-d.floor(k))
	if d.space.denied() { // enough for the ballast must go, and as much again
		limit = min(limit, d.slots.bytes-2*d.space.size)
	}
	return limit
}

// relieve makes room when the ballast was given up, as far as clean content can make it.
func (d *Drive) relieve() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.evict()
}

// makeRoom is for content that was fetched and did not fit: the ballast is given up, as for all writes that find no room, and clean content
// goes. It tells whether there is some now. Locked, and given up while it waits.
func (d *Drive) makeRoom(intr Interrupt) bool {
	d.space.release()
	d.looked = time.Time{}
	_, err := d.awaitRoom(intr)
	return err == nil
}
