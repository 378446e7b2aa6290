package cache

import (
	"os"
	"sync"
	"sync/atomic"
	"time"
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
	full func(bool) // told when the ballast goes, each time that it can't be put back for a quota, and when it is back
	disk func() disk
	done chan struct{}
	wg   sync.WaitGroup // of refill

	mu    sync.Mutex
	gone  bool
	quota bool         // for want of a quota, not of room on the disk
	times atomic.Int64 // how often it went
}

// newBallast makes the file, or starts without one when the disk is full already.
func newBallast(path string, disk func() disk, full func(bool)) *ballast {
	b := &ballast{path: path, size: ballastSize, full: full, disk: disk, done: make(chan struct{})}
	b.size = min(b.size, disk().size/8)
	if !b.allocate() {
		b.gone = true
		b.quota = b.roomy()
		full(true)
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
	defer b.mu.Unlock()
	if b.gone {
		return false
	}
	b.gone, b.quota = true, b.roomy()
	b.full(true)
	os.Truncate(b.path, 0)
	b.times.Add(1)
	b.wg.Go(b.refill)
	return true
}

// gave tells whether there is room for whoever found none: by this call, or by another's since it had gone so many times.
func (b *ballast) gave(before int64) bool { return b.release() || b.times.Load() != before }

// refill waits for room for twice the ballast and takes it back, or for the end.
func (b *ballast) refill() {
	for {
		select {
		case <-b.done:
			return
		case <-time.After(time.Second):
		}
		if _, err := os.Stat(b.path); err != nil {
			return // the cache is gone
		}
		b.mu.Lock()
		if b.roomy() {
			if b.quota = !b.allocate(); !b.quota {
				b.gone = false
				b.full(false)
				b.mu.Unlock()
				return
			}
			b.full(true)
		}
		b.mu.Unlock()
	}
}

// roomy tells whether the disk has room for the ballast and as much again.
func (b *ballast) roomy() bool { return b.disk().free >= 2*b.size }

// denied tells whether the ballast is gone because a quota is used up, of which the room on the disk says nothing.
func (b *ballast) denied() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gone && b.quota
}
