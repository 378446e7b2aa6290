package cache

import "time"

// Files that stay open for long, such as logs and databases, are not left to their close: what changed in them
// is sent as a checkpoint when they rest, and at the latest after unsentMax.

const (
	lookInterval = 30 * time.Second // between two looks at what is open for writing
	unsentMax    = 2 * time.Minute  // for a file that never rests; large ones get the time to hash them in peace
	hashRate     = 20 << 20         // bytes a second that such hashing may cost
)

// watchOpen looks at open files from time to time until the drive closes.
func (d *Drive) watchOpen() {
	t := time.NewTicker(lookInterval)
	defer t.Stop()
	for {
		select {
		case <-d.done:
			return
		case now := <-t.C:
			d.lookAtOpen(now)
		}
	}
}

// lookAtOpen plans the hashing of files that are open for writing and differ from what was sent of them.
func (d *Drive) lookAtOpen(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range d.writing {
		h := n.hot
		if h == nil || n.stale || n.c == nil || h.entry == nil || h.ready != nil {
			continue
		}
		ctime := n.c.ctime()
		if h.sent != nil && h.sent.ctime == ctime {
			h.unsent = time.Time{}
			continue
		}
		if h.unsent.IsZero() {
			h.unsent = now
		}
		if now.Sub(h.unsent) >= max(unsentMax, time.Duration(n.size/hashRate)*time.Second) {
			h.forced, h.unsent = true, time.Time{}
		}
		h.due = now
		d.enqueue(n)
	}
}
