package cache

import (
	"slices"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// What an ignore file names stays on this machine: it is unsent work for ever. Its creation is in the
// journal, so it is kept, recovered and counted against the disk as unsent work is, but the entry is never
// sent, and takes up all that happens to the node (tx.log): a new name, other attributes. So a node that stays has exactly one entry, at its
// place, and nothing else in the journal is about it.
//
// Whether a node stays is decided when it gets a name: what is in a directory that stays does, and what an ignore file
// names. What the server has, or is to have, does not change because an ignore file does.

// stays tells whether a node stays on this machine; locked.
func (d *Drive) stays(n *node) bool { return d.journal.staying[n.id] != nil }

// stayKey is set for a node that stays.
func stayKey(id api.ID) []byte { return append([]byte{keyStays}, id[:]...) }

// stay journals the creation of a node that stays.
func (t *tx) stay(m api.Mutation) *entry {
	e := &entry{seq: t.d.journal.last + 1, m: m, stays: true}
	t.d.journal.add(e)
	t.b.Set(stayKey(m.Node), nil, nil)
	t.relog(e)
	return e
}

// restay notes that a node that stays has another place.
func (t *tx) restay(n, p *node, name api.Name) {
	e := t.d.journal.staying[n.id]
	m := e.m
	was := m.Parent
	m.Parent, m.Name = p.id, name
	t.d.journal.setDoubt(e, t.d.doubtful(p))
	t.d.journal.remove(e)
	t.d.journal.restore(e, m)
	t.relog(e)
	t.d.unshadow(t, was)
}

// unstay sends a node that stayed, and all that is below it, as if it were made now at a place; locked.
func (d *Drive) unstay(t *tx, n *node, at place) error {
	t.drop(d.journal.staying[n.id])
	e := t.log(d.creation(n, at))
	t.node(n)
	if n.isFile() {
		if n.hot == nil && !d.reheat(t, n) {
			return nil // the loss is logged
		}
		d.carry(n.hot, e)
		d.grew(n)
		d.settle(n)
	}
	if !n.isDir() {
		return nil
	}
	l, err := d.dir(n, nil)
	if err != nil {
		return err
	}
	for _, k := range slices.Clone(l.order) {
		if k.name == "" {
			continue
		}
		kid, err := d.load(k.id)
		switch {
		case err != nil:
			return err
		case kid == nil:
			continue
		case d.stays(kid):
			err = d.unstay(t, kid, place{n.id, k.name})
		default: // another name of it was sent before
			t.log(api.Mutation{Op: api.OpLink, Node: kid.id, Parent: n.id, Name: k.name, Time: now()})
		}
		if err != nil {
			return err
		}
		d.letGo(kid)
	}
	return nil
}

// canStay makes sure that what the server has may become what stays here; locked, and given up while content is
// fetched. A directory with something in it, and a file with other names, may not: as between file systems,
// they are copied (EXDEV).
func (d *Drive) canStay(n *node, intr Interrupt) error {
	switch {
	case n.isDir():
		kids, err := d.dir(n, intr)
		if err == nil && len(kids.byName) > 0 {
			err = unix.EXDEV
		}
		return err
	case n.nlink > 1:
		return unix.EXDEV
	case n.isFile():
		return d.local(n, intr)
	}
	return nil
}

// withdraw makes a node one that stays: for the server the one at its place is removed, and here it goes on with another
// id, since the server's may come back, from the trash or because another device edits it. Its entry in the
// replica is the caller's. Locked.
func (d *Drive) withdraw(t *tx, n *node, from, to place, tm int64) error {
	var c *content
	if n.isFile() {
		var err error
		if c, err = d.attach(n); err != nil {
			return err
		}
	}
	d.cool(t, n)
	if !d.annihilate(t, n) {
		m := api.Mutation{Op: api.OpUnlink, Node: n.id, Parent: from.parent, Name: from.name, Base: n.removed(), Time: tm}
		if n.isDir() {
			m.Op, m.Base = api.OpRmdir, api.ID{}
		}
		t.log(m)
	}
	t.b.Delete(nodeKey(n.id), nil)
	delete(d.byID, n.id)
	n.id = api.NewID()
	n.ino = n.id.Hash64()
	n.flags &^= flagAcked
	n.version, n.sha, n.rev = api.ID{}, api.Hash{}, 0
	d.byID[n.id] = n
	e := t.stay(d.creation(n, to))
	if c != nil {
		c.rec = slotRecord{node: n.id, dirty: true}
		c.nondescript()
		d.heft(c)
		t.slot(c)
		d.hold(n)
		h := d.heat(n)
		h.entry, h.base = e, 0
		h.opened++
	}
	d.notes.inode(n, false)
	return nil
}

// sendUnignored sends what stays here and no ignore file names any more; locked, and given up while
// one is fetched.
func (d *Drive) sendUnignored() error {
	var tops []*entry // the others go with them
	for _, e := range d.journal.staying {
		if d.journal.staying[e.m.Parent] == nil {
			tops = append(tops, e)
		}
	}
	slices.SortFunc(tops, func(a, b *entry) int { return int(a.seq) - int(b.seq) })
	for _, e := range tops {
		d.journal.setDoubt(e, false)
		n, err := d.load(e.m.Node)
		if err != nil {
			return err
		}
		p, err := d.load(e.m.Parent)
		if err != nil {
			return err
		}
		if e.gone || n == nil || p == nil || p.dead {
			continue
		}
		stays, known, err := d.ignored(p, e.m.Name, n.isDir(), d.done)
		if err != nil {
			return err
		}
		d.journal.setDoubt(e, stays && !known)
		l, err := d.dir(p, d.done)
		if err != nil {
			return err
		}
		if stays || !known || e.gone || d.journal.staying[e.m.Node] != e {
			continue
		}
		if k := l.byName[e.m.Name]; k == nil || k.id != n.id {
			continue // that name of it was removed
		}
		t := d.begin()
		if err := d.unstay(t, n, place{p.id, e.m.Name}); err != nil {
			t.close()
			return err
		}
		if err := t.commit(); err != nil {
			return err
		}
		d.letGo(n)
		d.letGo(p)
	}
	return nil
}

// shadow notes that a directory is not shown as the server has it, because of what stays here: a name that the server
// gives to another node, or a directory in it that the server removed. It is listed again when that is gone. Locked.
func (d *Drive) shadow(t *tx, dir api.ID) {
	if !d.syn.shadow[dir] {
		d.syn.shadow[dir] = true
		t.b.Set(metaKey("shadow"), mustJSON(d.syn.shadow), nil)
	}
}

// unshadow is to be called when something that stayed in a directory is gone; locked.
func (d *Drive) unshadow(t *tx, from api.ID) {
	for dir := range d.syn.shadow {
		n, err := d.load(dir)
		if err == nil && n != nil && !d.within(from, n) {
			continue
		}
		delete(d.syn.shadow, dir)
		d.doubt(t, dir)
		t.b.Set(metaKey("shadow"), mustJSON(d.syn.shadow), nil)
	}
}

// sendAs journals a node that stayed under a name of which the server has another node (m), which it replaces: it is made
// beside it, and moves. Locked.
func (d *Drive) sendAs(t *tx, n *node, m api.Mutation) error {
	beside := api.Name("." + n.id.String() + ".tmp")
	if err := d.unstay(t, n, place{m.ToParent, beside}); err != nil {
		return err
	}
	m.Parent, m.Name = m.ToParent, beside
	t.log(m)
	return nil
}
