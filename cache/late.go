package cache

import (
	"cmp"
	"slices"

	"satchel/api"
)

// This file brings together what the pages of a directory say, which are not of one moment, and what is heard of it while they come.

// listed is directories being listed, with what was heard of them meanwhile.
type listed struct {
	epoch  api.ID // that was believed
	void   bool   // what changed meanwhile may not have been heard of
	late   []lateEntry
	landed map[api.ID]int64 // nodes of our own mutations that the server answered meanwhile, and when
	nodes  map[api.ID]lateNode
}

// A lateNode is a node as the server told of it meanwhile.
type lateNode struct {
	node *api.Node
	seq  int64
}

// A lateEntry is an entry as the server told of it meanwhile.
type lateEntry struct {
	e   api.EntryState
	n   *api.Node
	seq int64
}

// listen begins to collect what is heard of directories until finish; locked.
func (d *Drive) listen(dirs ...api.ID) *listed {
	l := &listed{epoch: d.syn.believed, landed: map[api.ID]int64{}, nodes: map[api.ID]lateNode{}}
	for _, id := range dirs {
		d.listing[id] = l
	}
	return l
}

// listening is all listings under way; locked.
func (d *Drive) listening() map[*listed]bool {
	all := map[*listed]bool{}
	for _, l := range d.listing {
		all[l] = true
	}
	return all
}

// overheard keeps the nodes that the server tells of for directories that are being listed: a page may have come that has them as they were. Locked.
func (d *Drive) overheard(s *api.State) {
	for l := range d.listening() {
		for i := range s.Nodes {
			n := &s.Nodes[i]
			l.nodes[n.ID] = lateNode{n, s.Seq}
		}
	}
}

// newest is what the pages of a directory say and what was heard of it since, in the order in which it came to be so: each name as it was last, with
// the last records of the nodes. Else a word about one name could take its node from the name to which it has moved since.
func (l *listed) newest(dir api.ID, pages []api.Listing) []api.State {
	late := map[api.Name]lateEntry{}
	for _, e := range l.late {
		if e.e.Parent == dir && e.seq > pageOf(pages, e.e.Name).Seq {
			late[e.e.Name] = e
		}
	}
	said := make([]api.State, 0, len(pages)+len(late))
	for i := range pages {
		s := pages[i].State
		s.Entries = slices.DeleteFunc(s.Entries, func(e api.EntryState) bool {
			_, changed := late[e.Name]
			return changed
		})
		said = append(said, s)
	}
	for _, e := range late {
		s := api.State{Seq: e.seq, Entries: []api.EntryState{e.e}}
		if e.n != nil {
			s.Nodes = []api.Node{*e.n}
		}
		said = append(said, s)
	}
	slices.SortStableFunc(said, func(a, b api.State) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, s := range said {
		for i := range s.Nodes {
			if late, ok := l.nodes[s.Nodes[i].ID]; ok && s.Seq < late.seq {
				s.Nodes[i] = *late.node
			}
		}
	}
	return said
}

// pageOf finds the page that speaks of a name.
func pageOf(pages []api.Listing, name api.Name) *api.Listing {
	for i := range pages {
		p := &pages[i]
		if k := len(p.Entries); i == len(pages)-1 || k > 0 && name.Escape() <= p.Entries[k-1].Name.Escape() {
			return p
		}
	}
	return &pages[len(pages)-1]
}

// forgetLanded drops the nodes that this machine knows better: the server answered a change of theirs after it said so. Locked.
func (d *Drive) forgetLanded(said []api.State, landed map[api.ID]int64) {
	for i := range said {
		s := &said[i]
		s.Nodes = slices.DeleteFunc(s.Nodes, func(n api.Node) bool {
			seq, ok := landed[n.ID]
			if !ok || s.Seq >= seq {
				return false
			}
			here, err := d.load(n.ID)
			return err == nil && here != nil && !here.dead
		})
	}
}

// leap is to be called when there will be another cursor: the feed will not tell what happened between the two. So what is being listed is to be asked for
// again. Locked.
func (d *Drive) leap() {
	for l := range d.listening() {
		l.void = true
	}
}

// halfListed tells whether a relist began and did not end.
func (d *Drive) halfListed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syn.relisting != nil
}
