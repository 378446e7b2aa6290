package cache

import (
	"context"

	"satchel/api"
)

// land applies the server's answer to a batch: what was applied is
// acknowledged, what was not is undone or moved as the server says.
func (d *Drive) land(f *flight, c api.Committed) error {
	var merges []union
	d.mu.Lock()
	t := d.begin()
	byID := make(map[api.ID]*api.Node, len(c.Nodes))
	for i := range c.Nodes {
		byID[c.Nodes[i].ID] = &c.Nodes[i]
	}
	entries := make([]*entry, len(f.Entries))
	for i, seq := range f.Entries {
		if entries[i] = d.journal.find(seq); entries[i] != nil {
			t.drop(entries[i])
		}
	}
	for i, o := range c.Outcomes {
		m := &f.Batch.Mutations[i]
		if o.Status != api.Applied {
			d.log.Info("not applied as made", "op", m.Op, "node", m.Node, "name", m.Name, "status", o.Status, "kind", o.Kind, "why", o.Message)
		}
		switch {
		case o.Status == api.Applied:
			d.acknowledge(t, m)
		case o.Status == api.Adjusted && m.Op == api.OpWrite && !o.Conflict.IsZero() && o.Conflict != m.Node:
			d.conflicted(t, m, o, byID)
		case o.Status == api.Adjusted && m.Op == api.OpCreate && !o.Conflict.IsZero() && o.Conflict != m.Node:
			merges = append(merges, union{m.Node, o.Conflict})
		case o.Status == api.Adjusted:
			d.acknowledge(t, m)
			d.syn.conflicts++
		case o.Status == api.Refused:
			d.refused(t, m, o)
		}
	}
	if err := d.applyState(t, &c.State); err != nil {
		d.log.Error("apply the server's answer", "err", err)
	}
	d.syn.flight = nil
	d.syn.acked = max(d.syn.acked, c.Seq)
	t.b.Delete(metaKey("flight"), nil)
	t.b.Set(metaKey("refused"), mustJSON(d.syn.refused), nil)
	t.b.Set(metaKey("conflicts"), mustJSON(d.syn.conflicts), nil)
	t.j = true
	err := t.commit()
	d.mu.Unlock()
	for _, u := range merges {
		if uerr := d.unite(d.ctx, u); err == nil {
			err = uerr
		}
	}
	return err
}

// acknowledge notes that the server has a mutation; locked.
func (d *Drive) acknowledge(t *tx, m *api.Mutation) {
	if m.Version != nil {
		d.rebase(t, m.Node, m.Base, m.Version.ID)
	}
	n, err := d.load(m.Node)
	if err != nil || n == nil || n.dead {
		return
	}
	n.flags |= flagAcked
	if m.Version != nil {
		n.version, n.sha = m.Version.ID, m.Version.SHA256
		if n.hot == nil && n.slot == 0 {
			n.size = m.Version.Size
		}
	}
	t.node(n)
	if h := n.hot; h != nil && m.Version != nil && h.sent != nil && h.sent.version.ID == m.Version.ID {
		d.judge(t, n)
	}
	d.letGo(n)
}

// rebase tells pending mutations that what they are based on has become a
// version of the server's; locked. Without it the server would take this device's own
// edit for somebody else's.
func (d *Drive) rebase(t *tx, id, from, to api.ID) {
	for _, e := range d.journal.byNode[id] {
		about := e.m.Node
		if e.m.Op == api.OpRename {
			about = e.m.Replaces
		}
		if about == id && !e.sent && e.m.Base == from && e.m.Op != api.OpCreate {
			e.m.Base = to
			t.relog(e)
		}
	}
}

