package cache

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	"satchel/api"
	"satchel/api/chunk"
)

// A lane uploads content of one size class, so that a film does not hold up
// a letter, nor the disk of a virtual machine, whose hashing alone takes minutes, a film.
type lane struct {
	queue []*node       // hot nodes with a due time; guarded by Drive.mu
	wake  chan struct{} // something is due sooner
}

const (
	smallLane = 0
	largeLane = 1
	hugeLane  = 2
	lanes     = 3

	largeSize = 32 << 20 // bytes; larger content goes in the large lane,
	hugeSize  = 8 << 30  // and this in the huge one
	groupSize = 32 << 20 // bytes of files whose content is sent together
	calm      = 150 * time.Millisecond
	overdue   = 2 * time.Second
	rest      = 2 * time.Second // without a write before an open file is sent
	stride    = 8 << 20         // bytes of a file after which the disk is set to work
	groupMax  = 1000            // files whose content is sent together
)

func newLane() *lane { return &lane{wake: make(chan struct{}, 1)} }

// enqueue puts a hot node in its lane; locked. Its due time says when.
func (d *Drive) enqueue(n *node) {
	if d.stays(n) {
		return
	}
	l := d.syn.lanes[smallLane]
	switch {
	case n.size > hugeSize:
		l = d.syn.lanes[hugeLane]
	case n.size > largeSize:
		l = d.syn.lanes[largeLane]
	}
	if !n.hot.queued {
		n.hot.queued = true
		l.queue = append(l.queue, n)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// runUploader hashes and uploads what is due in one lane until Close.
func (d *Drive) runUploader(which int) {
	l := d.syn.lanes[which]
	for {
		var group []*node
		var next time.Time
		if d.connected.Load() { // when that comes, the lane is woken
			group, next = d.takeDue(l)
		}
		if len(group) > 0 {
			if err := d.uploadGroup(group); err != nil && d.ctx.Err() == nil {
				d.postpone(group, err)
			}
			continue
		}
		var timer <-chan time.Time
		if !next.IsZero() {
			timer = time.After(time.Until(next))
		}
		select {
		case <-d.done:
			return
		case <-l.wake:
			// Closes come in swarms: look at them together.
			select {
			case <-d.done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		case <-timer:
		}
	}
}

// takeDue takes a group of nodes whose time has come out of a lane, and says
// when the next is due.
func (d *Drive) takeDue(l *lane) (group []*node, next time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if at := d.leisure(l, now); at.After(now) {
		return nil, at
	}
	var bytes int64
	tries := 0 // the group's: those that failed together are tried in smaller groups, and in the end alone
	keep := l.queue[:0]
	for i, n := range l.queue {
		h := n.hot
		if h != nil && n.writers > 0 && !h.forced {
			// Still being written: not before it rests.
			d.pull(n)
			if rested := time.Unix(0, n.mtime).Add(rest); rested.After(h.due) && rested.Before(now.Add(rest)) {
				h.due = rested
			}
		}
		switch {
		case h == nil:
		case d.stays(n): // since it was queued
			h.queued = false
		case h.due.After(now) && !h.forced:
			keep = append(keep, n)
			if next.IsZero() || h.due.Before(next) {
				next = h.due
			}
		case len(group) > 0 && (bytes+n.size > groupSize || len(group) >= groupMax>>(5*max(h.tries, tries))):
			keep = append(keep, l.queue[i:]...)
			clear(l.queue[len(keep):])
			l.queue = keep
			return group, now
		default:
			h.queued = false
			group = append(group, n)
			bytes += n.size
			tries = max(tries, h.tries)
		}
	}
	clear(l.queue[len(keep):])
	l.queue = keep
	return group, next
}

// leisure is when the work behind may go on: programs come first. While calls keep
// coming content waits, but for no longer than overdue. Locked.
func (d *Drive) leisure(l *lane, now time.Time) time.Time {
	left := time.Unix(0, d.stirred.Load()).Add(calm).Sub(now)
	if left <= 0 || left > calm || d.syn.waiting.Load() > 0 { // more is left only after the clock was set back
		return now
	}
	for _, n := range l.queue {
		if h := n.hot; h != nil && (h.forced || now.Sub(h.due) > overdue) {
			return now
		}
	}
	return now.Add(left)
}

// postpone tries a failed group again later, the later the more often it failed.
func (d *Drive) postpone(group []*node, err error) {
	d.setProblem(err)
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := time.Duration(0)
	for _, n := range group {
		if h := n.hot; h != nil && h.ready == nil && h.entry != nil {
			h.tries++
			h.why = err
			wait = min(time.Second<<min(h.tries-1, 5), 30*time.Second)
			h.due, h.forced = time.Now().Add(wait), false
			d.enqueue(n)
		}
	}
	if wait > 0 {
		d.log.Warn("upload postponed", "files", len(group), "again_in", wait, "err", err)
	}
}

// A job is one file being hashed.
type job struct {
	n      *node
	h      *hot
	entry  *entry
	cp     checkpoint
	forced bool     // somebody waited for it when it began
	path   string   // of the content file
	name   api.Name // of the node, for people
}

// uploadGroup hashes the content of a group and sends the chunks that the
// server lacks; then their mutations are ready to be sent.
func (d *Drive) uploadGroup(group []*node) error {
	up := d.newSender()
	var done []*job
	for _, n := range group {
		j, err := d.beginJob(n)
		if err != nil {
			d.postpone([]*node{n}, err)
			continue
		}
		if j == nil {
			continue
		}
		changed, err := d.hash(j, up)
		switch {
		case errors.Is(err, os.ErrNotExist) && !d.has(j): // the node died meanwhile
			continue
		case err != nil && up.ctx.Err() != nil: // the sending failed
			up.finish()
			return err
		case err != nil: // this file can't be read; the others can
			d.postpone([]*node{n}, fmt.Errorf("read the content of %q: %w", j.name, err))
			continue
		case changed && !d.insists(j):
			continue // somebody wrote while it was read: later
		}
		done = append(done, j)
	}
	if err := up.finish(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.begin()
	t.behind = true
	d.syn.problem = nil
	for _, j := range done {
		d.finishJob(t, j)
	}
	if err := t.commit(); err != nil {
		return err
	}
	d.wakeSyncer()
	return nil
}

// has tells whether a job's node still has the content file that the job reads.
func (d *Drive) has(j *job) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return j.n.hot == j.h && !j.n.dead && j.n.slot != 0 && d.slotPath(j.n.slot) == j.path
}

// beginJob notes how the file is before it is read, or returns nil when there
// is nothing to do but to ask again.
func (d *Drive) beginJob(n *node) (*job, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := n.hot
	if h == nil || n.slot == 0 {
		return nil, nil
	}
	if h.entry == nil { // committed; only the proof is missing
		t := d.begin()
		t.behind = true
		d.judge(t, n)
		t.commit()
		return nil, nil
	}
	c, err := d.attach(n)
	if err != nil {
		return nil, fmt.Errorf("open the content of %q: %w", n.name, err)
	}
	if n.uncommitted == 0 {
		defer d.rest(n) // the job opens the file itself
	}
	d.describe(n) // not while it is hashed: it moves the ctime
	d.pull(n)
	h.arrived = 0
	forced := h.forced
	h.forced = false // again, if somebody comes to wait meanwhile
	return &job{n: n, h: h, forced: forced, entry: h.entry, path: d.slotPath(n.slot), name: n.name, cp: checkpoint{
		ctime: c.ctime(), mtime: n.mtime, opened: h.opened, proven: n.writers == 0 && c.unwritten()}}, nil
}

// insists tells whether a file that changes while it is read shall be sent
// all the same; otherwise it is planned again.
func (d *Drive) insists(j *job) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if j.forced || j.h.forced || j.n.hot != j.h {
		return true
	}
	d.settle(j.n)
	return false
}

// finishJob makes a checkpoint ready, or finds that nothing changed; locked.
func (d *Drive) finishJob(t *tx, j *job) {
	h := j.h
	if j.n.hot != h || h.entry != j.entry {
		return // died, or dropped
	}
	h.tries, h.why = 0, nil
	if h.forced && d.stale(j.n, &j.cp) { // who waits now waits for what was written since
		d.enqueue(j.n)
		return
	}
	h.forced = false
	if h.entry.m.Op == api.OpWrite && j.cp.version.SHA256 == j.n.sha && j.n.sha != (api.Hash{}) && !d.journal.sending(j.n.id) {
		// The same as the base: no new version.
		t.drop(h.entry)
		h.entry, h.ready = nil, nil
		j.cp.version.ID = j.n.version
		h.sent = &j.cp
		if j.n.mtime != h.mtime { // rewritten with what it had
			d.logAttr(t, j.n, api.Attr{Mtime: &j.n.mtime}, j.n.mtime)
		}
		if j.n.writers > 0 { // still open: it may change yet
			d.logWrite(t, j.n)
			return
		}
		d.judge(t, j.n)
		return
	}
	h.ready = &j.cp
	d.journal.awaits(h)
}

// hash reads a job's file, gives its chunks to a sender and tells whether it changed meanwhile.
func (d *Drive) hash(j *job, up *sender) (changed bool, err error) {
	f, err := os.OpenFile(j.path, os.O_RDONLY|noAtime, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	off, started := int64(0), int64(0)
	v, err := chunk.Version(f, func(c api.Chunk, data []byte) error {
		// The content has to be durable before its mutation is sent (settle): the disk begins now.
		if off += int64(len(data)); off-started >= stride {
			writeSoon(int(f.Fd()), started, off-started)
			started = off
		}
		return up.add(j.h, c.Hash, data)
	})
	if err != nil {
		return false, err
	}
	v.ID = api.NewID()
	read := content{fd: int(f.Fd())} // it may have been written and be at rest again
	d.mu.Lock()
	defer d.mu.Unlock()
	if j.h.againSHA == v.SHA256 && !j.h.again.IsZero() {
		v.ID = j.h.again
	}
	j.cp.version = v
	return read.ctime() != j.cp.ctime, nil
}

// nothing is the version of an empty file.
func nothing() *api.Version { return &api.Version{ID: api.NewID(), SHA256: sha256.Sum256(nil)} }
