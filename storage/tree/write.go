package tree

import "satchel/api"

func (s *Set) write(m api.Mutation, o *api.Outcome) error {
	id := m.Node
	n := s.node(id)
	if n != nil && n.Type != api.File {
		return api.Errorf(api.Invalid, "only regular files have content")
	}
	if copied := s.node(s.diverted[id]); copied != nil && copied.Version == m.Base && copied.Live() {
		n, id = copied, copied.ID // the next edit of what became a conflict copy
		*o = api.Outcome{Status: api.Adjusted, Conflict: id, Name: s.links[id][0].Name}
	}
	if n != nil && n.Live() && n.Version == m.Version.ID {
		return nil // sent again
	}
	if v := s.version(m.Version.ID); v != nil {
		if copied := s.node(v.Node); copied != nil && copied.Live() && copied.Version == v.ID {
			*o = api.Outcome{Status: api.Adjusted, Conflict: v.Node, Name: s.links[v.Node][0].Name}
			return nil // sent again, and a conflict copy
		}
		if n != nil && n.Live() && n.Version != m.Base && (v.Node == id || v.Document == n.Document) {
			return nil // it had that before what it has now, of which the device has not heard
		}
	}
	current := n != nil && (n.Version == m.Base || same(n, m.Version))
	switch {
	case current && n.Live():
		if err := s.room(m.Version.Size - n.Size); err != nil {
			return err
		}
	case current && n.Trash != (Trash{}):
		if err := s.room(m.Version.Size); err != nil {
			return err
		}
		key, err := s.restore(id, m.Time)
		if err != nil {
			return err
		}
		*o = api.Outcome{Status: api.Adjusted, Conflict: id, Name: key.Name}
	default:
		return s.copyWritten(n, m, o)
	}

	f := s.edit(id)
	s.setContent(f, *m.Version)
	f.Mtime = m.Time
	f.set(m.Attr)
	f.Ctime = m.Time
	s.keep(*m.Version, f, m.Time)
	s.record(Change{Op: m.Op, Node: id, From: Key{m.Parent, m.Name}, Time: m.Time})
	return nil
}

// same tells that a file has the content already: two devices that write the same have no conflict.
func same(n *Inode, v *api.Version) bool {
	return n.Live() && n.Size == v.Size && n.SHA256 == v.SHA256
}

// copyWritten puts content whose base is old, or whose file is gone for good,
// into a new file beside the entry that was written through.
func (s *Set) copyWritten(n *Inode, m api.Mutation, o *api.Outcome) error {
	if err := s.room(m.Version.Size); err != nil {
		return err
	}
	parent, err := s.dir(m.Parent, m.Time)
	if api.KindOf(err) == api.NotFound && n != nil && len(s.links[n.ID]) > 0 {
		parent, err = s.links[n.ID][0].Parent, nil
	}
	if err != nil {
		return err
	}
	id := s.copyID(m.Conflict)
	c := Inode{Node: api.Node{ID: id, Type: api.File, Mode: fileMode, UID: api.Self, GID: api.Self}}
	if n != nil {
		c.Node = n.Node
	}
	c.ID, c.Document, c.Created = id, id, m.Time
	c.Size, c.Version, c.SHA256 = m.Version.Size, m.Version.ID, m.Version.SHA256
	c.Mtime, c.Btime = m.Time, m.Time
	c.set(m.Attr)

	key := Key{parent, m.Name}
	if n != nil && n.Live() || !s.at(key).IsZero() {
		key = s.vacant(key, api.File, m.Time)
	}
	s.insert(c)
	s.attach(key, id, m.Time)
	s.keep(*m.Version, s.edit(id), m.Time)
	s.diverted[m.Node] = id
	*o = api.Outcome{Status: api.Adjusted, Conflict: id, Name: key.Name}
	s.record(Change{Op: api.OpCreate, Node: id, From: key, Time: m.Time})
	return nil
}

// copyID is the id that a device chose for a conflict copy, or a new one.
func (s *Set) copyID(chosen api.ID) api.ID {
	if _, merged := s.merged[chosen]; merged || chosen.IsZero() || s.node(chosen) != nil {
		chosen = s.env.NewID()
	}
	s.node(chosen) // known to be absent
	return chosen
}
