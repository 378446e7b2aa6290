package cache

import (
	"container/list"
	"time"

	"satchel/api"
)

// Programs write content files through the kernel, unseen. So a file is taken
// for changed from the moment it could be, and for final only when it is proven:
//
//	clean ── open for writing: recorded, then answered ──▶ hot
//	hot   ── last close, quiet ──▶ hashed and uploaded (a checkpoint) ──▶ committed
//	      ── open for long, and resting ──▶ the same
//	      ── nobody could write since the hashing began ──▶ clean
//	      ── somebody can (a mapping outlives its handle) ──▶ asked again until nobody can, hashed again
//
// A hot is the state of such a node. Guarded by Drive.mu.
type hot struct {
	// The pending creation or write that waits for content; nil when all that was
	// changed is on its way or was sent.
	entry *entry

	due     time.Time // when to hash next; zero = not before the next close
	queued  bool      // in the uploader's queue
	forced  bool      // somebody waits: do not wait for quiet
	removed bool      // the server removed its name; so shall we, unless something was edited
	left    []place   // the names that it removed
	unsure  bool      // whether it has others there was not said
	other   bool      // the server told of another version, or time

	ready *checkpoint // hashed and uploaded, not committed
	sent  *checkpoint // in the batch in flight, or committed but not proven final

	waited      bool          // it was hot when content was last made durable
	loose       *list.Element // in syncer.loose; nil: not there
	loosened    uint64        // how often it was put there
	undescribed *list.Element // in syncer.undescribed; nil: not there

	again    api.ID // the version that the content was, and the server lost (resend)
	againSHA api.Hash

	opened uint64 // counts opens for writing: content is the same only while it stands still
	mtime  int64  // the node's when the pending write began
	tries  int    // failed uploads in a row
	why    error  // the last one's

	unsent time.Time // since when it is open and differs from what was sent; zero = not seen so (openfiles.go)
	base   int64     // bytes of it that count on the server
	grown  int64     // what of quota.all it is

	arrived int64 // bytes that the server has of the present attempt
}

// A checkpoint is content as it was hashed.
type checkpoint struct {
	version api.Version
	mtime   int64
	ctime   int64  // of the content file when hashing began, ns
	opened  uint64 // hot.opened then
	proven  bool   // nobody could write then
}

const (
	quiet     = 500 * time.Millisecond // between the last close and the hashing
	pollLease = 500 * time.Millisecond // between two questions whether a mapping still lives
)

// heat makes a node hot; locked.
func (d *Drive) heat(n *node) *hot {
	if n.hot == nil {
		n.hot = &hot{base: n.size}
		d.syn.hots[n.id] = n
		d.loosen(n)
	}
	return n.hot
}

// carry makes e the mutation that carries what is hot; locked.
func (d *Drive) carry(h *hot, e *entry) {
	h.entry = e
	d.journal.awaits(h)
}

// dirty records that a node's content may change from now on; locked. n has
// a content file.
func (d *Drive) dirty(t *tx, n *node) {
	if n.dead {
		return
	}
	h := d.heat(n)
	h.opened++
	n.c.durable = false
	d.loosen(n)
	if !n.c.rec.dirty {
		n.c.rec.dirty = true
		t.slot(n.c)
	}
	if h.entry == nil {
		d.logWrite(t, n)
	}
	h.ready = nil // what was hashed is no longer the whole story
	d.journal.awaits(h)
}

// stale tells whether a hot node may have been written since a checkpoint; locked.
func (d *Drive) stale(n *node, cp *checkpoint) bool {
	if n.c == nil { // at rest: a mapping may have written before
		return cp.opened != n.hot.opened || !cp.proven
	}
	return cp.opened != n.hot.opened || n.c.ctime() != cp.ctime
}

// force makes a hot node be sent soon as it is now, for somebody who waits; locked.
func (d *Drive) force(t *tx, n *node) {
	h := n.hot
	if h.entry == nil && h.sent != nil && !n.dead && d.stale(n, h.sent) {
		d.logWrite(t, n) // what is on its way is not all
	}
	if h.ready != nil && d.stale(n, h.ready) {
		h.ready = nil
		d.journal.awaits(h)
	}
	if h.entry != nil && h.ready == nil {
		h.forced = true
		d.enqueue(n)
	}
}

