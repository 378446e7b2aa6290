package cache

import (
	"fmt"
	"slices"
	"time"

	"satchel/api"
)

// land applies the server's answer to a batch: what was applied is
// acknowledged, what was not is undone or moved as the server says.
func (d *Drive) land(f *flight, c api.Committed) error {
	byID := make(map[api.ID]*api.Node, len(c.Nodes))
	for i := range c.Nodes {
		byID[c.Nodes[i].ID] = &c.Nodes[i]
	}
	if err := d.rescue(f, c.Outcomes, byID); err != nil {
		return err // as below
	}
	d.mu.Lock()
	if err := d.readyRecovered(c.Outcomes); err != nil {
		d.mu.Unlock()
		return err // the batch is sent again, and answered the same
	}
	t := d.begin()
	t.behind = true
	listening := d.listening()
	withheld := d.withhold(t, f, c.Outcomes, byID)
	entries := make([]*entry, len(f.Entries))
	for i, seq := range f.Entries {
		if entries[i] = d.journal.find(seq); entries[i] != nil && !withheld[i] {
			t.drop(entries[i])
		}
	}
	for i, o := range c.Outcomes {
		m := &f.Batch.Mutations[i]
		for l := range listening {
			l.landed[m.Node], l.landed[m.Replaces] = c.Seq, c.Seq
		}
		if withheld[i] {
			continue
		}
		if o.Status != api.Applied {
			d.eventOf(m, &o)
			d.log.Info("not applied as made", "op", m.Op, "node", m.Node, "name", m.Name, "status", o.Status, "kind", o.Kind, "why", o.Message)
		}
		switch {
		case o.Status == api.Applied:
			d.acknowledge(t, m, o.Seq)
		case o.Status == api.Adjusted && m.Op == api.OpWrite && !o.Conflict.IsZero() && o.Conflict != m.Node:
			d.conflicted(t, m, o, byID)
		case o.Status == api.Adjusted && m.Op == api.OpCreate && !o.Conflict.IsZero() && o.Conflict != m.Node:
			d.syn.unions = append(d.syn.unions, union{m.Node, o.Conflict})
			d.meet(t, byID[o.Conflict], place{m.Parent, m.Name})
		case o.Status == api.Adjusted:
			d.acknowledge(t, m, o.Seq)
			if !o.Conflict.IsZero() {
				d.syn.conflicts++
			}
			if o.Conflict == m.Node && o.Name != "" {
				d.calledThere(t, m, o.Name, c.Entries)
			}
		case madeAlready(m, &o, byID):
			d.recreated(t, m, entries[i])
		case o.Status == api.Refused:
			if err := d.refused(t, m, o, byID); err != nil {
				d.log.Error("keep refused content", "name", m.Name, "err", err)
			}
		}
	}
	c.Gone = slices.DeleteFunc(c.Gone, func(id api.ID) bool { // what is in them is needed yet
		return slices.ContainsFunc(d.syn.unions, func(u union) bool { return u.From == id })
	})
	d.overheard(&c.State)
	if err := d.applyState(t, &c.State); err != nil {
		d.log.Error("apply the server's answer", "err", err)
	}
	d.quotaNews()
	d.syn.flight, d.syn.problem = nil, nil
	if d.syn.most *= 2; d.syn.most >= api.MaxBatch {
		d.syn.most = 0
	}
	d.syn.acked = max(d.syn.acked, c.Seq)
	t.b.Delete(metaKey("flight"), nil)
	d.part(t)
	t.b.Set(metaKey("refused"), mustJSON(d.syn.refused), nil)
	t.b.Set(metaKey("conflicts"), mustJSON(d.syn.conflicts), nil)
	t.b.Set(metaKey("unions"), mustJSON(d.syn.unions), nil)
	if d.cfg.Rescue != nil {
		t.b.Set(metaKey("rescued"), mustJSON(d.syn.rescued), nil)
	}
	told := d.takeTold()
	if len(told) > 0 {
		t.b.Set(metaKey("events"), mustJSON(d.syn.events), nil)
	}
	t.j = true
	err := t.commit()
	d.mu.Unlock()
	if d.cfg.Notice != nil && len(told) > 0 {
		d.cfg.Notice(told)
	}
	return err
}

