package cache

import (
	"reflect"

	"satchel/api"
)

// This file is the one way in which the server's word enters the replica:
// local = what the server says, with the pending mutations replayed on it. A State
// carries whole records, so nothing older need be kept beside the local ones.

// applyState brings what this machine keeps of nodes and entries up to date; locked.
// Directories that were never listed here are skipped: they are read when they
// are first used.
func (d *Drive) applyState(t *tx, s *api.State) error {
	t.excess = map[api.ID]int{}
	defer func() { t.excess = nil }()
	nodes := make(map[api.ID]*api.Node, len(s.Nodes))
	gone := make(map[api.ID]bool, len(s.Gone))
	clear(t.absent)
	t.unsent, t.staying = nil, nil
	for _, id := range s.Gone {
		gone[id] = true
	}
	for i := range s.Nodes {
		an := &s.Nodes[i]
		nodes[an.ID] = an
		n, err := t.living(an.ID)
		if err != nil {
			return err
		}
		if n != nil {
			d.applyNode(t, n, an)
		}
	}
	var circles []api.EntryState // directories that are to be below what is below them yet
	for _, e := range s.Entries {
		if f := d.listing[e.Parent]; f != nil {
			f.late = append(f.late, lateEntry{e, nodes[e.Node], s.Seq})
		}
		if t.circular(&e) {
			circles = append(circles, e)
			continue
		}
		if err := d.applyEntry(t, e, nodes[e.Node], gone); err != nil {
			return err
		}
	}
	for _, e := range circles {
		if err := d.applyEntry(t, e, nodes[e.Node], gone); err != nil {
			return err
		}
	}
	for id, names := range t.excess {
		if n, err := d.load(id); err == nil && n != nil && !n.isDir() && names > 0 && n.flags&flagFewer == 0 {
			n.flags |= flagFewer
			t.node(n)
			d.letGo(n)
		}
	}
	for _, id := range s.Gone {
		n, err := d.load(id)
		if err != nil {
			return err
		}
		switch {
		case n == nil, n == d.root, len(d.journal.byNode[id]) > 0: // a pending edit will bring it back
		case n.hot != nil && !n.dead:
			n.hot.removed, n.hot.unsure = true, false
		case n.isDir() && !n.dead && d.busyBelow(t, n):
		default:
			d.perish(t, n)
		}
	}
	return nil
}

// back notes that a changed file whose names the server had removed has one there after all; the others end here. Locked.
func (d *Drive) back(t *tx, n *node, at place) {
	h := n.hot
	left := h.left
	if !h.unsure { // it had none
		left = append(left, place{n.up, n.name})
	}
	h.removed, h.unsure, h.left = false, false, nil
	for _, p := range left {
		if p != at && d.journal.places[p] == 0 {
			d.displaceAt(t, n, p)
		}
	}
}

// applyEntry makes a name point where the server says; gone is the nodes that
// have no name any more (nil: that is not known). Locked.
func (d *Drive) applyEntry(t *tx, e api.EntryState, an *api.Node, gone map[api.ID]bool) error {
	p, err := d.load(e.Parent)
	if err != nil || p == nil || p.dead || p.flags&flagComplete == 0 {
		return err
	}
	l, err := d.dir(p, nil)
	if err != nil {
		return err
	}
	k := l.byName[e.Name]
	if k == nil && e.Node.IsZero() {
		return nil
	}
	if k != nil && k.id == e.Node {
		if n := d.syn.hots[e.Node]; n != nil && n.hot.removed { // and it is there again
			d.back(t, n, place{e.Parent, e.Name})
		}
		return nil
	}
	if at := (place{e.Parent, e.Name}); d.journal.places[at] > 0 {
		if d.journal.staysAt[at] == 0 {
			d.doubt(t, p.id) // ours is on its way; the server decides when it hears it, and ours may come to nothing
		} else if !e.Node.IsZero() {
			d.shadow(t, e.Parent)
		}
		return nil
	}
	if t.circular(&e) { // for a move of this device that is on its way, and that the server will not make
		d.doubt(t, p.id)
		return nil
	}
	var replaced *node // for good
	if k != nil {
		old, err := d.load(k.id)
		if err != nil {
			return err
		}
		if gone[k.id] {
			replaced = old
		}
		if old != nil && old.hot != nil && e.Node.IsZero() && (gone == nil || gone[old.id]) {
			old.hot.unsure = gone == nil && (old.hot.unsure || !old.hot.removed)
			old.hot.removed = true // edit beats delete, unless nothing was edited
			old.hot.left = append(old.hot.left, place{p.id, e.Name})
			if t.unsent != nil && !d.stays(old) {
				d.ascend(t.unsent, p.id)
			}
			d.doubt(t, p.id)
			return nil
		}
		if old != nil && old.isDir() && e.Node.IsZero() && d.busyBelow(t, old) {
			return nil
		}
		if k.typ == 'd' { // of whatever became of the node
			p.nlink--
		}
		t.unlink(p, l, e.Name)
	}
	if !e.Node.IsZero() {
		ours := false
		n, err := t.living(e.Node)
		if err != nil {
			return err
		}
		if n == nil {
			if an == nil {
				return api.Errorf(api.Internal, "the server named an entry without its node")
			}
			r := fromNode(an)
			t.replay(&r, an.ID) // what was replaced here lives on there by another name
			n = d.adopt(an.ID, r)
			t.named(n.id, -int(r.nlink))
		}
		if n.hot != nil && n.hot.removed { // it was moved, not removed
			d.back(t, n, place{e.Parent, e.Name})
		} else if n.isDir() || an != nil && an.Nlink == 1 {
			// It has one place, and this is it: a listing may be ahead of the feed.
			if ours = d.journal.places[place{n.up, n.name}] > 0 && d.reached(n); !ours {
				d.displace(t, n)
			}
		}
		if ours { // where it was moved here, which is on its way
			d.doubt(t, p.id)
		} else {
			t.link(p, l, e.Name, n)
			if n.hot != nil && n.hot.other { // it came up where it was before
				d.doubt(t, p.id)
			}
			if replaced != nil {
				d.passPin(t, replaced, n)
			}
			if n.isDir() {
				p.nlink++
			}
			t.node(n)
		}
		d.letGo(n)
	}
	t.dir(p)
	d.notes.entry(p, string(e.Name))
	return nil
}

