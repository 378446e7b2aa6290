package tree

import (
	"bytes"
	"cmp"
	"slices"

	"satchel/api"
)

// Diff is what the applied mutations changed, net: a name that came and went
// is not in it, but the versions and the line of history are.
func (s *Set) Diff() Diff {
	d := Diff{Drive: s.drive, Changes: s.changes, Adopted: s.adopted}
	for _, id := range unique(s.rezoned) {
		if s.nodes[id].now.Live() {
			d.Rezoned = append(d.Rezoned, id)
		}
	}
	for _, v := range s.written {
		d.Versions = append(d.Versions, *v)
	}
	for id, n := range s.nodes {
		if n.now == n.before {
			continue
		}
		if n.before == nil {
			d.NewNodes = append(d.NewNodes, *n.now)
		} else {
			d.Nodes = append(d.Nodes, *n.now)
		}
		d.directory(id, n)
		d.trash(id, n)
	}
	for k, e := range s.entries {
		switch {
		case e.now == e.before:
		case e.before.IsZero():
			d.NewEntries = append(d.NewEntries, Entry{k, e.now})
		case e.now.IsZero():
			d.GoneEntries = append(d.GoneEntries, k)
		default:
			d.Entries = append(d.Entries, Entry{k, e.now})
		}
	}
	d.sort()
	return d
}

// sort makes the difference the same in every run, and lets neighbours in the
// tables be written together.
func (d *Diff) sort() {
	byID := func(a, b Inode) int { return bytes.Compare(a.ID[:], b.ID[:]) }
	for _, nodes := range [][]Inode{d.NewNodes, d.Nodes, d.NewDirs, d.Dirs, d.Trashed} {
		slices.SortFunc(nodes, byID)
	}
	byEntry := func(a, b Entry) int { return compareKeys(a.Key, b.Key) }
	slices.SortFunc(d.NewEntries, byEntry)
	slices.SortFunc(d.Entries, byEntry)
	slices.SortFunc(d.GoneEntries, compareKeys)
	for _, ids := range [][]api.ID{d.GoneDirs, d.Untrashed} {
		slices.SortFunc(ids, func(a, b api.ID) int { return bytes.Compare(a[:], b[:]) })
	}
}

func compareKeys(a, b Key) int {
	return cmp.Or(bytes.Compare(a.Parent[:], b.Parent[:]), cmp.Compare(a.Name, b.Name))
}

func (d *Diff) directory(id api.ID, n *inode) {
	was := n.before != nil && n.before.Type == api.Directory && n.before.Live()
	is := n.now.Type == api.Directory && n.now.Live()
	switch {
	case is && !was:
		d.NewDirs = append(d.NewDirs, *n.now)
	case was && !is:
		d.GoneDirs = append(d.GoneDirs, id)
	case is && n.before.Dir != n.now.Dir:
		d.Dirs = append(d.Dirs, *n.now)
	}
}

func (d *Diff) trash(id api.ID, n *inode) {
	var was Trash
	if n.before != nil {
		was = n.before.Trash
	}
	switch {
	case n.now.Trash == was:
	case n.now.Trash == (Trash{}):
		d.Untrashed = append(d.Untrashed, id)
	default:
		d.Trashed = append(d.Trashed, *n.now)
	}
}
