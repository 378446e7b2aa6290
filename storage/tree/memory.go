package tree

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"satchel/api"
)

// Memory is a drive in memory that is as strict as the database: what it is told to write has to
// fit what it has, and all that is derived is computed anew after each batch. The tests of the
// rules use it, and the simulation of sync. It is not safe for concurrent use.
type Memory struct {
	drive    Drive
	nodes    map[api.ID]Inode
	entries  map[Key]api.ID
	versions map[api.ID]Version
	loads    int
	ids      uint64
}

// NewMemory is an empty drive.
func NewMemory(root api.ID) *Memory {
	return &Memory{
		drive:    Drive{ID: api.ID{1}, Owner: api.ID{2}, Root: root},
		nodes:    map[api.ID]Inode{root: {Node: api.Node{ID: root, Type: api.Directory, Mode: 0o755, Nlink: 2}}},
		entries:  map[Key]api.ID{},
		versions: map[api.ID]Version{},
	}
}

// Clone is the drive as it is now; what becomes of either does not concern the other.
func (d *Memory) Clone() *Memory {
	c := *d
	c.nodes, c.entries, c.versions = maps.Clone(d.nodes), maps.Clone(d.entries), maps.Clone(d.versions)
	return &c
}

// newID is the same in every run.
func (d *Memory) newID() api.ID {
	d.ids++
	id := api.ID{0: 0xee}
	binary.BigEndian.PutUint64(id[8:], d.ids)
	return id
}

// Load is part of [Source].
func (d *Memory) Load(w Want) (Rows, error) {
	d.loads++
	ids := map[api.ID]bool{}
	for _, id := range w.Nodes {
		ids[id] = true
	}
	for _, k := range w.Entries {
		ids[d.entries[k]] = true
	}
	for _, id := range w.Ancestors {
		for !id.IsZero() {
			ids[id] = true
			id = d.nodes[id].Dir.Parent
		}
	}
	for _, k := range w.Deleted {
		for id, n := range d.nodes {
			if n.Trash.Key == k {
				ids[id] = true
			}
		}
	}
	var rows Rows
	for id := range ids {
		if n, ok := d.nodes[id]; ok {
			rows.Nodes = append(rows.Nodes, n)
		}
	}
	for k, id := range d.entries {
		if ids[id] {
			rows.Entries = append(rows.Entries, Entry{k, id})
		}
	}
	for _, id := range w.Versions {
		if v, ok := d.versions[id]; ok {
			rows.Versions = append(rows.Versions, v)
		}
	}
	return rows, nil
}

// Drive is the drive's own row.
func (d *Memory) Drive() Drive { return d.drive }

// Renew gives the drive another epoch.
func (d *Memory) Renew(epoch api.ID) { d.drive.Epoch = epoch }

// Node is a node, live or deleted.
func (d *Memory) Node(id api.ID) (n Inode, ok bool) {
	n, ok = d.nodes[id]
	return n, ok
}

// Entry is the node that a name leads to, zero if it leads nowhere.
func (d *Memory) Entry(k Key) api.ID { return d.entries[k] }

// Entries is the entries of a directory by name.
func (d *Memory) Entries(dir api.ID) []Entry {
	var all []Entry
	for k, id := range d.entries {
		if k.Parent == dir {
			all = append(all, Entry{k, id})
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return compareKeys(a.Key, b.Key) })
	return all
}

// Version is a version with its chunks.
func (d *Memory) Version(id api.ID) (v Version, ok bool) {
	v, ok = d.versions[id]
	return v, ok
}

// Kept is the versions of the documents that live or are in the trash, the present ones and all before.
func (d *Memory) Kept() []Version {
	kept := map[api.ID]bool{}
	for _, n := range d.nodes {
		if n.Live() || n.Trash != (Trash{}) {
			kept[n.Document] = true
		}
	}
	var all []Version
	for _, v := range d.versions {
		if kept[v.Document] {
			all = append(all, v)
		}
	}
	return all
}

// Commit applies a batch as a device does and writes the difference. It fails, and changes
// nothing, when [Set.Apply] does; any other error is a fault of the rules.
func (d *Memory) Commit(env Env, batch ...api.Mutation) ([]api.Outcome, *Set, error) {
	if env.NewID == nil {
		env.NewID = d.newID
	}
	s := NewSet(d.drive, d, env)
	outcomes, err := s.Apply(batch)
	if err != nil {
		return nil, s, err
	}
	return outcomes, s, d.write(s.Diff())
}

