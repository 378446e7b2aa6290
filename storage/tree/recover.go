package tree

import "satchel/api"

// Recover brings nodes back from the trash, the first of them to where it was
// and the others into the directories that came back before them: a directory
// stands before what was in it. What was in a directory that is gone for good,
// or in which a bind shows another one, comes back in the root. The result is where the first one is now. Nodes that
// are not in the trash are left as they are; if the first is not there the
// error is [api.NotFound].
func (s *Set) Recover(ids []api.ID, time int64) (Key, error) {
	s.load(Want{Nodes: ids})
	var first Key
	for i, id := range ids {
		n := s.node(id)
		switch {
		case s.err != nil:
			return Key{}, s.err
		case n == nil || n.Live() || n.Trash == (Trash{}):
			if i == 0 {
				return Key{}, api.Errorf(api.NotFound, "there is no such thing in the trash")
			}
			continue
		}
		if n.Type == api.File {
			if err := s.room(n.Size); err != nil {
				return Key{}, err
			}
		}
		if parent := s.node(n.Trash.Parent); parent == nil || parent.Bound {
			s.edit(id).Trash.Parent = s.drive.Root
		}
		key, err := s.restore(id, time)
		if err != nil {
			return Key{}, err
		}
		if i == 0 {
			first = key
		}
	}
	return first, s.err
}

// Revert gives a file content that it had before; one that is in the trash
// comes back. Nothing happens when it has that content.
func (s *Set) Revert(id api.ID, v Version, time int64) error {
	n := s.node(id)
	if n == nil || !n.Live() && n.Trash == (Trash{}) {
		return api.Errorf(api.NotFound, "the file is gone")
	}
	if !n.Live() {
		if _, err := s.Recover([]api.ID{id}, time); err != nil {
			return err
		}
	}
	if n = s.node(id); n.Version == v.ID {
		return s.err
	}
	if err := s.room(v.Size - n.Size); err != nil {
		return err
	}
	f := s.edit(id)
	s.setContent(f, v.Version)
	f.Mtime, f.Ctime = time, time
	s.record(Change{Op: api.OpWrite, Node: id, From: s.links[id][0], Time: time})
	return s.err
}

// setContent makes a version that is kept already a file's content and counts
// it. The file must have been made ready to be changed.
func (s *Set) setContent(f *Inode, v api.Version) {
	grown := v.Size - f.Size
	f.Size, f.Version, f.SHA256 = v.Size, v.ID, v.SHA256
	if !f.Live() {
		return
	}
	s.drive.Bytes += grown
	for _, k := range s.links[f.ID] {
		s.node(k.Parent)
		s.edit(k.Parent).Dir.Bytes += grown
	}
}
