package cache

import "satchel/api"

// What waits for content may be nearly all of the journal, for hours. So it is known at all times which entries that are, and what else is to be
// sent is compared with those that it has to do with, not with all of them.

// awaits is to be called when h has another mutation than before, or other content that is ready for it.
func (j *journal) awaits(h *hot) {
	if h.entry != nil {
		j.setWaits(h.entry, h.ready == nil)
	}
}

// setWaits notes whether an entry waits for content. What stays on this machine is not sent, and waits for none.
func (j *journal) setWaits(e *entry, waits bool) {
	if e.waits == waits || e.stays {
		return
	}
	e.waits = waits
	switch {
	case e.gone:
	case waits:
		j.wait(e)
	default:
		j.unwait(e)
	}
}

// wait indexes a live entry that waits.
func (j *journal) wait(e *entry) {
	j.waits++
	if e.m.Op != api.OpCreate {
		return
	}
	in := j.waitsAt[e.m.Parent]
	if in == nil {
		in = map[api.Name]*entry{}
		j.waitsAt[e.m.Parent] = in
	}
	e.also, in[e.m.Name] = in[e.m.Name], e
}

// unwait takes it out of the index.
func (j *journal) unwait(e *entry) {
	j.waits--
	if e.m.Op != api.OpCreate {
		return
	}
	in := j.waitsAt[e.m.Parent]
	switch first := in[e.m.Name]; {
	case first != e:
		for first.also != e {
			first = first.also
		}
		first.also = e.also
	case e.also != nil:
		in[e.m.Name] = e.also
	default:
		if delete(in, e.m.Name); len(in) == 0 {
			delete(j.waitsAt, e.m.Parent)
		}
	}
	e.also = nil
}

// behindContent tells whether an entry shares a key (see waiting) with one before it that waits for content.
func (j *journal) behindContent(e *entry) bool {
	if j.waits == 0 {
		return false
	}
	m := &e.m
	for _, id := range [...]api.ID{m.Node, m.Replaces, m.Heir} {
		if id.IsZero() {
			continue
		}
		for _, x := range j.byNode[id] {
			if x.waits && x.seq < e.seq {
				return true
			}
		}
	}
	at, n := places(m)
	for _, p := range at[:n] {
		if before(j.waitsAt[p.parent][p.name], e) {
			return true
		}
	}
	switch {
	case m.Op == api.OpRmdir, timed(m):
		return j.waitsIn(m.Node, e)
	case m.Op == api.OpRename && !m.Replaces.IsZero():
		return j.waitsIn(m.Replaces, e)
	}
	return false
}

// waitsIn tells whether a creation in a directory waits that came before e.
func (j *journal) waitsIn(dir api.ID, e *entry) bool {
	for _, x := range j.waitsAt[dir] {
		if before(x, e) {
			return true
		}
	}
	return false
}

// before tells whether x, or one of those in the same place, came before e.
func before(x, e *entry) bool {
	for ; x != nil; x = x.also {
		if x.seq < e.seq {
			return true
		}
	}
	return false
}