func (d *Memory) write(diff Diff) error {
	for _, a := range diff.Adopted {
		for id, v := range d.versions {
			if v.Document == a.From {
				v.Document = a.To
				d.versions[id] = v
			}
		}
	}
	for _, v := range diff.Versions {
		if _, ok := d.versions[v.ID]; ok {
			return fmt.Errorf("version %s exists", v.ID)
		}
		d.versions[v.ID] = v
	}
	for _, n := range diff.NewNodes {
		if _, ok := d.nodes[n.ID]; ok {
			return fmt.Errorf("node %s exists", n.ID)
		}
		d.nodes[n.ID] = n
	}
	for _, n := range diff.Nodes {
		old, ok := d.nodes[n.ID]
		if !ok {
			return fmt.Errorf("node %s is missing", n.ID)
		}
		if n.Rev <= old.Rev || n.Rev > diff.Drive.Seq {
			return fmt.Errorf("node %s went from rev %d to %d, the drive is at %d", n.ID, old.Rev, n.Rev, diff.Drive.Seq)
		}
		d.nodes[n.ID] = n
	}
	for _, k := range diff.GoneEntries {
		if _, ok := d.entries[k]; !ok {
			return fmt.Errorf("entry %v is missing", k)
		}
		delete(d.entries, k)
	}
	for _, e := range diff.NewEntries {
		if _, ok := d.entries[e.Key]; ok {
			return fmt.Errorf("entry %v exists", e.Key)
		}
		d.entries[e.Key] = e.Node
	}
	for _, e := range diff.Entries {
		if _, ok := d.entries[e.Key]; !ok {
			return fmt.Errorf("entry %v is missing", e.Key)
		}
		d.entries[e.Key] = e.Node
	}
	for i, c := range diff.Changes {
		if want := d.drive.Seq + int64(i) + 1; c.Seq != want {
			return fmt.Errorf("change %d has the number %d", want, c.Seq)
		}
	}
	d.drive = diff.Drive
	return d.check()
}

// check recomputes all that is derived.
func (d *Memory) check() error {
	links := map[api.ID]uint32{}
	dirs := map[api.ID]Dir{}
	subdirs := map[api.ID]uint32{}
	for k, id := range d.entries {
		parent, ok := d.nodes[k.Parent]
		if !ok || parent.Type != api.Directory || !parent.Live() {
			return fmt.Errorf("entry %v is in no live directory", k)
		}
		n, ok := d.nodes[id]
		if !ok || !n.Live() {
			return fmt.Errorf("entry %v leads to a node that does not live", k)
		}
		links[id]++
		if n.Type == api.Directory {
			if n.Dir.Parent != k.Parent {
				return fmt.Errorf("directory %s believes to be in %s and is in %s", id, n.Dir.Parent, k.Parent)
			}
			subdirs[k.Parent]++
			continue
		}
		dir := dirs[k.Parent]
		dir.Files++
		if n.Type == api.File {
			dir.Bytes += n.Size
		}
		dirs[k.Parent] = dir
	}
	var files, bytes int64
	documents := map[api.ID]bool{}
	for id, n := range d.nodes {
		if n.ID != id {
			return fmt.Errorf("node %s is kept as %s", n.ID, id)
		}
		if !n.Document.IsZero() {
			if documents[n.Document] {
				return fmt.Errorf("document %s belongs to two nodes", n.Document)
			}
			documents[n.Document] = true
		}
		switch {
		case id == d.drive.Root:
		case n.Type == api.Directory && n.Live() && links[id] != 1:
			return fmt.Errorf("directory %s has %d entries", id, links[id])
		case n.Type != api.Directory && n.Nlink != links[id]:
			return fmt.Errorf("node %s says nlink %d and has %d", id, n.Nlink, links[id])
		}
		if n.Live() && n.Trash != (Trash{}) {
			return fmt.Errorf("the live node %s is in the trash", id)
		}
		if n.Type == api.Directory {
			if err := d.checkDir(n, dirs[id], subdirs[id]); err != nil {
				return err
			}
			continue
		}
		if n.Type == api.File && n.Live() {
			files++
			bytes += n.Size
			if v, ok := d.versions[n.Version]; !ok || v.Size != n.Size || v.SHA256 != n.SHA256 || n.Document.IsZero() {
				return fmt.Errorf("file %s has no whole version or document", id)
			}
		}
	}
	if files != d.drive.Files || bytes != d.drive.Bytes {
		return fmt.Errorf("the drive says %d files of %d bytes and has %d of %d", d.drive.Files, d.drive.Bytes, files, bytes)
	}
	return nil
}

func (d *Memory) checkDir(n Inode, want Dir, subdirs uint32) error {
	if !n.Live() {
		if n.Dir != (Dir{}) {
			return fmt.Errorf("the deleted directory %s has %+v", n.ID, n.Dir)
		}
		return nil
	}
	want.Parent = n.Dir.Parent
	if n.Dir != want || n.Nlink != 2+subdirs {
		return fmt.Errorf("directory %s says %+v with nlink %d and has %+v with %d", n.ID, n.Dir, n.Nlink, want, 2+subdirs)
	}
	steps := 0
	for id := n.ID; id != d.drive.Root; id = d.nodes[id].Dir.Parent {
		if steps++; steps > len(d.nodes) {
			return fmt.Errorf("directory %s is above itself", n.ID)
		}
	}
	return nil
}
