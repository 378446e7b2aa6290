package tree

import "satchel/api"

func (s *Set) rename(m api.Mutation, o *api.Outcome) error {
	id := s.resolve(m.Node)
	n := s.node(id)
	if n == nil {
		return api.Errorf(api.NotFound, "what was renamed is gone")
	}
	src := s.entry(m.Parent, m.Name, id)
	dst := Key{s.resolve(m.ToParent), m.ToName}
	if s.at(src) != id {
		if s.at(dst) == id {
			return nil // sent again
		}
		return api.Errorf(api.NotFound, "%q is gone, or was moved by another device", string(m.Name))
	}
	switch dir := s.node(dst.Parent); {
	case dir == nil || !dir.Live():
		return api.Errorf(api.NotFound, "the directory that %q was moved to is gone", string(m.Name))
	case dir.Type != api.Directory:
		return api.Errorf(api.NotDirectory, "%q was moved to what is not a directory", string(m.Name))
	case n.Type == api.Directory && s.within(dst.Parent, id):
		return api.Errorf(api.Invalid, "the directory %q can't move into itself", string(m.Name))
	}
	target := s.node(s.at(dst))
	switch {
	case target == nil:
	case src == dst:
		return nil
	case target.ID == id:
		// Another device made the target a link to the same file. Where rename(2) finds that it
		// leaves both; but here the name was seen to go.
		s.detach(src, m.Time)
		s.record(Change{Op: m.Op, Node: id, From: src, To: dst, Time: m.Time})
		s.adjusted = true // it has one name less than its author thinks
		return nil
	case target.ID != m.Replaces:
		dst, target = s.aside(dst, n, m.Time, o), nil // it is another device's, which was first
	case n.Type == api.Directory && target.Type != api.Directory:
		return api.Errorf(api.NotDirectory, "%q is not a directory", string(m.ToName))
	case n.Type != api.Directory && target.Type == api.Directory:
		return api.Errorf(api.IsDirectory, "%q is a directory", string(m.ToName))
	case !target.empty():
		dst, target = s.aside(dst, n, m.Time, o), nil
	}

	if target != nil {
		if target.Type == api.File && target.Nlink == 1 && !m.Base.IsZero() && target.Version != m.Base {
			s.rescue(target, dst, m, o)
		}
		s.detach(dst, m.Time)
	}
	s.detach(src, m.Time)
	s.attach(dst, id, m.Time)
	s.succeed(id, target, dst, m, o)
	s.record(Change{Op: m.Op, Node: id, From: src, To: dst, Other: m.Replaces, Time: m.Time})
	return nil
}

// succeed settles what becomes of the node that a rename replaced (nil: none)
// and of its document.
func (s *Set) succeed(id api.ID, target *Inode, dst Key, m api.Mutation, o *api.Outcome) {
	n := s.node(id)
	if target == nil {
		// What the device replaced was deleted by another: the edit beats the
		// delete, and the document goes on.
		old := s.node(m.Replaces)
		if old != nil && old.Type == api.File && n.Type == api.File && old.Trash.Key == dst && o.Status == api.Applied {
			s.inherit(id, old.ID, m.Time)
		}
		return
	}
	target = s.node(target.ID)
	switch {
	case n.Type == api.File && target.Type == api.File:
		s.inherit(id, target.ID, m.Time)
	case target.Type == api.Directory || !target.Live():
		s.bury(target.ID, dst, m.Time)
	}
}

// rescue keeps content that the device did not know when it replaced the file.
func (s *Set) rescue(target *Inode, at Key, m api.Mutation, o *api.Outcome) {
	id := s.copyID(m.Conflict)
	key := s.vacant(at, api.File, m.Time)
	n := Inode{Node: target.Node, Created: m.Time}
	n.ID, n.Document = id, id
	s.insert(n)
	s.attach(key, id, m.Time)
	s.record(Change{Op: api.OpCreate, Node: id, From: key, Time: m.Time})
	*o = api.Outcome{Status: api.Adjusted, Conflict: id, Name: key.Name}
}

// within tells whether dir is the directory top or below it.
func (s *Set) within(dir, top api.ID) bool {
	for id := dir; !id.IsZero(); {
		if id == top {
			return true
		}
		if s.nodes[id] == nil {
			s.load(Want{Ancestors: []api.ID{id}})
		}
		n := s.node(id)
		if n == nil {
			return false
		}
		id = n.Dir.Parent
	}
	return false
}

func (s *Set) exchange(m api.Mutation) error {
	one, two := s.resolve(m.Node), s.resolve(m.Replaces)
	from, to := s.entry(m.Parent, m.Name, one), s.entry(m.ToParent, m.ToName, two)
	switch {
	case s.at(from) == two && s.at(to) == one && one != two:
		return nil // sent again
	case s.at(from) != one || s.at(to) != two:
		return api.Errorf(api.NotFound, "%q or %q is gone, or was moved by another device", string(m.Name), string(m.ToName))
	case from == to || one == two:
		return nil
	case s.within(to.Parent, one), s.within(from.Parent, two):
		return api.Errorf(api.Invalid, "a directory can't move into itself")
	}
	s.detach(from, m.Time)
	s.detach(to, m.Time)
	s.attach(from, two, m.Time)
	s.attach(to, one, m.Time)
	s.record(Change{Op: m.Op, Node: one, From: from, To: to, Other: two, Time: m.Time})
	return nil
}
