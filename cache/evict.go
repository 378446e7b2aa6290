package cache

import (
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

// wakeEvict looks in the background whether something must go; locked.
func (d *Drive) wakeEvict() {
	if d.slots.evicting {
		return
	}
	d.slots.evicting = true
	d.slots.later(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.slots.evicting = false
		d.evict()
	})
}

// evict makes room: the content that was used longest ago goes first. What is
// open, mapped, pinned, or not proven to be on the server stays. Locked. It tells
// whether anything went.
func (d *Drive) evict() bool {
	limit, spare := d.limit()
	before := d.slots.bytes
	if before <= limit {
		return false
	}
	slots := make([]uint64, 0, len(d.slots.held))
	for s := range d.slots.held {
		slots = append(slots, s)
	}
	slices.SortFunc(slots, func(a, b uint64) int {
		if d.slots.held[a].used < d.slots.held[b].used {
			return -1
		}
		return 1
	})
	t := d.begin()
	for _, s := range slots {
		if d.slots.bytes <= limit-spare {
			break
		}
		if p := d.parts[d.slots.held[s].node]; p != nil && p.slot == s {
			n, err := d.load(p.node)
			if err == nil && !p.busy() && (n == nil || !d.pinned(n)) {
				d.doom(t, p)
			}
			if n != nil {
				d.letGo(n)
			}
			continue
		}
		n, err := d.load(d.slots.held[s].node)
		if err != nil || n == nil || n.slot != s {
			continue
		}
		if n.opens > 0 || n.hot != nil || n.flags&flagAcked == 0 || n.version.IsZero() || n.name == ignoreFile || d.pinned(n) {
			d.letGo(n)
			continue
		}
		if c, err := d.attach(n); err != nil || c.rec.dirty || !c.unused() {
			d.park(n)
			continue
		}
		d.shed(t, n)
		t.node(n)
		d.letGo(n)
	}
	if err := t.commit(); err != nil {
		d.log.Error("evict", "err", err)
	}
	d.st.hurry() // discarded content takes up room until this is durable
	if d.slots.bytes == before {
		return false
	}
	d.slots.shed = time.Now()
	d.slots.sheds++
	return true
}
