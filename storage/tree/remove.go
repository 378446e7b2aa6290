package tree

import "satchel/api"

func (s *Set) unlink(m api.Mutation, o *api.Outcome) error {
	key := s.entry(m.Parent, m.Name, m.Node)
	if s.gone(key, m.Node, o) {
		return nil
	}
	n := s.node(m.Node)
	if n.Type == api.Directory {
		return api.Errorf(api.IsDirectory, "%q is a directory", string(key.Name))
	}
	if n.Type == api.File && !m.Base.IsZero() && m.Base != n.Version {
		o.Status = api.Dropped // edit beats delete
		return nil
	}
	s.detach(key, m.Time)
	if gone := s.node(m.Node); !gone.Live() {
		if heir := s.node(m.Heir); heir != nil && m.Heir != m.Node && heir.Live() && heir.Type == api.File && n.Type == api.File {
			s.inherit(m.Heir, m.Node, m.Time)
		} else {
			s.bury(m.Node, key, m.Time)
		}
	}
	s.record(Change{Op: m.Op, Node: m.Node, From: key, Time: m.Time})
	return nil
}

func (s *Set) rmdir(m api.Mutation, o *api.Outcome) error {
	if s.resolve(m.Node) != m.Node {
		o.Status = api.Dropped // what it merged with is another device's
		return nil
	}
	key := s.entry(m.Parent, m.Name, m.Node)
	if s.gone(key, m.Node, o) {
		return nil
	}
	n := s.node(m.Node)
	if n.Type != api.Directory {
		return api.Errorf(api.NotDirectory, "%q is not a directory", string(key.Name))
	}
	if !n.empty() {
		o.Status = api.Dropped
		return nil
	}
	s.detach(key, m.Time)
	s.bury(m.Node, key, m.Time)
	s.record(Change{Op: m.Op, Node: m.Node, From: key, Time: m.Time})
	return nil
}

// gone tells that there is nothing to remove: the entry leads elsewhere, or
// the node has another place by now (dropped), or it is deleted already.
func (s *Set) gone(k Key, id api.ID, o *api.Outcome) bool {
	holder := s.at(k)
	if holder == id {
		return false
	}
	if n := s.node(id); !holder.IsZero() || n != nil && n.Live() {
		o.Status = api.Dropped
	}
	return true
}

// empty tells whether a live directory has no entries; all else is empty.
func (n *Inode) empty() bool {
	return n.Type != api.Directory || n.Dir.Files == 0 && n.Nlink == 2
}

// resolve is the directory that a merged one became, or the id itself.
func (s *Set) resolve(id api.ID) api.ID {
	for {
		to, ok := s.merged[id]
		if !ok {
			return id
		}
		id, s.adjusted = to, true
	}
}

// entry is the place of the entry that a mutation names: in the directory
// that its parent merged with, or under the conflict name that it got.
func (s *Set) entry(parent api.ID, name api.Name, id api.ID) Key {
	k := Key{s.resolve(parent), name}
	if s.at(k) == id {
		return k
	}
	if got, ok := s.placed[Entry{k, id}]; ok && s.at(got) == id {
		s.adjusted = true
		return got
	}
	return k
}

// dir is the live directory that a mutation means by an id. One that was
// deleted meanwhile comes back, with what is above it: an edit beats a delete.
// The error is of kind [api.NotFound] or [api.NotDirectory].
func (s *Set) dir(id api.ID, time int64) (api.ID, error) {
	id = s.resolve(id)
	n := s.node(id)
	switch {
	case n == nil || !n.Live() && n.Trash == (Trash{}):
		return api.ID{}, api.Errorf(api.NotFound, "the directory is gone")
	case n.Type != api.Directory:
		return api.ID{}, api.Errorf(api.NotDirectory, "the parent is not a directory")
	case n.Live():
		return id, nil
	}
	if _, err := s.restore(id, time); err != nil {
		return api.ID{}, err
	}
	return s.resolve(id), nil
}

// restore brings a node back from the trash to where it was. If a directory
// has its name by now a directory merges with it, and if something else has, the
// node gets a conflict name. So does a directory where one of the two shows another by a
// bind, unless a device does it that may not know of the bind (Env.Bare). The result is its entry.
func (s *Set) restore(id api.ID, time int64) (Key, error) {
	n := s.node(id)
	parent, err := s.home(n.Trash.Parent, time)
	if err != nil {
		return Key{}, err
	}
	s.adjusted = true
	key := Key{parent, n.Trash.Name}
	if holder := s.node(s.at(key)); holder != nil {
		apart := s.env.Bare && (n.Bound || holder.Bound)
		if n.Type == api.Directory && holder.Type == api.Directory && !apart {
			s.merged[id] = holder.ID
			return key, nil
		}
		key = s.vacant(key, n.Type, time)
	}
	s.attach(key, id, time)
	s.record(Change{Op: api.OpCreate, Node: id, From: key, Time: time})
	return key, nil
}

// home is the directory that something comes back into, that was in another one: the same, if it can be seen there. If that is gone for
// good, or a bind shows another in it, it is the root; a device's edit, whose author may not know of that, has no other place.
func (s *Set) home(was api.ID, time int64) (api.ID, error) {
	id, err := s.dir(was, time)
	dir := s.node(id) // nil with an error
	if s.env.Bare && s.err == nil && (api.KindOf(err) == api.NotFound || dir != nil && dir.Bound) {
		return s.dir(s.drive.Root, time)
	}
	return id, err
}
