package tree

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"satchel/api"
)

// Past is how a part of a drive was, and shall be again. Of files it speaks as
// documents: a node of it is the one that has the document now.
type Past struct {
	// Entries are all places that changed since: zero where nothing was.
	Entries map[Key]api.ID
	// Nodes are the nodes that Entries leads to, and those that changed since
	// and are somewhere else. A node that is not in the drive any more is made
	// again.
	Nodes map[api.ID]PastNode
}

// PastNode is how a node was. Of directories the times are not known.
type PastNode struct {
	Type     api.Type
	Mode     uint32
	UID, GID int64
	Mtime    int64
	Xattrs   map[string][]byte
	Document api.ID       // of a file that has to be made again
	Content  *api.Version // of a file; nil when it is not kept any more: what it has now stays
}

// Rewind makes the drive what it was: entries, content and attributes. What is
// replaced goes into the history, and what was not there goes into the trash.
// Every change is recorded, so devices hear of it as of any other.
func (s *Set) Rewind(p Past, time int64) error {
	keys := slices.SortedFunc(maps.Keys(p.Entries), compareKeys)
	ids := slices.SortedFunc(maps.Keys(p.Nodes), func(a, b api.ID) int { return bytes.Compare(a[:], b[:]) })
	parents := make([]api.ID, 0, len(keys))
	for _, k := range keys {
		parents = append(parents, k.Parent)
	}
	s.load(Want{Nodes: unique(append(slices.Clone(ids), parents...)), Entries: keys})
	before := s.drive.Bytes

	var left []Entry // what led elsewhere, or shall lead nowhere
	for _, k := range keys {
		if id := s.at(k); !id.IsZero() && id != p.Entries[k] {
			s.detach(k, time)
			left = append(left, Entry{k, id})
		}
	}
	s.revive(ids, p, time)
	for _, k := range keys {
		id := p.Entries[k]
		if id.IsZero() || s.at(k) == id {
			continue
		}
		if dir := s.node(k.Parent); s.err == nil && (dir == nil || !dir.Live()) {
			return fmt.Errorf("the past has an entry in the directory %s, but not that directory", k.Parent)
		}
		s.attach(k, id, time)
		s.record(Change{Op: api.OpCreate, Node: id, From: k, Time: time})
	}
	if err := s.buryLeft(left, time); err != nil {
		return err
	}
	for _, id := range ids {
		s.become(id, p.Nodes[id], time)
	}
	if s.err == nil && s.drive.Quota > 0 && s.drive.Bytes > max(before, s.drive.Quota) {
		return api.Errorf(api.Quota, "the drive had %d bytes then, and the quota is %d", s.drive.Bytes, s.drive.Quota)
	}
	return s.err
}

// revive makes the nodes ready to get entries: missing ones are made, and dead
// directories are empty ones again.
func (s *Set) revive(ids []api.ID, p Past, time int64) {
	wanted := map[api.ID]bool{}
	for _, id := range p.Entries {
		wanted[id] = true
	}
	for _, id := range ids {
		was := p.Nodes[id]
		n := s.node(id)
		if s.err != nil || !wanted[id] {
			continue
		}
		if n == nil {
			made := Inode{Node: api.Node{ID: id, Type: was.Type, Mtime: time, Btime: time}}
			if was.Type == api.File {
				made.Document, made.Created = was.Document, was.Mtime
			}
			s.insert(made)
			n = s.node(id)
		}
		if n.Type == api.Directory && !n.Live() {
			n = s.edit(id)
			n.Nlink, n.Dir = 2, Dir{}
		}
	}
}

// buryLeft puts into the trash what has no entry any more: what is in a directory before it, so that they count as deleted together.
func (s *Set) buryLeft(left []Entry, time int64) error {
	in := make(map[api.ID]api.ID, len(left))
	for _, e := range left {
		in[e.Node] = e.Key.Parent
	}
	depths := make(map[api.ID]int, len(in))
	var depth func(dir api.ID) int
	depth = func(dir api.ID) int {
		n, known := depths[dir]
		if up, ok := in[dir]; ok && !known {
			n = 1 + depth(up)
			depths[dir] = n
		}
		return n
	}
	slices.SortStableFunc(left, func(a, b Entry) int { return cmp.Compare(depth(b.Parent), depth(a.Parent)) })
	last := make(map[api.ID]int, len(left))
	for i, e := range left {
		last[e.Node] = i
	}
	for i, e := range left {
		n := s.node(e.Node)
		if len(s.links[e.Node]) == 0 && last[e.Node] == i {
			if !n.empty() {
				return fmt.Errorf("the directory %s would be lost with what is in it", e.Node)
			}
			s.bury(e.Node, e.Key, time)
		}
		op := api.OpUnlink
		if n.Type == api.Directory {
			op = api.OpRmdir
		}
		s.record(Change{Op: op, Node: e.Node, From: e.Key, Time: time})
	}
	return s.err
}

// become gives a live node the content and the attributes that it had.
func (s *Set) become(id api.ID, was PastNode, time int64) {
	n := s.node(id)
	if s.err != nil || n == nil || !n.Live() {
		return
	}
	if v := was.Content; v != nil && v.ID != n.Version {
		f := s.edit(id)
		s.setContent(f, *v)
		f.Ctime = time
		s.record(Change{Op: api.OpWrite, Node: id, From: s.links[id][0], Time: time})
		n = f
	}
	sameTime := n.Type == api.Directory || n.Mtime == was.Mtime
	if n.Mode == was.Mode && n.UID == was.UID && n.GID == was.GID && sameTime && maps.EqualFunc(n.Xattrs, was.Xattrs, bytes.Equal) {
		return
	}
	n = s.edit(id)
	n.Mode, n.UID, n.GID, n.Xattrs, n.Ctime = was.Mode, was.UID, was.GID, was.Xattrs, time
	if n.Type != api.Directory {
		n.Mtime = was.Mtime
	}
	s.record(Change{Op: api.OpSetattr, Node: id, Time: time})
}

// Seq is the number of the last change, those of the set included.
func (s *Set) Seq() int64 { return s.drive.Seq }