// doubt notes that a directory is to be listed again once nothing is pending below it; locked.
func (d *Drive) doubt(t *tx, dir api.ID) {
	if d.syn.again != nil {
		d.syn.again[dir] = true
	}
	if !d.syn.doubt[dir] {
		d.syn.doubt[dir] = true
		t.doubted = true
	}
}

// doubtNode is doubt of a directory that has a file, which may not be the one through which it was last reached any more; locked.
func (d *Drive) doubtNode(t *tx, n *node) {
	at := d.placeOf(n)
	t.at(n, at.parent, at.name)
	d.doubt(t, n.up)
}

// doubtMoved takes the doubt of a directory along with what a program moves out of it; locked.
func (d *Drive) doubtMoved(t *tx, from, to *node) {
	if d.syn.doubt[from.id] {
		d.doubt(t, to.id)
	}
}

// doubtLeft takes the doubt of a directory along with a file that loses a name in it, and that has others: with one of those it is to be listed (doubtAstray). Locked.
func (d *Drive) doubtLeft(t *tx, n *node, from api.ID) {
	if d.syn.doubt[from] && !d.syn.astray[n.id] {
		d.syn.astray[n.id] = true
		t.b.Set(astrayKey(n.id), nil, nil)
	}
}

// doubtAstray doubts a directory of each such file. It looks at all names, once for all of them. Locked.
func (d *Drive) doubtAstray(t *tx) {
	if len(d.syn.astray) == 0 {
		return
	}
	found := map[api.ID]place{}
	for at, id := range d.entries() {
		if d.syn.astray[id] {
			found[id] = at
		}
	}
	for id := range d.syn.astray {
		t.b.Delete(astrayKey(id), nil)
	}
	clear(d.syn.astray)
	for id, at := range found {
		d.doubt(t, at.parent)
		if n, err := d.load(id); err == nil && n != nil && !n.dead {
			t.at(n, at.parent, at.name)
			t.node(n)
			d.letGo(n)
		}
	}
}

// busyBelow tells whether a directory that the server removed is needed yet: what is pending below it may bring
// it back, and what stays here has no other place. Then the directory in which it is will be listed again. Locked.
func (d *Drive) busyBelow(t *tx, dir *node) (busy bool) {
	if t.unsentBelow(dir) {
		d.doubt(t, dir.up)
		busy = true
	}
	if t.staysBelow(dir) {
		d.shadow(t, dir.up)
		busy = true
	}
	return busy
}

// circular tells whether an entry would put a directory below itself; locked.
func (t *tx) circular(e *api.EntryState) bool {
	d := t.d
	n, err := t.load(e.Node)
	if err != nil || n == nil || n == d.root {
		return false
	}
	defer d.letGo(n)
	return n.isDir() && !n.dead && d.within(e.Parent, n)
}

// within tells whether a directory is another one or below it; locked.
func (d *Drive) within(id api.ID, top *node) bool {
	for !id.IsZero() {
		if id == top.id {
			return true
		}
		if id == d.root.id {
			return false
		}
		n, err := d.load(id)
		if err != nil || n == nil {
			return false
		}
		id = n.up
		d.letGo(n)
	}
	return false
}

