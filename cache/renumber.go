package cache

import "satchel/api"

// What another device did to a file can't always be shown under the FUSE node id that the kernel has for it:
// handles that were opened before keep what they opened, and a kernel that collects writes believes only itself about
// sizes and times. Then the name gets a new one, with the same st_ino.

// replaced gives up the local content of a file that has a new version on the server; locked.
func (d *Drive) replaced(t *tx, n *node) *node {
	d.touchPin(n.id)
	if n.opens > 0 {
		fresh := d.split(t, n, n.id)
		fresh.slot = 0
		return fresh
	}
	d.shed(t, n)
	if d.believesItself(n) {
		return d.split(t, n, n.id)
	}
	return n
}

// retimed shows another time of a file whose content stays; locked.
func (d *Drive) retimed(t *tx, n *node) *node {
	if n.opens > 0 || n.part != nil || n.fetch != nil || !d.believesItself(n) {
		return n // who has it open goes on with it
	}
	fresh := d.split(t, n, n.id)
	if fresh.c, n.c = n.c, nil; fresh.c != nil {
		fresh.c.idle = false
		d.park(fresh)
	}
	return fresh
}

// believesItself tells whether the kernel has a size and times of a file which it will not have changed; locked.
func (d *Drive) believesItself(n *node) bool { return n.lookups > 0 && d.kernel().Writeback() }

// split puts a new node in the place of n, which stays for its open handles;
// locked.
func (d *Drive) split(t *tx, n *node, id api.ID) *node {
	n.stale = true
	fresh := d.adopt(id, n.record)
	t.renumber(id)
	return fresh
}

// renumber notes that a node is in another one's place; locked.
func (t *tx) renumber(id api.ID) {
	if t.renumbered == nil {
		t.renumbered = map[api.ID]bool{}
	}
	t.renumbered[id] = true
}

// lookAgain tells the kernel to look up all names of the nodes that are in others' places. Of the names that go with the same
// transaction it is told anyway. Locked.
func (d *Drive) lookAgain(t *tx) {
	for id := range t.renumbered {
		n, err := d.load(id)
		if err != nil || n == nil || n.dead {
			delete(t.renumbered, id)
			continue
		}
		if n.nlink < 2 && n.flags&(flagCounted|flagFewer) == 0 && d.reached(n) {
			d.notes.entry(d.byID[n.up], string(n.name))
			delete(t.renumbered, id)
		}
		d.letGo(n)
	}
	if len(t.renumbered) == 0 {
		return
	}
	for at, id := range d.entries() {
		if t.renumbered[id] {
			d.notes.entry(d.byID[at.parent], string(at.name))
		}
	}
	t.renumbered = nil
}
