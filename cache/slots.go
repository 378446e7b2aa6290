package cache

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"satchel/cache/locks"
)

// Content files are recycled: ext4 takes 0.4 to 1.4 ms to create a file after
// many were removed. keepFree is how many empty ones are kept.
const (
	keepFree = 2048
	lowFree  = 64  // below this, new ones are made ahead
	batch    = 128 // how many
	stock    = 256 // and up to this after the work, so that it need not be during the next
	limboMax = 512 // discarded files waiting for durability before it is hurried
)

type idleContent struct {
	c *content
	n *node
}

// slots is the pool of content files. Its fields are guarded by Drive.mu but
// for those with a lock of their own.
type slots struct {
	idle  []idleContent       // oldest first; entries may be out of date
	free  []*content          // empty, open and registered
	limbo []*content          // discarded, but the replica's last durable state may still refer to them
	next  uint64              // the next new slot number
	held  map[uint64]*holding // content files that nodes have
	bytes int64               // of them
	shed  time.Time           // when some were last evicted,
	sheds int64               // how often that was,
	freed atomic.Int64        // and of how many of those times the room is free

	coming  int64 // bytes that are being fetched in parts, for which room was found,
	pledged int64 // or is being made by what they are for

	lid    int64     // what all may take since a quota was found used up,
	lidSet time.Time // which was then

	settling         int  // files that were settled since the last hurry for them
	making, evicting bool // a job is queued

	pass    pass
	rested  time.Time // no pass begins by itself before,
	resting bool      // and one is to begin then

	mu   locks.Mutex // guards jobs and open
	jobs []func()
	open map[*content]struct{} // those with a descriptor, whoever has them
	wake chan struct{}
	over chan struct{} // closed when nobody makes jobs any more
}

func newSlots() *slots {
	return &slots{next: 1, held: map[uint64]*holding{}, open: map[*content]struct{}{}, wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// take returns an empty content file; locked.
func (s *slots) take(d *Drive) (*content, error) {
	if k := len(s.free); k > 0 {
		c := s.free[k-1]
		s.free = s.free[:k-1]
		if k-1 < lowFree {
			s.prepare(d, batch)
		}
		return c, nil
	}
	s.prepare(d, batch)
	s.next++
	return d.makeContent(s.next - 1)
}

// prepare makes content files ahead in the background; locked.
func (s *slots) prepare(d *Drive, many int) {
	if s.making || d.full.Load() {
		return
	}
	s.making = true
	s.later(func() {
		for range many {
			if d.ctx.Err() != nil {
				break
			}
			d.mu.Lock()
			s.next++
			slot := s.next - 1
			d.mu.Unlock()
			c, err := d.makeContent(slot)
			if err != nil {
				break
			}
			d.register(c)
			d.mu.Lock()
			s.free = append(s.free, c)
			d.mu.Unlock()
		}
		d.mu.Lock()
		s.making = false
		d.mu.Unlock()
	})
}

// discard puts a content file that no record names any more into limbo; locked.
// Until the record's removal is durable a crash would bring the record back, so
// the content must stay as it is.
func (s *slots) discard(d *Drive, c *content) {
	s.limbo = append(s.limbo, c)
	d.st.kept.Store(true)
	if len(s.limbo)%limboMax == 0 {
		d.st.hurry()
	}
}

// crowded tells whether limbo is full, and has it emptied then; locked.
func (s *slots) crowded(d *Drive) bool {
	if len(s.limbo) < limboMax {
		return false
	}
	d.st.hurry()
	return true
}

// limbo hands over the discarded content files whose records' removal the
// coming sync makes durable, after what took their place. They stay when that fails, and the next sync is of them, too.
func (d *Drive) limbo() func(sound bool) {
	d.mu.Lock()
	from, sheds := d.slots.limbo, d.slots.sheds
	d.slots.limbo = nil
	d.st.kept.Store(false)
	d.mu.Unlock()
	return func(sound bool) {
		if sound {
			d.slots.settled(d, from, sheds)
			return
		}
		d.mu.Lock()
		d.slots.limbo = append(from, d.slots.limbo...)
		d.st.kept.Store(len(d.slots.limbo) > 0)
		d.mu.Unlock()
	}
}

// settled empties limbo after the replica became durable, and makes content files where few are left. from is what limbo
// held before, when content had been evicted so many times.
func (s *slots) settled(d *Drive, from []*content, sheds int64) {
	for _, c := range from {
		s.later(func() { s.recycle(d, c) })
	}
	s.later(func() {
		d.mu.Lock()
		news := sheds > s.freed.Load()
		if news {
			s.freed.Store(sheds)
		}
		if k := len(s.free); k > 0 && k < stock && d.ctx.Err() == nil { // none: nothing was made yet
			s.prepare(d, stock-k)
		}
		if len(s.pass.left) > 0 {
			d.wakeEvict()
		}
		d.mu.Unlock()
		if news {
			d.space.retry()
		}
	})
}

// recycle makes a discarded content file empty and free, or removes it.
func (s *slots) recycle(d *Drive, c *content) {
	path := d.slotPath(c.slot)
	d.mu.Lock()
	room := len(s.free) < min(keepFree, descriptors()/8)
	d.mu.Unlock()
	// Somebody may still have it mapped, though no handle is open.
	if room && c.unused() && os.Truncate(path, 0) == nil {
		c.nondescript()
		c.dismount()
		c.extra = 0
		c.look()
		if c.backing == 0 && d.ctx.Err() == nil {
			d.register(c)
		}
		d.mu.Lock()
		c.rec, c.idle, c.durable, c.failed = slotRecord{}, false, false, nil
		s.free = append(s.free, c)
		d.mu.Unlock()
		return
	}
	unix.Unlink(path)
	d.closeContent(c)
}

// later runs a job in the background, in order. The queue is bounded: by the content files that exist, each of which has a job or two, one job for each
// sync of the replica, one for each second in which the ballast can't be put back, and one each to make content files ahead and to evict.
func (s *slots) later(job func()) {
	s.mu.Lock()
	s.jobs = append(s.jobs, job)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// worker runs the jobs until nobody makes any more and the queue is empty.
func (s *slots) worker() {
	for {
		s.mu.Lock()
		jobs := s.jobs
		s.jobs = nil
		s.mu.Unlock()
		for _, job := range jobs {
			job()
		}
		if len(jobs) > 0 {
			continue
		}
		select {
		case <-s.wake:
		case <-s.over:
			s.mu.Lock()
			n := len(s.jobs)
			s.mu.Unlock()
			if n == 0 {
				return
			}
		}
	}
}
