package cache

import (
	"github.com/cockroachdb/pebble/v2"

	"satchel/api"
)

// A tx collects the records and the mutations of one call into one Pebble
// batch. All its methods expect Drive.mu held. The journal in memory follows
// at once: a commit only fails when the disk does, and then the process ends.
type tx struct {
	d *Drive
	b *pebble.Batch
	j bool // something was journalled

	behind bool // not a program's call, but work behind it

	kept   []*node             // written here: Pebble has their old records until the commit
	absent map[api.ID]struct{} // nodes that Pebble has nothing of
	dirs   []*node             // whose records are written when the call ends

	doubted         bool // a directory came to be doubted
	unsent, staying dirs // what is above what is pending, and above what stays; nil: that is not known. See above.go

	counted    []api.ID         // nodes whose links what is pending has counted: see countsLinks
	perished   map[api.ID]*node // of which names may be left: see names.go
	renumbered map[api.ID]bool  // in whose places others were: see renumber.go
	excess     map[api.ID]int   // by how much names here have become more than links on the server, by the state that is being applied
}

func (d *Drive) begin() *tx { return &tx{d: d, b: d.st.NewBatch()} }

// load is Drive.load for a node that is likely to be asked for again, and may not be there: what is absent stays so
// for the call, as the nodes that the call makes are in memory until it ends.
func (t *tx) load(id api.ID) (*node, error) {
	if _, ok := t.absent[id]; ok && t.d.byID[id] == nil {
		return nil, nil
	}
	n, err := t.d.load(id)
	if n == nil && err == nil {
		if t.absent == nil {
			t.absent = map[api.ID]struct{}{}
		}
		t.absent[id] = struct{}{}
	}
	return n, err
}

// living is load, but for a node that is dead here and only open: the server speaks of its successor. Locked.
func (t *tx) living(id api.ID) (*node, error) {
	n, err := t.load(id)
	if n != nil && n.dead {
		n.stale = true
		delete(t.d.byID, id)
		t.unsent, t.staying = nil, nil
		n, err = t.load(id)
	}
	return n, err
}

// node writes the records of nodes, or removes those of dead ones. Stale nodes
// have no record: it belongs to the node that took their place.
func (t *tx) node(nodes ...*node) {
	var buf [256]byte
	for _, n := range nodes {
		n.uncommitted++
		t.kept = append(t.kept, n)
		switch {
		case n.stale:
		case n.dead:
			t.b.Delete(nodeKey(n.id), nil)
		default:
			t.b.Set(nodeKey(n.id), n.record.append(buf[:0]), nil)
		}
	}
}

// dir writes a directory's record when the call ends: each of its entries may say that it changed.
func (t *tx) dir(p *node) {
	if k := len(t.dirs); k == 0 || t.dirs[k-1] != p {
		p.uncommitted++
		t.kept = append(t.kept, p)
		t.dirs = append(t.dirs, p)
	}
}

// link adds an entry to a complete directory.
func (t *tx) link(p *node, l *listing, name api.Name, n *node) {
	var buf [48]byte
	k := l.add(name, n.id, n.typ)
	t.named(n.id, 1)
	t.b.Set(entryKey(p.id, name), k.append(buf[:0]), nil)
	t.placed(n, name)
	t.d.linked(n, place{p.id, name})
	t.at(n, p.id, name)
	t.d.grown(p)
	t.d.touchPin(n.id)
}

// unlink removes an entry of a complete directory.
func (t *tx) unlink(p *node, l *listing, name api.Name) {
	t.named(l.byName[name].id, -1)
	l.remove(name)
	t.b.Delete(entryKey(p.id, name), nil)
	if name == ignoreFile {
		t.d.ignoreNews()
	}
}

// rename gives an entry another name in the same directory. It keeps its place, so that who
// reads the directory meanwhile sees it once.
func (t *tx) rename(p *node, l *listing, name, newName api.Name, n *node) {
	var buf [48]byte
	k := l.byName[name]
	l.rename(k, newName)
	t.b.Delete(entryKey(p.id, name), nil)
	t.b.Set(entryKey(p.id, newName), k.append(buf[:0]), nil)
	if t.placed(n, newName); name == ignoreFile {
		t.d.ignoreNews()
	}
	t.at(n, p.id, newName)
}

// point makes an existing entry point to another node.
func (t *tx) point(p *node, k *kid, n *node) {
	var buf [48]byte
	t.named(k.id, -1)
	t.named(n.id, 1)
	k.id, k.typ = n.id, n.typ
	t.b.Set(entryKey(p.id, k.name), k.append(buf[:0]), nil)
	t.placed(n, k.name)
	t.d.linked(n, place{p.id, k.name})
	t.at(n, p.id, k.name)
}

// named counts the names of nodes while the server's word is applied.
func (t *tx) named(id api.ID, by int) {
	if t.excess != nil {
		t.excess[id] += by
	}
}

// placed notes a node's new name as far as ignore files are concerned: it is one, or a directory that had another place.
func (t *tx) placed(n *node, name api.Name) {
	if name == ignoreFile || n.isDir() && !n.up.IsZero() {
		t.d.ignoreNews()
	}
}

// slot writes what a content file holds.
func (t *tx) slot(c *content) {
	var buf [64]byte
	t.b.Set(slotKey(c.slot), c.rec.append(buf[:0]), nil)
}

// log journals a mutation and returns its entry.
func (t *tx) log(m api.Mutation) *entry {
	if e := t.d.journal.staying[m.Node]; e != nil {
		return e // nobody hears of it
	}
	e := &entry{seq: t.d.journal.last + 1, m: m}
	t.d.journal.add(e)
	t.relog(e)
	return e
}

// relog writes a journalled mutation again after coalescing changed it.
func (t *tx) relog(e *entry) {
	var buf [256]byte
	t.b.Set(journalKey(e.seq), appendMutation(buf[:0], &e.m), nil)
	t.j = true
}

// drop takes an entry out of the journal.
func (t *tx) drop(e *entry) {
	if e.gone {
		return
	}
	t.d.journal.remove(e)
	t.b.Delete(journalKey(e.seq), nil)
	if e.stays {
		t.b.Delete(stayKey(e.m.Node), nil)
		t.d.unshadow(t, e.m.Parent)
	}
	t.j = true
}

// commit makes the call's changes real.
func (t *tx) commit() error {
	t.d.displacePerished(t)
	t.d.doubtCounted(t)
	t.node(t.dirs...)
	if t.doubted {
		t.b.Set(metaKey("doubt"), mustJSON(t.d.syn.doubt), nil)
	}
	if t.b.Empty() {
		return t.close()
	}
	err := t.d.st.commit(t.b)
	t.release()
	if err != nil {
		return err
	}
	if t.j {
		if !t.behind {
			t.d.stirred.Store(now())
		}
		t.d.wakeSyncer()
	}
	return nil
}

// close gives the batch up.
func (t *tx) close() error {
	t.release()
	return t.b.Close()
}

// release lets go of the nodes that had to stay in memory so far: Pebble would
// have answered for them with what they were before.
func (t *tx) release() {
	t.d.lookAgain(t)
	for _, n := range t.kept {
		if n.uncommitted--; n.leaving && n.uncommitted == 0 {
			n.leaving = false
			t.d.letGo(n)
		}
	}
	t.kept = nil
}