func fromNode(a *api.Node) record {
	r := record{typ: 'f', mode: a.Mode, uid: a.UID, gid: a.GID, nlink: a.Nlink, rdev: a.Rdev, size: a.Size,
		atime: a.Mtime, mtime: a.Mtime, ctime: a.Ctime, btime: a.Btime, version: a.Version, sha: a.SHA256,
		rev: a.Rev, flags: flagAcked | flagDated, target: string(a.Target), xattrs: a.Xattrs}
	if a.Type != "" {
		r.typ = a.Type[0]
	}
	if r.typ == 'l' {
		r.size = int64(len(r.target))
	}
	return r
}

// applyNode replaces a node's record by the server's, keeping what is only
// local and what pending mutations changed; locked.
func (d *Drive) applyNode(t *tx, n *node, an *api.Node) {
	r := fromNode(an)
	old := n.record
	r.atime, r.slot, r.taken, r.up, r.name = old.atime, old.slot, old.taken, old.up, old.name
	r.flags |= old.flags & (flagComplete | flagFewer)
	if n.isDir() && old.flags&flagComplete != 0 {
		r.nlink = old.nlink // counted by the entries
	}
	if n.hot != nil { // the content here is newer, or about to be found equal
		if n.hot.other = an.Version != old.version || an.Mtime != old.mtime; n.hot.other {
			d.doubtNode(t, n) // if it turns out that nothing was edited here, theirs is what is true
			r.up, r.name = n.up, n.name
		}
		r.size, r.mtime, r.version, r.sha = old.size, old.mtime, old.version, old.sha
	}
	t.replay(&r, n.id)
	t.excess[n.id] += int(old.nlink) - int(r.nlink)
	changed := n.isFile() && r.version != old.version
	if changed && n.name == ignoreFile {
		d.ignoreNews()
	}
	same := !changed && reflect.DeepEqual(r, old)
	n.record = r
	if changed {
		if n.slot == 0 {
			n.taken = 0
		}
		n = d.replaced(t, n)
		if n.lookups > 0 && r.size != old.size {
			n.resized, n.unaware = true, true
		}
	} else if n.isFile() && r.mtime != old.mtime {
		n = d.retimed(t, n)
	}
	if !same {
		t.node(n)
		d.notes.inode(n, changed)
	}
	d.letGo(n)
}

// replay puts the effects of all pending mutations on a node's record. What was counted is doubted when the names of the
// node are known; locked.
func (t *tx) replay(r *record, id api.ID) {
	for _, e := range t.d.journal.byNode[id] {
		replay(r, e, id)
		if !r.isDir() && (e.m.Op == api.OpRename || countsLinks(&e.m)) {
			r.flags |= flagCounted
		}
		if countsLinks(&e.m) {
			t.counted = append(t.counted, id)
		}
	}
}

// doubtCounted doubts a directory of each node whose links were counted by what is pending; locked.
func (d *Drive) doubtCounted(t *tx) {
	for _, id := range t.counted {
		if n, err := d.load(id); err == nil && n != nil && !n.dead {
			d.doubtNode(t, n)
			d.letGo(n)
		}
	}
	t.counted = nil
}

// replay puts a pending mutation's effect on a node's record.
func replay(r *record, e *entry, id api.ID) {
	if e.m.Node != id {
		if e.m.Replaces == id && countsLinks(&e.m) && r.nlink > 1 && !r.isDir() {
			r.nlink--
		}
		return
	}
	r.ctime = max(r.ctime, e.m.Time)
	switch e.m.Op {
	case api.OpLink:
		r.nlink++
	case api.OpUnlink:
		if r.nlink > 1 { // it lives
			r.nlink--
		}
	}
	a := e.m.Attr
	if a == nil {
		return
	}
	if a.Mode != nil {
		r.mode = *a.Mode
	}
	if a.UID != nil {
		r.uid = *a.UID
	}
	if a.GID != nil {
		r.gid = *a.GID
	}
	if a.Mtime != nil && e.m.Op == api.OpSetattr {
		r.mtime = *a.Mtime
	}
	if len(a.Xattrs) > 0 {
		x := make(map[string][]byte, len(r.xattrs)+len(a.Xattrs))
		for k, v := range r.xattrs {
			x[k] = v
		}
		for k, v := range a.Xattrs {
			if v == nil {
				delete(x, k)
			} else {
				x[k] = v
			}
		}
		r.xattrs = x
	}
}

// countsLinks tells whether a mutation changes a number of links. Replaying such a one on
// a state that has it already (it was applied, and the answer is under way or lost) counts
// it twice, or a link that the server has moved from there meanwhile; so the directory is listed again when nothing is pending.
func countsLinks(m *api.Mutation) bool {
	return m.Op == api.OpLink || m.Op == api.OpUnlink || m.Op == api.OpRename && !m.Replaces.IsZero()
}
