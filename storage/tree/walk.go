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

// Means is the directory that the author of the batch means by an id: the one that it merged with, or the id itself.
func (s *Set) Means(id api.ID) api.ID { return s.resolve(id) }

// Settle is the difference that the mutations applied since the last one made: those after it are as of another batch, which finds what
// this one left, and knows nothing of its conflicts.
func (s *Set) Settle() Diff {
	d := s.Diff()
	for _, n := range s.nodes {
		n.before, n.made = n.now, false
	}
	for _, e := range s.entries {
		e.before = e.now
	}
	s.written, s.adopted, s.changes, s.rezoned = nil, nil, nil, nil
	s.merged, s.placed, s.diverted = map[api.ID]api.ID{}, map[Entry]Key{}, map[api.ID]api.ID{}
	s.report = Touched{}
	return d
}

// Settled tells whether nothing was changed since the last [Set.Settle], and nothing went wrong.
func (s *Set) Settled() bool {
	return s.err == nil && len(s.changes)+len(s.merged)+len(s.placed)+len(s.diverted) == 0
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
