package cache

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"satchel/api"
)

// A holding is a content file that a node has, for the accounts: which to evict first.
type holding struct {
	node  api.ID
	bytes int64 // of the disk
	used  int64 // when it was last opened, ns; or, before this process began, its access time
}

// hold notes that a node's content file was used, and how large it is; locked.
func (d *Drive) hold(n *node) {
	h := d.slots.held[n.slot]
	if h == nil {
		h = &holding{node: n.id}
		d.slots.held[n.slot] = h
	}
	h.node, h.used = n.id, time.Now().UnixNano()
	bytes := n.stored()
	d.slots.bytes += bytes - h.bytes
	h.bytes = bytes
}

// unhold takes a content file out of the accounts; locked.
func (d *Drive) unhold(slot uint64) {
	if h := d.slots.held[slot]; h != nil {
		d.slots.bytes -= h.bytes
		delete(d.slots.held, slot)
	}
}

// A pass is one round of making room, at so many content files at a time, so that programs don't wait for all of them.
type pass struct {
	left []candidate   // what was not looked at yet, that which was used longest ago first
	goal int64         // bytes that may stay
	took time.Duration // with the lock held
	went bool          // something did
}

// A candidate is a content file that may go, unless it was used again since the pass began.
type candidate struct {
	slot uint64
	used int64
}

const (
	evictAtOnce = 64              // content files that are looked at before others get the lock
	evictRest   = 2 * time.Second // at least, after a pass in which too little could go
)

// wakeEvict looks in the background whether something must go; locked.
func (d *Drive) wakeEvict() {
	s := d.slots
	if s.evicting {
		return
	}
	if wait := time.Until(s.rested); wait > 0 && len(s.pass.left) == 0 {
		if !s.resting {
			s.resting = true
			time.AfterFunc(wait, func() {
				d.mu.Lock()
				defer d.mu.Unlock()
				s.resting = false
				d.wakeEvict()
			})
		}
		return
	}
	s.evicting = true
	s.later(d.evictOn)
}

// evictOn goes on with making room in the background.
func (d *Drive) evictOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slots.evicting = false
	if d.ctx.Err() == nil && d.evictSome() && !d.slots.crowded(d) {
		d.wakeEvict()
	}
}

// evict makes room for somebody who waits for it; locked, and given up in between. It tells whether anything went, or may yet.
func (d *Drive) evict() bool {
	before := d.slots.sheds
	for d.ctx.Err() == nil && d.evictSome() {
		if d.slots.crowded(d) {
			return true // the rest once these are recycled: so many are open
		}
		d.mu.Unlock()
		d.mu.Lock()
	}
	return d.slots.sheds != before
}

// evictSome makes room: the content that was used longest ago goes first. What is
// open, mapped, pinned, or not proven to be on the server stays. Locked. It tells whether there is more to look at
// in this pass.
func (d *Drive) evictSome() (more bool) {
	s, start := d.slots, time.Now()
	limit, spare := d.limit()
	p := &s.pass
	switch over := s.bytes > limit; {
	case len(p.left) == 0 && !over:
		return false
	case len(p.left) == 0:
		*p = d.newPass(limit - spare)
	case over:
		p.goal = min(p.goal, limit-spare)
	}
	before := s.bytes
	t := d.begin()
	for range evictAtOnce {
		if len(p.left) == 0 || s.bytes <= p.goal {
			break
		}
		c := p.left[0]
		p.left = p.left[1:]
		if h := s.held[c.slot]; h != nil && h.used == c.used {
			d.evictOne(t, c.slot)
		}
	}
	if err := t.commit(); err != nil {
		d.log.Error("evict", "err", err)
	}
	p.took += time.Since(start)
	if s.bytes < before {
		p.went = true
		s.shed = time.Now()
		s.sheds++
	}
	switch {
	case s.bytes <= p.goal:
		p.left = nil
	case len(p.left) > 0:
		return true
	default:
		s.rested = time.Now().Add(max(evictRest, 10*p.took))
	}
	if p.went {
		d.st.hurry() // discarded content takes up room until this is durable
	}
	return false
}

// newPass begins a pass after which no more than goal bytes are to be here; locked.
func (d *Drive) newPass(goal int64) pass {
	p := pass{goal: goal, left: make([]candidate, 0, len(d.slots.held))}
	for slot, h := range d.slots.held {
		p.left = append(p.left, candidate{slot, h.used})
	}
	slices.SortFunc(p.left, func(a, b candidate) int { return cmp.Compare(a.used, b.used) })
	return p
}

// evictOne makes a content file go if it may; locked.
func (d *Drive) evictOne(t *tx, slot uint64) {
	id := d.slots.held[slot].node
	n, err := d.load(id)
	if err != nil {
		return
	}
	if p := d.parts[id]; p != nil && p.slot == slot {
		if d.partGoes(p, n) {
			d.doom(t, p)
		}
		if n != nil {
			d.letGo(n)
		}
		return
	}
	if n == nil {
		return
	}
	if n.slot != slot || d.keeps(n) {
		d.letGo(n)
		return
	}
	if c, err := d.attach(n); err != nil || c.rec.dirty || !c.unused() {
		d.park(n)
	} else {
		d.shed(t, n)
		t.node(n)
	}
	d.letGo(n)
}

// keeps tells whether a node's content stays: it is in use, not on the server, or to stay; locked.
func (d *Drive) keeps(n *node) bool {
	return n.opens > 0 || n.hot != nil || n.flags&flagAcked == 0 || n.version.IsZero() || n.name == ignoreFile || d.pinKeeps(n)
}

// mayGo tells whether a content file would go if it were its turn, as far as can be told without opening it; locked.
func (d *Drive) mayGo(slot uint64) bool {
	n, err := d.load(d.slots.held[slot].node)
	if err != nil {
		return false
	}
	if n != nil {
		defer d.letGo(n)
	}
	if p := d.parts[d.slots.held[slot].node]; p != nil && p.slot == slot {
		return d.partGoes(p, n)
	}
	return n != nil && n.slot == slot && !d.keeps(n)
}

// partGoes tells whether what is here of a cold file may go: it is not in use, and not pinned, or was found to be too large for what room there is. n is its node, or
// nil. Locked.
func (d *Drive) partGoes(p *partial, n *node) bool {
	return !p.busy() && (n == nil || !d.pinKeeps(n) || api.KindOf(d.pins.missed[n.id]) == api.NoSpace)
}

// couldGo tells whether content of so many bytes may go; locked, and given up in between.
func (d *Drive) couldGo(need int64) bool {
	if need > d.slots.bytes {
		return false
	}
	for all := slices.Collect(maps.Keys(d.slots.held)); need > 0 && len(all) > 0; {
		for range min(evictAtOnce, len(all)) {
			if h := d.slots.held[all[0]]; h != nil && d.mayGo(all[0]) {
				need -= h.bytes
			}
			all = all[1:]
		}
		d.mu.Unlock()
		d.mu.Lock()
	}
	return need <= 0
}
