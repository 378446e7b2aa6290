package cache

import (
	"errors"
	"iter"

	"satchel/api"
)

// This file finds the names that lead to a node. A node knows the one by which it was last reached, which need not be
// its any more; of the others only the entries know. Looking at all of them takes as long as the replica is
// large, so it is done where counting does not tell that there is none, and once for all that a transaction removes.

// perish removes a node that the server says is gone, with all names that it has here: the one by which it was last reached
// and those given at once, others when the transaction is committed. Locked.
func (d *Drive) perish(t *tx, n *node, at ...place) {
	if n.dead {
		return
	}
	left := int(n.nlink) + t.excess[n.id]
	if n.isDir() {
		left = 1 + t.excess[n.id]
	}
	for _, p := range append(at, place{n.up, n.name}) {
		if d.displaceAt(t, n, p) {
			left--
		}
	}
	if left > 0 || n.flags&(flagCounted|flagFewer) != 0 {
		if t.perished == nil {
			t.perished = map[api.ID]*node{}
		}
		t.perished[n.id] = n
	}
	if n.isDir() && n.flags&flagComplete != 0 { // it may come back
		if l, err := d.dir(n, nil); err == nil {
			for name := range l.byName {
				t.unlink(n, l, name)
			}
		}
	}
	n.dead, n.gone, n.nlink = true, true, 0
	n.list = nil
	d.cool(t, n)
	t.node(n)
	if n.opens == 0 {
		d.bury(t, n)
	}
}

// displacePerished removes the names that are left of what perished, unless the server's word brought the node back meanwhile; locked.
func (d *Drive) displacePerished(t *tx) {
	if len(t.perished) == 0 {
		return
	}
	type name struct {
		at place
		of *node
	}
	var left []name
	for at, id := range d.entries() {
		if n := t.perished[id]; n != nil && (d.byID[id] == nil || d.byID[id].dead) {
			left = append(left, name{at, n})
		}
	}
	t.perished = nil
	for _, l := range left {
		d.displaceAt(t, l.of, l.at)
	}
}

// displace removes the entry through which n was last reached; locked.
func (d *Drive) displace(t *tx, n *node) { d.displaceAt(t, n, place{n.up, n.name}) }

// reached tells whether the entry through which n was last reached leads to it; locked.
func (d *Drive) reached(n *node) bool { return d.leads(place{n.up, n.name}, n) }

// leads tells whether a name leads to a node; locked.
func (d *Drive) leads(at place, n *node) bool {
	p, err := d.load(at.parent)
	if err != nil || p == nil || p.dead || p.flags&flagComplete == 0 {
		return false
	}
	l, err := d.dir(p, nil)
	if err != nil {
		return false
	}
	k := l.byName[at.name]
	return k != nil && k.id == n.id
}

// placeOf is a name that leads to a node: the one by which it was last reached, or another if that does not any more; locked.
func (d *Drive) placeOf(n *node) place {
	at := place{n.up, n.name}
	if !d.reached(n) {
		if other, ok := d.named(n, at); ok {
			return other
		}
	}
	return at
}

// named finds a name of a file, other than one, by looking at all; locked.
func (d *Drive) named(n *node, but place) (place, bool) {
	for at, id := range d.entries() {
		if id == n.id && at != but {
			return at, true
		}
	}
	return place{}, false
}

// entries is all names that are here, and the nodes to which they lead; they must not change meanwhile. An error ends
// it, and is logged. Locked.
func (d *Drive) entries() iter.Seq2[place, api.ID] {
	return func(yield func(place, api.ID) bool) {
		for _, p := range d.byID {
			if p.list == nil || p.dead || p.stale {
				continue
			}
			for name, k := range p.list.byName {
				if d.seen++; !yield(place{p.id, name}, k.id) {
					return
				}
			}
		}
		enough := errors.New("no more")
		err := d.st.scan([]byte{keyEntry}, func(key, v []byte) error {
			d.seen++
			k, err := decodeKid(v)
			if err != nil {
				return err
			}
			parent := api.ID(key[1:17])
			// Of what is listed, dead or stale, the store may have entries that are removed with the transaction at work.
			if p := d.byID[parent]; p != nil && (p.list != nil || p.dead || p.stale) {
				return nil
			}
			if !yield(place{parent, api.Name(key[17:])}, k.id) {
				return enough
			}
			return nil
		})
		if err != nil && err != enough {
			d.log.Error("look at all names", "err", err)
		}
	}
}

// displaceAt removes an entry if it leads to n, and tells whether it did; locked.
func (d *Drive) displaceAt(t *tx, n *node, at place) bool {
	if at.parent.IsZero() { // it is new here
		return false
	}
	p, err := d.load(at.parent)
	if err != nil || p == nil || p.dead || p.flags&flagComplete == 0 {
		return false
	}
	l, err := d.dir(p, nil)
	if err != nil {
		d.log.Error("remove an entry", "name", at.name, "err", err)
		return false
	}
	k := l.byName[at.name]
	if k == nil || k.id != n.id {
		return false
	}
	t.unlink(p, l, at.name)
	if n.isDir() {
		p.nlink--
	}
	t.node(p)
	d.notes.entry(p, string(at.name))
	return true
}
