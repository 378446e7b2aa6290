package tree

import (
	"slices"

	"satchel/api"
)

// Set is the working set of one batch. It is not safe for concurrent use.
type Set struct {
	env    Env
	source Source
	drive  Drive
	err    error // the first error of source; what was computed after it is void

	nodes    map[api.ID]*inode
	entries  map[Key]*dentry
	links    map[api.ID][]Key // entries by node, complete for every loaded node
	deleted  map[Key][]api.ID // what this device deleted, by place
	sought   map[Key]bool     // places where what it deleted was looked for
	versions map[api.ID]*Version
	written  []*Version
	adopted  []Adoption
	changes  []Change
	rezoned  []api.ID

	// What conflict rules did to earlier mutations of the batch, whose author
	// did not know it when it made the later ones.
	merged   map[api.ID]api.ID // directory → the one that it merged with
	placed   map[Entry]Key     // asked-for entry → the one that it got
	diverted map[api.ID]api.ID // file → conflict copy of it

	// Of the mutation being applied.
	adjusted bool // a rule changed where it took effect
	touched  Touched

	report Touched // of all mutations that were not applied as asked
}

// inode is a node as loaded and as it is now.
type inode struct {
	before, now *Inode // nil: not there
	made        bool   // a creation of the batch made it
}

type dentry struct {
	before, now api.ID // zero: not there
}

// Touched names nodes and entries.
type Touched struct {
	Nodes   []api.ID `json:"nodes,omitempty"`
	Entries []Key    `json:"entries,omitempty"`
}

// NewSet makes an empty working set of a drive.
func NewSet(drive Drive, source Source, env Env) *Set {
	return &Set{
		env: env, source: source, drive: drive,
		nodes:    map[api.ID]*inode{},
		entries:  map[Key]*dentry{},
		links:    map[api.ID][]Key{},
		deleted:  map[Key][]api.ID{},
		sought:   map[Key]bool{},
		versions: map[api.ID]*Version{},
		merged:   map[api.ID]api.ID{},
		placed:   map[Entry]Key{},
		diverted: map[api.ID]api.ID{},
	}
}

// load adds what the set does not know yet. What it knows stays: a node whose
// entries changed here was loaded before they did, so rows of unknown nodes
// are never out of date.
func (s *Set) load(w Want) {
	if w = s.unknown(w); s.err != nil || w.nothing() {
		return
	}
	rows, err := s.source.Load(w)
	if err != nil {
		s.err = err
		return
	}
	fresh := make(map[api.ID]bool, len(rows.Nodes))
	for i := range rows.Nodes {
		n := &rows.Nodes[i]
		if s.nodes[n.ID] != nil {
			continue
		}
		fresh[n.ID] = true
		s.nodes[n.ID] = &inode{before: n, now: n}
		if n.Trash.Device == s.env.Device && !n.Trash.Parent.IsZero() {
			s.deleted[n.Trash.Key] = append(s.deleted[n.Trash.Key], n.ID)
		}
	}
	for _, e := range rows.Entries {
		if s.entries[e.Key] != nil {
			continue
		}
		s.entries[e.Key] = &dentry{before: e.Node, now: e.Node}
		if fresh[e.Node] {
			s.links[e.Node] = append(s.links[e.Node], e.Key)
		}
	}
	for i := range rows.Versions {
		if v := &rows.Versions[i]; s.versions[v.ID] == nil {
			s.versions[v.ID] = v
		}
	}
	// What was asked for and not found is known to be absent.
	for _, id := range w.Nodes {
		if s.nodes[id] == nil {
			s.nodes[id] = &inode{}
		}
	}
	for _, k := range w.Entries {
		if s.entries[k] == nil {
			s.entries[k] = &dentry{}
		}
	}
	for _, k := range w.Deleted {
		s.sought[k] = true
	}
	for _, id := range w.Versions {
		if _, known := s.versions[id]; !known {
			s.versions[id] = nil
		}
	}
}

// node is a node as it is now, for reading; nil when there is none.
func (s *Set) node(id api.ID) *Inode {
	if id.IsZero() {
		return nil
	}
	if s.nodes[id] == nil {
		s.load(Want{Nodes: []api.ID{id}})
		if s.err != nil {
			return nil
		}
	}
	return s.nodes[id].now
}

// at is the node that an entry leads to, zero when there is no such entry.
func (s *Set) at(k Key) api.ID {
	if s.entries[k] == nil {
		s.load(Want{Entries: []Key{k}})
		if s.err != nil {
			return api.ID{}
		}
	}
	return s.entries[k].now
}

