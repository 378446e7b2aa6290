package cache

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clean content leaves a twentieth of the disk free. What programs write may go further, since it must go somewhere,
// but not to the end: when less than a fiftieth is left, calls that need room are refused while those who write
// already can still finish, and the journal has room.
const (
	minFree    = 20 // 1/minFree of the disk is never taken by clean content
	minReserve = 50 // 1/minReserve is not taken by new work either, but at most
	maxReserve = 1 << 30
	lookEvery  = 250 * time.Millisecond
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
		if k.free < k.size/minFree {
			d.wakeEvict()
		}
	}
	if d.full.Load() || d.scarce {
		return errFull
	}
	return nil
}

// limit is how many bytes of content may be kept now: the configured limit, less
// when the disk is short of room.
func (d *Drive) limit() int64 {
	k := d.diskNow()
	return min(d.cfg.Limit, d.slots.bytes+k.free-k.size/minFree)
}
