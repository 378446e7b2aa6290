package tree

import (
	"slices"

	"satchel/api"
)

// Walk follows names down from a directory, as the drive is after the
// mutations that were applied, and stops before the first that is missing: the
// nodes on the way, without the directory it starts from.
func (s *Set) Walk(dir api.ID, path []api.Name) ([]api.Node, error) {
	nodes := make([]api.Node, 0, len(path))
	for _, name := range path {
		n := s.node(s.at(Key{dir, name}))
		if n == nil {
			break
		}
		nodes = append(nodes, n.Node)
		dir = n.ID
	}
	return nodes, s.err
}

// Node is a node as it is after the mutations that were applied.
func (s *Set) Node(id api.ID) (n api.Node, ok bool) {
	if is := s.node(id); is != nil {
		n, ok = is.Node, true
	}
	return n, ok
}

// Expect loads at once what mutations to come are known to take. What they
// take beside it is loaded when it is asked for.
func (s *Set) Expect(w Want) error {
	s.load(w)
	return s.err
}

// unknown is what of a want the set does not have: neither rows, nor that there are none.
func (s *Set) unknown(w Want) Want {
	w.Nodes = lacking(w.Nodes, func(id api.ID) bool { return s.nodes[id] != nil })
	w.Entries = lacking(w.Entries, func(k Key) bool { return s.entries[k] != nil })
	w.Deleted = lacking(w.Deleted, func(k Key) bool { return s.sought[k] })
	w.Versions = lacking(w.Versions, func(id api.ID) bool {
		_, known := s.versions[id]
		return known
	})
	return w
}

func lacking[T any](all []T, known func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), known)
}

// nothing tells whether nothing is wanted.
func (w Want) nothing() bool {
	return len(w.Nodes)+len(w.Entries)+len(w.Ancestors)+len(w.Deleted)+len(w.Versions) == 0
}