// version is a version of the drive, nil when there is none with that id.
func (s *Set) version(id api.ID) *Version {
	if _, known := s.versions[id]; !known {
		s.load(Want{Versions: []api.ID{id}})
	}
	return s.versions[id]
}

// edit is a node to be changed, which must exist; the change will carry the
// next number of the drive's order.
func (s *Set) edit(id api.ID) *Inode {
	n := s.nodes[id]
	if n.now == n.before {
		c := *n.before
		n.now = &c
	}
	n.now.Rev = s.drive.Seq + 1
	s.touched.Nodes = append(s.touched.Nodes, id)
	return n.now
}

// insert adds a node without entries.
func (s *Set) insert(n Inode) {
	n.Rev = s.drive.Seq + 1
	n.Nlink = 0
	s.nodes[n.ID] = &inode{now: &n}
	s.touched.Nodes = append(s.touched.Nodes, n.ID)
}

// Made tells whether the author of the batch created a node with it, which is there still.
func (s *Set) Made(id api.ID) bool {
	n := s.nodes[id]
	return n != nil && n.made && n.now.Live()
}

// MadeAlone tells whether the author of the batch [Set.Made] a node that has not taken over the document of another file: with
// one that has, another's history would go.
func (s *Set) MadeAlone(id api.ID) bool {
	return s.Made(id) && (s.node(id).Document.IsZero() || s.node(id).Document == id)
}

// Place is an entry that leads to a loaded node, the zero Key when none does.
func (s *Set) Place(id api.ID) (k Key) {
	if all := s.links[id]; len(all) > 0 {
		k = all[0]
	}
	return k
}

// Places is all the entries that lead to a loaded node.
func (s *Set) Places(id api.ID) []Key { return s.links[id] }

// attach adds an entry to a live directory and counts it; time is the
// directory's new mtime and ctime and the node's new ctime.
func (s *Set) attach(k Key, id api.ID, time int64) {
	s.node(k.Parent)
	n, dir := s.edit(id), s.edit(k.Parent)
	s.point(k, id)
	s.links[id] = append(s.links[id], k)
	n.Ctime, n.Trash = time, Trash{}
	dir.Mtime, dir.Ctime = time, time
	if n.Type == api.Directory {
		s.rezone(n, dir.Dir.Zone)
		n.Dir.Parent = k.Parent
		n.Nlink = max(n.Nlink, 2)
		dir.Nlink++
		return
	}
	n.Nlink++
	dir.Dir.Files++
	if n.Type == api.File {
		dir.Dir.Bytes += n.Size
		if n.Nlink == 1 {
			s.drive.Files++
			s.drive.Bytes += n.Size
		}
	}
}

// rezone gives a directory the zone of the one that it comes into. One with
// grants of its own keeps its, which the database sees to: for what is new
// there is nothing to see to.
func (s *Set) rezone(n *Inode, zone api.ID) {
	if was := s.nodes[n.ID].before; was != nil && (was.Dir.Zone != zone || !was.Live()) {
		s.rezoned = append(s.rezoned, n.ID)
	}
	n.Dir.Zone = zone
}

// detach removes an entry. A file's last one leaves it with Nlink 0; what then
// becomes of it, and of a directory, the caller decides.
func (s *Set) detach(k Key, time int64) {
	id := s.at(k)
	s.node(id)
	s.node(k.Parent)
	n, dir := s.edit(id), s.edit(k.Parent)
	s.point(k, api.ID{})
	s.links[id] = slices.DeleteFunc(s.links[id], func(l Key) bool { return l == k })
	n.Ctime = time
	dir.Mtime, dir.Ctime = time, time
	if n.Type == api.Directory {
		dir.Nlink--
		return
	}
	n.Nlink--
	dir.Dir.Files--
	if n.Type == api.File {
		dir.Dir.Bytes -= n.Size
		if n.Nlink == 0 {
			s.drive.Files--
			s.drive.Bytes -= n.Size
		}
	}
}

// bury puts a node that has no entries left into the trash.
func (s *Set) bury(id api.ID, was Key, time int64) {
	n := s.edit(id)
	n.Nlink, n.Dir = 0, Dir{}
	n.Trash = Trash{Key: was, Seq: s.drive.Seq + 1, Time: time, Device: s.env.Device}
	s.deleted[was] = append(s.deleted[was], id)
}

func (s *Set) point(k Key, id api.ID) {
	s.at(k)
	s.entries[k].now = id
	s.touched.Entries = append(s.touched.Entries, k)
}

// record ends a change: it takes the next number of the drive's order.
func (s *Set) record(c Change) {
	s.drive.Seq++
	c.Seq = s.drive.Seq
	s.changes = append(s.changes, c)
}
