package cache

import "satchel/api"

// dirs is a set of directories.
type dirs map[api.ID]struct{}

func (s dirs) has(id api.ID) bool {
	_, ok := s[id]
	return ok
}

// aboveUnsent is the directories in which something is pending, or below which; locked.
func (d *Drive) aboveUnsent() dirs {
	above := dirs{}
	for id, n := range d.journal.under {
		if n > d.journal.stayUnder[id] {
			d.ascend(above, id)
		}
	}
	for _, n := range d.syn.hots {
		if d.stays(n) {
			continue
		}
		d.ascend(above, n.up)
		for _, p := range n.hot.left {
			d.ascend(above, p.parent)
		}
	}
	return above
}

// aboveStaying is the directories that the server may know in which something stays, or below which; locked.
func (d *Drive) aboveStaying() dirs {
	above := dirs{}
	for id := range d.journal.stayUnder {
		if d.journal.staying[id] == nil {
			d.ascend(above, id)
		}
	}
	return above
}

// ascend adds a directory and all above it to a set in which each is with those above it; locked.
func (d *Drive) ascend(above dirs, id api.ID) {
	for !id.IsZero() && !above.has(id) {
		d.climbed++
		above[id] = struct{}{}
		if id == d.root.id {
			return
		}
		n, err := d.load(id)
		if err != nil || n == nil {
			return
		}
		id = n.up
		d.letGo(n)
	}
}

// unsentBelow tells whether something is pending in a directory or below it; locked. What that is is found out once for a
// call, as a page of the server's may remove thousands of directories while as many files wait to be sent.
func (t *tx) unsentBelow(dir *node) bool {
	if t.unsent == nil {
		t.unsent = t.d.aboveUnsent()
	}
	return t.unsent.has(dir.id)
}

// staysBelow tells whether something stays in a directory or below it, of which the server knows nothing; locked.
func (t *tx) staysBelow(dir *node) bool {
	if t.staying == nil {
		t.staying = t.d.aboveStaying()
	}
	return t.staying.has(dir.id)
}

// at gives a node the name by which it was last reached.
func (t *tx) at(n *node, up api.ID, name api.Name) {
	if n.up != up && (n.hot != nil || t.unsent.has(n.id) || t.staying.has(n.id)) {
		t.unsent, t.staying = nil, nil // what is above it is
	}
	n.up, n.name = up, name
}
