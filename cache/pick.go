package cache

import (
	"time"

	"satchel/api"
)

// pick chooses the mutations to send, in order, without those that wait for
// content and without those that must not overtake them; locked.
func (d *Drive) pick() *flight {
	f := &flight{}
	var w waiting
	versions := map[api.ID]api.ID{} // that the batch gives to files
	most := d.cfg.seam.maxBatch()
	if d.syn.most > 0 {
		most = min(most, d.syn.most)
	}
	d.syn.later = time.Time{}
	chunks := 0
	left := d.journal.unanswered() - d.journal.waits // those that may be ready
	for _, e := range d.journal.order {
		if left == 0 {
			break
		}
		if e.gone || e.stays || e.waits {
			continue
		}
		left--
		m := e.m // a copy: what is added is only for the wire
		size := d.chunksOf(e)
		if len(f.Entries) > 0 && chunks+size > batchChunks || w.behind(&e.m) || d.journal.behindContent(e) || d.putOff(e) || e.fails > 0 && len(f.Entries) > 0 || !d.fill(e, &m) {
			w.add(&e.m)
			continue
		}
		if v, ok := versions[based(&m)]; ok && m.Version == nil && !m.Base.IsZero() {
			m.Base = v // what it removes is what this device has just written
		}
		chunks += size
		if m.Version != nil {
			versions[m.Node] = m.Version.ID
		}
		f.Batch.Mutations = append(f.Batch.Mutations, m)
		f.Entries = append(f.Entries, e.seq)
		e.sent = true
		if f.retrial = e.fails > 0; f.retrial || len(f.Entries) == most {
			break
		}
	}
	if len(f.Entries) == 0 {
		return nil
	}
	return f
}

// batchChunks is how many chunks the versions of one batch name together, unless a single one has more: the server
// takes 32 MiB of JSON, and a chunk is 92 bytes of it.
const batchChunks = 200_000

// chunksOf is how many chunks the content has that a mutation carries when it is sent; locked.
func (d *Drive) chunksOf(e *entry) int {
	n := d.syn.hots[e.m.Node]
	if n == nil || n.hot.entry != e || n.hot.ready == nil {
		return 0
	}
	return len(n.hot.ready.version.Chunks)
}

// putOff tells whether a mutation must not be sent yet, and notes when it may; locked.
func (d *Drive) putOff(e *entry) bool {
	if e.after.IsZero() || !time.Now().Before(e.after) {
		return false
	}
	if d.syn.later.IsZero() || e.after.Before(d.syn.later) {
		d.syn.later = e.after
	}
	return true
}

// fill gives a mutation the content that it waits for; false when there is none yet. Locked.
func (d *Drive) fill(e *entry, m *api.Mutation) bool {
	if m.Op == api.OpRename {
		m.Attr = nil
	}
	isFile := m.Op == api.OpWrite || m.Op == api.OpCreate && m.Attr.Type == api.File
	if !isFile {
		return true
	}
	n := d.syn.hots[m.Node]
	if n == nil && m.Op == api.OpWrite {
		if an, err := d.load(m.Node); err != nil || an != nil && !an.dead {
			d.log.Error("a write has no content here, and is not sent", "node", m.Node, "err", err)
			return false
		}
	}
	if n == nil || n.hot.entry != e {
		// The node died before its content was sent. Its end follows in the journal.
		m.Version = nothing()
		return true
	}
	h := n.hot
	if h.ready == nil {
		return false
	}
	v := h.ready.version
	m.Version = &v
	a := api.Attr{}
	if m.Attr != nil {
		a = *m.Attr
	}
	mtime := h.ready.mtime
	a.Mtime = &mtime
	m.Attr = &a
	if m.Op == api.OpWrite {
		m.Base = n.version
		m.Conflict = api.NewID()
		at := d.placeOf(n) // a conflict copy is made beside it
		n.up, n.name = at.parent, at.name
		m.Parent, m.Name = n.up, n.name
	}
	h.sent, h.ready, h.entry = h.ready, nil, nil
	return true
}

// waiting is the keys of mutations that can't be sent yet, but for those that wait for content, of which there may be many: these the journal knows. What
// shares a key with them must not overtake.
type waiting struct {
	nodes   map[api.ID]bool
	places  map[place]bool
	made    map[api.ID]bool // directories whose making, removal or time waits: nothing may go on in them
	below   map[api.ID]bool // directories in which something waits: they can't be removed, and it moves the time that they are given after it
	dirMove bool            // a directory's move waits: others could close a cycle
}

func (w *waiting) behind(m *api.Mutation) bool {
	if w.nodes == nil {
		return false
	}
	for _, id := range [...]api.ID{m.Node, m.Replaces, m.Heir} {
		if !id.IsZero() && w.nodes[id] {
			return true
		}
	}
	if (m.Op == api.OpRmdir || timed(m)) && w.below[m.Node] || m.Op == api.OpRename && w.below[m.Replaces] && !m.Replaces.IsZero() {
		return true
	}
	at, n := places(m)
	for _, p := range at[:n] {
		if w.places[p] || w.made[p.parent] {
			return true
		}
	}
	return w.dirMove && movesDir(m)
}

func (w *waiting) add(m *api.Mutation) {
	if w.nodes == nil {
		*w = waiting{nodes: map[api.ID]bool{}, places: map[place]bool{}, made: map[api.ID]bool{}, below: map[api.ID]bool{}}
	}
	for _, id := range [...]api.ID{m.Node, m.Replaces, m.Heir} {
		if !id.IsZero() {
			w.nodes[id] = true
		}
	}
	at, n := places(m)
	for _, p := range at[:n] {
		w.places[p] = true
		w.below[p.parent] = true
	}
	switch {
	case m.Op == api.OpRmdir, timed(m), m.Op == api.OpCreate && m.Attr.Type == api.Directory:
		w.made[m.Node] = true
	case movesDir(m):
		w.dirMove = true
	}
}

// timed tells whether a mutation gives a node a time of its own.
func timed(m *api.Mutation) bool { return m.Op == api.OpSetattr && m.Attr.Mtime != nil }

// movesDir tells whether a mutation as journalled may move a directory.
func movesDir(m *api.Mutation) bool {
	return m.Op == api.OpRename && m.Attr != nil || m.Op == api.OpExchange
}
