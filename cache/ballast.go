package cache

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"satchel/cache/locks"
)

// ballastSize is how much of the disk is kept in reserve for the journal, bytes.
const ballastSize = 32 << 20

// A ballast is a file that only takes up room. Programs fill the disk through
// the kernel without asking, so the journal must be able to win some back: with
// the ballast gone, calls that need room fail with "no space" until there is
// enough again to put it back.
type ballast struct {
	path string
	size int64
	tell func() // called without mu: when the ballast went, each time that it can't be put back for a quota, and when it is back
	disk func() disk
	room chan struct{} // has one when some was made
	done chan struct{}
	wg   sync.WaitGroup // of refill

	mu    locks.Mutex  // guards changes
	gone  *atomic.Bool // Drive.full
	quota bool         // for want of a quota, not of room on the disk
	times atomic.Int64 // how often it gave room: it went, or was in the way for a moment when it did not fit
}

// newBallast makes the file, or starts without one when the disk is full already.
func newBallast(path string, disk func() disk, gone *atomic.Bool, tell func()) *ballast {
	b := &ballast{path: path, size: disk().ballast(), gone: gone, tell: tell, disk: disk, room: make(chan struct{}, 1), done: make(chan struct{})}
	if !b.allocate() {
		b.gone.Store(true)
		b.quota = b.roomy()
		b.tell()
		b.wg.Go(b.refill)
	}
	return b
}

// end leaves the file as it is, which the next one finds. Nobody may need room any more.
func (b *ballast) end() {
	close(b.done)
	b.wg.Wait()
}

func (b *ballast) allocate() bool {
	f, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false
	}
	defer f.Close()
	if reserve(int(f.Fd()), b.size) != nil {
		f.Truncate(0)
		return false
	}
	return true
}

// release gives the room to whoever writes next. It tells whether there was any.
func (b *ballast) release() bool {
	b.mu.Lock()
	if b.gone.Load() {
		b.mu.Unlock()
		return false
	}
	b.gone.Store(true)
	b.quota = b.roomy()
	os.Truncate(b.path, 0)
	b.times.Add(1)
	b.mu.Unlock()
	b.tell()
	b.wg.Go(b.refill)
	return true
}

// gave tells whether there is room for whoever found none: by this call, or by another's since it had gone so many times.
func (b *ballast) gave(before int64) bool { return b.release() || b.times.Load() != before }

// retry says that room was made.
func (b *ballast) retry() {
	select {
	case b.room <- struct{}{}:
	default:
	}
}

// refill waits for room for twice the ballast and takes it back, or for the end.
func (b *ballast) refill() {
	for {
		select {
		case <-b.done:
			return
		case <-b.room:
		case <-time.After(time.Second):
		}
		if _, err := os.Stat(b.path); err != nil {
			return // the cache is gone
		}
		if !b.roomy() {
			continue
		}
		back := b.takeBack()
		b.tell()
		if back {
			return
		}
	}
}

// takeBack tells whether it could.
func (b *ballast) takeBack() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quota = !b.allocate(); b.quota {
		b.times.Add(1)
		return false
	}
	b.gone.Store(false)
	return true
}

// roomy tells whether the disk has room for the ballast and as much again.
func (b *ballast) roomy() bool { return b.disk().free >= 2*b.size }

// denied tells whether the ballast is gone because a quota is used up, of which the room on the disk says nothing.
func (b *ballast) denied() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gone.Load() && b.quota
}