// conflicted moves content that lost against another device's to the
// conflict copy which the server made of it; locked. Whoever has the file
// open goes on with the copy; the name shows the winner.
func (d *Drive) conflicted(t *tx, m *api.Mutation, o api.Outcome, byID map[api.ID]*api.Node) {
	d.syn.conflicts++
	n, err := d.load(m.Node)
	if err != nil || n == nil || n.dead {
		return
	}
	var pending bool
	if h := n.hot; h != nil && h.entry != nil { // written again since: that goes to the copy too
		t.drop(h.entry)
		h.entry, pending = nil, true
	}
	winner := d.adopt(n.id, n.record)
	winner.up, winner.name, winner.slot, winner.size, winner.version = n.up, n.name, 0, 0, api.ID{}
	delete(d.syn.hots, n.id)
	n.id, n.ino = o.Conflict, o.Conflict.Hash64()
	d.byID[n.id] = n
	if n.hot != nil {
		d.syn.hots[n.id] = n
	}
	n.version, n.sha, n.name = m.Version.ID, m.Version.SHA256, o.Name
	n.nlink, n.flags = 1, n.flags|flagAcked
	if n.c != nil {
		n.c.rec.node = n.id
		t.slot(n.c)
	}
	if a := byID[m.Node]; a != nil {
		winner.record = fromNode(a)
	}
	t.node(n, winner)
	if p := d.byID[winner.up]; p != nil {
		d.notes.entry(p, string(winner.name))
	}
	if pending {
		d.logWrite(t, n)
	} else if n.hot != nil {
		d.judge(t, n)
	}
	d.letGo(winner)
}

// refused undoes what the server will never take; locked. The State that came with the answer shows
// what is true. Content that would be lost goes to Recovered/.
func (d *Drive) refused(t *tx, m *api.Mutation, o api.Outcome) {
	d.syn.refused++
	if m.Op != api.OpCreate && m.Op != api.OpWrite {
		return
	}
	n, err := d.load(m.Node)
	if err != nil || n == nil || n.dead {
		return
	}
	if n.isFile() && n.slot != 0 && n.size > 0 {
		if err := d.salvage(n, string(m.Name)); err != nil {
			d.log.Error("keep refused content", "name", m.Name, "err", err)
			return
		}
	}
	d.log.Warn("refused by the server; its content is in the cache's Recovered folder", "name", m.Name, "why", o.Message)
	if m.Op == api.OpCreate {
		d.perish(t, n)
		return
	}
	// The winner's record comes with the State; the content here is no version of it.
	d.cool(t, n)
	d.shed(t, n)
	n.version = api.ID{}
	t.node(n)
}

// A union is a directory made here that another device had made too: from
// becomes part of into.
type union struct{ from, into api.ID }

// unite moves what is in one directory to the other.
func (d *Drive) unite(ctx context.Context, u union) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, err := d.load(u.from)
	if err != nil || from == nil {
		return err
	}
	into, err := d.load(u.into)
	if err != nil || into == nil {
		return err
	}
	il, err := d.dir(into, ctx.Done())
	if err != nil {
		return err
	}
	fl, err := d.dir(from, ctx.Done())
	if err != nil {
		return err
	}
	t := d.begin()
	for name, k := range fl.byName {
		n, err := d.load(k.id)
		if err != nil {
			return err
		}
		if n != nil && il.byName[name] == nil {
			t.link(into, il, name, n)
			if n.isDir() {
				into.nlink++
			}
		}
		t.b.Delete(entryKey(from.id, name), nil)
	}
	for _, e := range append([]*entry(nil), d.journal.order...) {
		if e.gone || e.sent || e.m.Parent != from.id && e.m.ToParent != from.id {
			continue
		}
		m := e.m
		d.journal.remove(e)
		if m.Parent == from.id {
			m.Parent = into.id
		}
		if m.ToParent == from.id {
			m.ToParent = into.id
		}
		d.journal.restore(e, m)
		t.relog(e)
	}
	from.dead, from.list = true, nil
	t.node(from, into)
	d.notes.inode(into, true)
	d.letGo(from)
	return t.commit()
}