// acknowledge notes that the server has a mutation, which became the change seq; locked.
func (d *Drive) acknowledge(t *tx, m *api.Mutation, seq int64) {
	if m.Version != nil {
		d.rebase(t, m.Node, m.Base, m.Version.ID)
	}
	n, err := d.load(m.Node)
	if err != nil || n == nil || n.dead {
		return
	}
	n.flags |= flagAcked
	n.date(m, seq)
	n.gave(m)
	if n.hot != nil {
		n.hot.removed, n.hot.unsure, n.hot.left = false, false, nil
	}
	if m.Version != nil {
		d.committed(n, m.Version.Size)
		if lost := n.lost(m); lost && n.hot != nil {
			if n.hot.ready != nil { // it may be that nothing was written
				n.hot.ready, n.hot.due = nil, time.Now()
				d.journal.awaits(n.hot)
				d.enqueue(n)
			}
		} else {
			n.version, n.sha = m.Version.ID, m.Version.SHA256
			if lost {
				n.resized, n.unaware = n.lookups > 0, n.lookups > 0
				n.size = m.Version.Size
				n = d.replaced(t, n)
				d.notes.inode(n, true)
			}
		}
	}
	t.node(n)
	if h := n.hot; h != nil && m.Version != nil && h.sent != nil && h.sent.version.ID == m.Version.ID {
		d.judge(t, n)
	}
	d.letGo(n)
}

// date notes which change a mutation of the node has become; 0: none, since the server had that already.
func (n *node) date(m *api.Mutation, seq int64) {
	switch {
	case seq > 0:
		n.rev, n.flags = seq, n.flags|flagDated
	case m.Version != nil:
		n.flags &^= flagDated
	}
}

// gave notes that what was given back to a restored server has been: what is written from now on is a version of its own, though it were the same.
func (n *node) gave(m *api.Mutation) {
	if h := n.hot; h != nil && m.Version != nil && h.again == m.Version.ID {
		h.again, h.againSHA = api.ID{}, api.Hash{}
	}
}

// madeAlready tells whether the server refused a creation because it has the very node: another device gave it back
// first, after a restore, and moved it or wrote it since.
func madeAlready(m *api.Mutation, o *api.Outcome, byID map[api.ID]*api.Node) bool {
	an := byID[m.Node]
	return m.Op == api.OpCreate && o.Status == api.Refused && o.Kind == api.Exists && an != nil && an.Type == m.Attr.Type
}

// recreated goes on with a node that the server has already, with the content from here as a change of it that lost; was made it
// here, nil: that is not known. Locked.
func (d *Drive) recreated(t *tx, m *api.Mutation, was *entry) {
	n, err := d.load(m.Node)
	if err != nil || n == nil || n.dead {
		return
	}
	n.flags |= flagAcked
	t.node(n)
	if h := n.hot; h != nil && n.isFile() {
		if h.entry == nil {
			n.version, n.sha = m.Version.ID, api.Hash{} // which the server does not know
			h.sent = nil
			d.logWrite(t, n)
			h.due = time.Now()
			d.enqueue(n)
		}
		if was != nil {
			d.journal.inherit(h.entry, was)
		}
	}
	d.letGo(n)
}

// calledThere tells pending mutations of a node that the name which they know it by was
// another one's on the server, and which it got instead, as the entries of the answer say; locked. Without it the server would not
// find what this device renamed or removed next. A name that is still to be made stays as it is.
func (d *Drive) calledThere(t *tx, m *api.Mutation, name api.Name, entries []api.EntryState) {
	at := place{m.Parent, m.Name}
	if m.Op == api.OpRename {
		at = place{m.ToParent, m.ToName}
	}
	if !slices.Contains(entries, api.EntryState{Parent: at.parent, Name: name, Node: m.Node}) {
		return // what was deleted is back in another directory
	}
	for _, e := range slices.Clone(d.journal.byNode[m.Node]) {
		if e.gone || e.sent || e.m.Op == api.OpLink || e.m.Node != m.Node || (place{e.m.Parent, e.m.Name}) != at {
			continue
		}
		next := e.m
		next.Name = name
		d.journal.remove(e)
		d.journal.restore(e, next)
		t.relog(e)
	}
}