// logWrite journals that a hot node's content may differ from its version; locked.
func (d *Drive) logWrite(t *tx, n *node) {
	n.hot.mtime = n.mtime
	if sent := n.hot.sent; sent != nil && sent.mtime != n.mtime {
		n.hot.mtime = -1 // it was written meanwhile: the server has another one
	}
	d.carry(n.hot, t.log(api.Mutation{Op: api.OpWrite, Node: n.id, Base: n.version, Parent: n.up, Name: n.name, Time: now()}))
}

// cool forgets that a node's content may differ; locked. A write that waits for it is dropped.
func (d *Drive) cool(t *tx, n *node) {
	h := n.hot
	if h == nil {
		return
	}
	if e := h.entry; e != nil {
		d.journal.setWaits(e, false)
		if e.m.Op == api.OpWrite {
			t.drop(e)
		}
	}
	d.quota.all -= h.grown
	d.fasten(h)
	if h.undescribed != nil {
		d.syn.undescribed.Remove(h.undescribed)
	}
	n.hot, t.unsent = nil, nil
	if d.syn.hots[n.id] == n {
		delete(d.syn.hots, n.id)
	}
}

// settle plans the hashing of a node whose writer closed it; locked.
func (d *Drive) settle(n *node) {
	if n.hot == nil {
		return
	}
	if n.name == ignoreFile {
		d.ignoreNews()
	}
	n.hot.due = time.Now().Add(quiet)
	d.enqueue(n)
	if d.slots.settling++; d.slots.settling >= d.cfg.seam.maxIdle() {
		d.slots.settling = 0
		d.st.hurry() // so that they can rest
	}
}

// clean notes that a node's content file is final and equals its version; locked.
func (d *Drive) clean(t *tx, n *node) {
	h := n.hot
	d.cool(t, n)
	if h.removed {
		if !h.unsure && len(d.journal.byNode[n.id]) == 0 { // else what is pending brings it back, or tells that it can't
			d.perish(t, n, h.left...)
			return
		}
		for _, p := range h.left {
			if d.journal.places[p] == 0 {
				d.displaceAt(t, n, p)
			}
		}
		at, ok := d.named(n, place{})
		if !ok {
			d.perish(t, n)
			return
		}
		n.up, n.name = at.parent, at.name
		t.node(n)
	}
	if h.other {
		d.doubtNode(t, n) // it may have moved since it came up for another listing
	}
	if len(d.syn.doubt) > 0 {
		d.wakeSyncer() // see resolve
	}
	n.c.nondescript()
	if n.c.rider <= d.st.synced.Load() {
		n.c.dismount()
	}
	d.heft(n.c)
	n.c.rec = slotRecord{node: n.id, version: n.version, ctime: n.c.ctime()}
	t.slot(n.c)
	d.hold(n)
	if d.slots.bytes > d.cfg.Limit {
		d.wakeEvict()
	}
	if n.opens == 0 {
		d.park(n)
		d.letGo(n)
	}
}

// judge decides what follows after the server has a checkpoint; locked. The
// node is clean when nobody could write at any time since the hashing began.
func (d *Drive) judge(t *tx, n *node) {
	h := n.hot
	if h == nil || h.entry != nil || h.sent == nil || h.sent.version.ID != n.version {
		return // changed since, or not committed yet: it comes round again
	}
	if _, err := d.attach(n); err != nil {
		d.log.Error("content file of a changed file", "name", n.name, "err", err)
		h.due = time.Now().Add(lookInterval)
		d.enqueue(n)
		return
	}
	s := h.sent
	if s.proven && s.opened == h.opened && n.writers == 0 && n.c.ctime() == s.ctime {
		d.clean(t, n)
		return
	}
	if n.writers > 0 {
		d.logWrite(t, n) // still open: it may change yet, and the close will settle it
		return
	}
	if !n.c.unwritten() {
		// A mapping outlived its handle. Its stores move no clock, so only a hashing
		// after it is gone tells.
		h.due = time.Now().Add(pollLease)
		d.enqueue(n)
		return
	}
	d.logWrite(t, n)
	h.due = time.Now()
	d.enqueue(n)
}
