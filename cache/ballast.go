package cache

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
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
	full func(bool) // told when the ballast goes and when it is back

	mu    sync.Mutex
	gone  bool
	times atomic.Int64 // how often it went
}

// newBallast makes the file, or starts without one when the disk is full already.
func newBallast(path string, full func(bool)) *ballast {
	b := &ballast{path: path, size: ballastSize, full: full}
	var fs unix.Statfs_t
	if unix.Statfs(dirOf(path), &fs) == nil {
		b.size = min(b.size, int64(fs.Blocks)*int64(fs.Bsize)/8)
	}
	if !b.allocate() {
		b.gone = true
		full(true)
		go b.refill()
	}
	return b
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
	b.gone = true
	b.full(true)
	os.Truncate(b.path, 0)
	b.times.Add(1)
	go b.refill()
	return true
}

// gave tells whether there is room for whoever found none: by this call, or by another's since it had gone so many times.
func (b *ballast) gave(before int64) bool { return b.release() || b.times.Load() != before }

// refill waits for room for twice the ballast and takes it back.
func (b *ballast) refill() {
	for {
		time.Sleep(time.Second)
		var fs unix.Statfs_t
		if unix.Statfs(b.path, &fs) != nil {
			return // the cache is gone
		}
		b.mu.Lock()
		if int64(fs.Bavail)*int64(fs.Bsize) >= 2*b.size && b.allocate() {
			b.gone = false
			b.full(false)
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
	}
}