// rebase tells pending mutations that what they are based on has become a
// version of the server's; locked. Without it the server would take this device's own
// edit for somebody else's.
func (d *Drive) rebase(t *tx, id, from, to api.ID) {
	for _, e := range d.journal.byNode[id] {
		if based(&e.m) == id && !e.sent && e.m.Base == from && e.m.Op != api.OpCreate {
			e.m.Base = to
			t.relog(e)
		}
	}
}

// based is the node whose version a mutation's Base is.
func based(m *api.Mutation) api.ID {
	if m.Op == api.OpRename {
		return m.Replaces
	}
	return m.Node
}

// conflicted moves content that lost against another device's to the
// conflict copy which the server made of it; locked.
func (d *Drive) conflicted(t *tx, m *api.Mutation, o api.Outcome, byID map[api.ID]*api.Node) {
	d.syn.conflicts++
	n, err := d.load(m.Node)
	if err != nil || n == nil || n.dead {
		return
	}
	n.gave(m)
	lost := n.lost(m)
	if lost && n.hot == nil {
		n = d.replaced(t, n)
	}
	again := d.divert(t, n, o.Conflict, byID[m.Node])
	n.name, n.flags = o.Name, n.flags|flagAcked
	n.date(m, o.Seq)
	if !lost || n.hot == nil {
		n.version, n.sha = m.Version.ID, m.Version.SHA256
	}
	t.node(n)
	if again != nil { // written again since: that goes to the copy too
		d.logWrite(t, n)
		d.journal.inherit(n.hot.entry, again)
		d.settle(n) // what is hashed or uploaded just now is of the write that was dropped
	} else if n.hot != nil {
		d.judge(t, n)
	}
}

// divert makes the node in memory, with its content and its open handles, the
// one of a new id, and puts a new cold node in its old place, as the server
// says; locked. Whoever has the file open goes on with the diverted one; its names
// show the other. It returns the write that was pending, which it drops; nil: none was.
func (d *Drive) divert(t *tx, n *node, id api.ID, theirs *api.Node) (pending *entry) {
	if h := n.hot; h != nil {
		if pending = h.entry; pending != nil {
			t.drop(pending)
			h.entry = nil
		}
		delete(d.syn.hots, n.id)
		d.syn.hots[id] = n
	}
	winner := d.adopt(n.id, n.record)
	if theirs != nil { // its names are compared with what is here when the answer's state is applied
		winner.record = fromNode(theirs)
		winner.up, winner.name, winner.nlink = n.up, n.name, n.nlink
		winner.flags |= n.flags & (flagCounted | flagFewer)
	} else {
		winner.slot, winner.size, winner.version = 0, 0, api.ID{}
	}
	n.id, n.ino, n.nlink = id, id.Hash64(), 1
	d.byID[id] = n
	if n.slot != 0 {
		if c, err := d.attach(n); err == nil {
			c.rec.node = id
			t.slot(c)
		}
		d.hold(n)
	}
	t.node(winner)
	t.renumber(winner.id)
	d.touchPin(winner.id)
	if h := n.hot; h != nil && h.removed { // by another device, and what was edited here has become the diverted one
		for _, at := range h.left {
			d.displaceAt(t, winner, at)
		}
		h.removed, h.unsure, h.left = false, false, nil
	}
	d.letGo(winner)
	return pending
}

// recovered is the folder in the drive's root for work that the server refused. Where something else has the name it gets a number.
const recovered = "Recovered"

// holdBack is how long refused content waits before it is offered again.
const holdBack = 10 * time.Minute

