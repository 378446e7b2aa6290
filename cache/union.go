package cache

import (
	"slices"

	"satchel/api"
)

// A union is a directory made here that another device had made too: From
// becomes part of Into. It is kept in Pebble until it is done.
type union struct {
	From api.ID `json:"from"`
	Into api.ID `json:"into"`
}

// uniteAll makes the unions that the server's answers called for. Nothing is sent
// before: the server does not know the directories that became part of others.
func (d *Drive) uniteAll() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.syn.unions) > 0 {
		u := d.syn.unions[0]
		t := d.begin()
		t.behind = true
		if err := d.unite(t, u); err != nil && api.KindOf(err) != api.NotFound {
			t.close()
			return err
		}
		// If Into is gone, what was made in From is refused, and kept.
		d.syn.unions = slices.DeleteFunc(d.syn.unions, func(x union) bool { return x == u })
		t.b.Set(metaKey("unions"), mustJSON(d.syn.unions), nil)
		if err := t.commit(); err != nil {
			return err
		}
	}
	return nil
}

// unite moves what is in one directory to the other; locked, and given up while
// Into is listed.
func (d *Drive) unite(t *tx, u union) error {
	into, err := d.load(u.Into)
	if err != nil {
		return err
	}
	if into == nil {
		return errNotFound
	}
	il, err := d.dir(into, d.ctx.Done())
	if err != nil {
		return err
	}
	from, err := d.load(u.From)
	if err != nil || from == nil {
		return err
	}
	fl, err := d.dir(from, d.ctx.Done())
	if err != nil {
		return err
	}
	for name, k := range fl.byName {
		n, err := d.load(k.id)
		if err != nil {
			return err
		}
		switch k := il.byName[name]; {
		case n == nil, k != nil && k.id == n.id:
		case n.isDir() && d.within(into.id, n): // the server has it otherwise
		case k == nil:
			t.link(into, il, name, n)
			into.nlink += subdirs(n.typ)
			d.united(t, into, n)
		case d.stays(n): // it hides theirs
			d.shadow(t, into.id)
			into.nlink += subdirs(n.typ) - subdirs(k.typ)
			t.point(into, k, n)
			d.united(t, into, n)
		case d.journal.places[place{from.id, name}] > 0 && !n.isDir() && k.typ != 'd':
			t.point(into, k, n) // what was done to it since is on its way
			d.united(t, into, n)
		}
		if n != nil {
			d.letGo(n)
		}
		t.b.Delete(entryKey(from.id, name), nil)
	}
	for _, e := range append([]*entry(nil), d.journal.order...) {
		if e.gone || e.sent || e.m.Parent != from.id && e.m.ToParent != from.id && e.m.Node != from.id && e.m.Replaces != from.id {
			continue
		}
		m := e.m
		d.journal.remove(e)
		if m.Node == from.id {
			m.Node = into.id
		}
		if m.Replaces == from.id {
			m.Replaces = into.id
		}
		if m.Parent == from.id {
			m.Parent = into.id
		}
		if m.ToParent == from.id {
			m.ToParent = into.id
		}
		d.journal.restore(e, m)
		t.relog(e)
	}
	d.doubt(t, into.id) // names that were removed from it since it was made are there as long as that is on its way
	d.handOver(t, from, into)
	from.dead, from.list = true, nil
	t.node(from, into)
	d.notes.inode(into, true)
	d.letGo(from)
	return nil
}

// subdirs is by how much an entry of a type raises the number of links of its directory.
func subdirs(typ byte) uint32 {
	if typ == 'd' {
		return 1
	}
	return 0
}

// united notes that a name of a directory leads now to what was in the one that became part of it; locked.
func (d *Drive) united(t *tx, into, n *node) {
	t.node(n)
	d.notes.entry(into, string(n.name))
}

// meet makes a directory known of which this device had not heard; locked. It has no name here yet: what is pending
// at its place may keep it from that.
func (d *Drive) meet(t *tx, an *api.Node, at place) {
	if an == nil {
		return
	}
	if n, err := t.living(an.ID); err != nil || n != nil {
		return
	}
	n := d.adopt(an.ID, fromNode(an))
	n.up, n.name = at.parent, at.name
	t.node(n)
	d.letGo(n)
}

// handOver makes the name of a directory that became part of another one lead there, where what is pending at that place
// kept the server's word from it; locked. A directory that has a name already gets no second one.
func (d *Drive) handOver(t *tx, from, into *node) {
	if !d.reached(from) {
		return
	}
	if d.reached(into) {
		d.displace(t, from)
		return
	}
	p := d.byID[from.up]
	l, err := d.dir(p, nil)
	if err != nil {
		return
	}
	t.point(p, l.byName[from.name], into)
	d.notes.entry(p, string(into.name))
}
