package tree

import "satchel/api"

// Recover brings nodes back from the trash, the first of them to where it was
// and the others into the directories that came back before them: a directory
// stands before what was in it. The result is where the first one is now, the zero
// Key if it was not in the trash: such nodes are left as they are.
func (s *Set) Recover(ids []api.ID, time int64) (first Key, err error) {
	s.load(Want{Nodes: ids})
	var places Want
	for _, id := range ids {
		if n := s.node(id); n != nil && n.trashed() {
			places.Nodes = append(places.Nodes, n.Trash.Parent)
			places.Entries = append(places.Entries, n.Trash.Key)
		}
	}
	places.Nodes = unique(places.Nodes)
	s.load(places)
	for i, id := range ids {
		n := s.node(id)
		if s.err != nil {
			return Key{}, s.err
		}
		if n == nil || !n.trashed() {
			continue
		}
		if n.Type == api.File {
			if err := s.room(n.Size); err != nil {
				return Key{}, err
			}
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
	if n == nil || !n.Live() && !n.trashed() {
		return api.Errorf(api.NotFound, "the file is gone")
	}
	if n.trashed() {
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