// refused undoes what the server will not take; locked. The State that came with the answer shows
// what is true. Content moves to the Recovered folder as a new file, so that
// the user has it whatever the server says of that.
func (d *Drive) refused(t *tx, m *api.Mutation, o api.Outcome, byID map[api.ID]*api.Node) error {
	d.syn.refused++
	if m.Op != api.OpCreate && m.Op != api.OpWrite {
		return nil
	}
	n, err := d.load(m.Node)
	if err != nil || n == nil || n.dead {
		return err
	}
	if d.cfg.Rescue != nil {
		d.undo(t, n, m, o, byID[m.Node])
		return nil
	}
	if !n.isFile() || n.slot == 0 {
		d.noteUndone(n, n.up, n.name, o.Message)
		if m.Op == api.OpCreate {
			d.perish(t, n)
		}
		return nil
	}
	p, l, err := d.recoveredDir(t)
	if err != nil {
		return err
	}
	name := n.name
	for i := 2; l.byName[name] != nil; i++ {
		name = n.name.Numbered(i)
	}
	again := n.up == p.id && m.Op == api.OpCreate
	if again { // refused there too: it stays, and is offered again later
		name = n.name
		l.remove(name)
	}
	old, oldName := n.up, n.name
	d.divert(t, n, api.NewID(), byID[m.Node])
	n.flags &^= flagAcked
	n.version, n.sha = api.ID{}, api.Hash{}
	e := d.enter(t, p, l, name, n, false)
	e.after = time.Now().Add(holdBack)
	h := d.heat(n)
	h.ready, h.sent, h.due = nil, nil, e.after
	d.carry(h, e)
	h.base = 0 // a new file, of which the server has nothing
	d.grew(n)
	if c, err := d.attach(n); err == nil {
		c.rec.dirty = true
		t.slot(c)
	}
	d.enqueue(n)
	d.notes.entry(p, string(name))
	if w := d.byID[m.Node]; w != nil && byID[m.Node] == nil {
		w.up, w.name = old, oldName
		d.perish(t, w) // the server has no such node
	}
	now := p.name + "/" + name
	if again && d.refusedAgain(now, o.Message, p.id) {
		return nil
	}
	d.noteEvent(EventRefused, old, oldName, now, o.Message, p.id)
	d.log.Warn("refused by the server; kept in the Recovered folder", "name", oldName, "as", now, "why", o.Message)
	return nil
}

// recoveredDir finds or makes the Recovered folder; locked.
func (d *Drive) recoveredDir(t *tx) (*node, *listing, error) {
	rl, err := d.dir(d.root, d.ctx.Done())
	if err != nil {
		return nil, nil, err
	}
	name, p, err := d.recoveredAt(rl)
	if err != nil {
		return nil, nil, err
	}
	if p == nil {
		p = d.sprout(d.root, 'd', 0o700, Cred{UID: d.cfg.UID, GID: d.cfg.GID})
		p.list = newListing()
		d.enter(t, d.root, rl, name, p, false)
		d.notes.entry(d.root, string(name))
	}
	p.up, p.name = d.root.id, name
	l, err := d.dir(p, d.ctx.Done())
	return p, l, err
}

// recoveredAt is the name of the Recovered folder and, if it is there, the folder; locked.
func (d *Drive) recoveredAt(root *listing) (name api.Name, p *node, err error) {
	name = recovered
	for i := 2; ; i++ {
		if p, err = d.child(root, name); err != nil || p == nil || p.isDir() {
			return name, p, err
		}
		name = api.Name(fmt.Sprintf("%s %d", recovered, i))
	}
}

// readyRecovered makes sure that the Recovered folder, if there is one, is listed when a batch
// was refused: its answer is applied without waiting. Locked, and given up while it waits.
func (d *Drive) readyRecovered(outcomes []api.Outcome) error {
	if d.cfg.Rescue != nil || !slices.ContainsFunc(outcomes, func(o api.Outcome) bool { return o.Status == api.Refused }) {
		return nil
	}
	l, err := d.dir(d.root, d.ctx.Done())
	if err != nil {
		return err
	}
	if _, p, err := d.recoveredAt(l); err != nil || p == nil {
		return err
	} else if _, err := d.dir(p, d.ctx.Done()); err != nil {
		return err
	}
	return nil
}
