package tree

import (
	"bytes"
	"maps"

	"satchel/api"
)

// Modes of nodes that were created without one.
const (
	fileMode = 0o644
	dirMode  = 0o755
)

func (s *Set) create(m api.Mutation, o *api.Outcome) error {
	n := made(m)
	if is := s.node(m.Node); is != nil {
		return s.recreate(is, &n, m, o)
	}
	if s.resolve(m.Node) != m.Node { // what follows means that one by it
		return api.Errorf(api.Exists, "the directory %s merged with another one", m.Node)
	}
	if v := m.Version; v != nil {
		if err := s.room(v.Size); err != nil {
			return err
		}
		n.Size, n.Version, n.SHA256 = v.Size, v.ID, v.SHA256
		n.Document, n.Created = n.ID, m.Time
	}
	parent, err := s.dir(m.Parent, m.Time)
	if err != nil {
		return err
	}

	key := Key{parent, m.Name}
	if holder := s.node(s.at(key)); holder != nil {
		if n.Type == api.Directory && holder.Type == api.Directory {
			s.merged[n.ID] = holder.ID
			*o = api.Outcome{Status: api.Adjusted, Conflict: holder.ID, Name: key.Name}
			return nil
		}
		key = s.aside(key, &n, m.Time, o)
	}
	s.insert(n)
	s.nodes[n.ID].made = true
	s.attach(key, n.ID, m.Time)
	if n.Type == api.File {
		if o.Status == api.Applied {
			s.continueDeleted(key, n.ID, m.Time)
		}
		s.keep(*m.Version, s.edit(n.ID), m.Time)
	}
	s.record(Change{Op: m.Op, Node: n.ID, From: key, Time: m.Time})
	return nil
}

// made is a node as a mutation creates it, without content.
func made(m api.Mutation) Inode {
	n := Inode{Node: api.Node{
		ID: m.Node, Type: m.Attr.Type, Mode: fileMode, UID: api.Self, GID: api.Self,
		Mtime: m.Time, Btime: m.Time, Rdev: m.Attr.Rdev, Target: m.Attr.Target, Size: int64(len(m.Attr.Target)),
	}}
	if n.Type == api.Directory {
		n.Mode = dirMode
	}
	n.set(m.Attr)
	return n
}

// recreate is the creation of a node that is there. It was sent again, or several devices give a restored server what it
// lacks. Who has other content than what is there is refused, for that is in no version of the server's.
func (s *Set) recreate(is, n *Inode, m api.Mutation, o *api.Outcome) error {
	if !is.Live() || is.Type != n.Type || s.at(s.entry(m.Parent, m.Name, m.Node)) != m.Node {
		return api.Errorf(api.Exists, "the node %s exists already", m.Node)
	}
	if v := m.Version; v != nil && s.version(v.ID) == nil {
		if !same(is, v) {
			return api.Errorf(api.Exists, "the file %s exists already, with other content", m.Node)
		}
		m.Op = api.OpWrite
		return s.write(m, o) // so that its author's version is known here
	}
	if m.Version != nil && is.Version != m.Version.ID || is.Mode != n.Mode || is.UID != n.UID || is.GID != n.GID ||
		is.Type == api.File && m.Attr.Mtime != nil && is.Mtime != n.Mtime || is.Target != n.Target || !maps.EqualFunc(is.Xattrs, n.Xattrs, bytes.Equal) {
		s.adjusted = true // it was changed since, of which its author may not know
	}
	return nil
}

// continueDeleted lets a new file take over the document of the one that the
// same device has just deleted under that name.
func (s *Set) continueDeleted(k Key, heir api.ID, time int64) {
	var last *Inode
	for _, id := range s.deleted[k] {
		n := s.node(id)
		if n == nil || n.Trash.Key != k || n.Trash.Device != s.env.Device || n.Document.IsZero() {
			continue
		}
		if age := time - n.Trash.Time; age < 0 || age > int64(takeover) {
			continue
		}
		if last == nil || n.Trash.Seq > last.Trash.Seq {
			last = n
		}
	}
	if last != nil {
		s.inherit(heir, last.ID, time)
	}
}

// inherit moves a document from one file to another. If the first still has
// names it gets a fresh one; otherwise it leaves the trash, since the document lives.
func (s *Set) inherit(heir, from api.ID, time int64) {
	to, old := s.edit(heir), s.edit(from)
	s.adopt(to.Document, old.Document)
	to.Document, to.Created = old.Document, old.Created
	if old.Live() {
		old.Document, old.Created = s.env.NewID(), time
	} else {
		old.Document, old.Created, old.Trash = api.ID{}, 0, Trash{}
	}
}

// adopt makes the history of a document that ends a part of the one that its
// file takes over.
func (s *Set) adopt(from, to api.ID) {
	if from.IsZero() || from == to {
		return
	}
	for _, v := range s.written {
		if v.Document == from {
			v.Document = to
		}
	}
	for i := range s.adopted {
		if s.adopted[i].To == from {
			s.adopted[i].To = to
		}
	}
	s.adopted = append(s.adopted, Adoption{from, to})
}

// keep remembers a version of a file's document.
func (s *Set) keep(v api.Version, n *Inode, time int64) {
	if s.versions[v.ID] != nil {
		return
	}
	row := &Version{Version: v, Node: n.ID, Document: n.Document, Time: time}
	s.versions[v.ID] = row
	s.written = append(s.written, row)
	s.drive.Stored += v.Size
}

func (s *Set) link(m api.Mutation, o *api.Outcome) error {
	n := s.node(m.Node)
	switch {
	case n == nil || !n.Live() && n.Trash == (Trash{}):
		return api.Errorf(api.NotFound, "the file to be linked is gone")
	case n.Type == api.Directory:
		return api.Errorf(api.IsDirectory, "a directory can't have a second name")
	}
	if !n.Live() {
		if err := s.room(n.Size); err != nil {
			return err
		}
	}
	parent, err := s.dir(m.Parent, m.Time)
	if err != nil {
		return err
	}
	key := Key{parent, m.Name}
	switch holder := s.at(key); {
	case holder == m.Node:
		return nil // sent again
	case !holder.IsZero():
		key = s.aside(key, n, m.Time, o)
	}
	if !n.Live() {
		s.adjusted = true // another device deleted it, so it has one name less than its author thinks
		s.touched.Entries = append(s.touched.Entries, n.Trash.Key)
	}
	s.attach(key, m.Node, m.Time)
	s.record(Change{Op: m.Op, Node: m.Node, From: key, Time: m.Time})
	return nil
}

func (s *Set) setattr(m api.Mutation, o *api.Outcome) error {
	id := s.resolve(m.Node)
	if copied := s.node(s.diverted[id]); copied != nil && copied.Live() {
		id = copied.ID // they were given to what became a conflict copy
	}
	n := s.node(id)
	if n == nil {
		return api.Errorf(api.NotFound, "the node is gone")
	}
	if !n.Live() {
		o.Status = api.Dropped
		return nil
	}
	if len(m.Attr.Xattrs) > 0 {
		total := 0
		for k, v := range merged(n.Xattrs, m.Attr.Xattrs) {
			total += len(k) + len(v)
		}
		if total > maxXattrs {
			return api.Errorf(api.TooLarge, "the node's extended attributes would have more than %d bytes", maxXattrs)
		}
	}
	n = s.edit(id)
	n.set(m.Attr)
	n.Ctime = m.Time
	s.record(Change{Op: m.Op, Node: id, Time: m.Time})
	return nil
}
