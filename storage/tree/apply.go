package tree

import (
	"cmp"
	"time"

	"satchel/api"
)

// Env is what the rules need to know besides the drive.
type Env struct {
	Device     api.ID // whose mutations these are
	DeviceName string // for the names of conflict copies; any text
	// Chunks has the length of every chunk that the batch may name, because its
	// author uploaded it or may read it already.
	Chunks map[api.Hash]uint32
	NewID  func() api.ID // for documents and conflict copies that the device gave no id
	// Bare keeps directories empty in which a bind shows another one: what comes
	// into them would not be seen, so it is refused, and what comes back from the trash comes
	// back in the root. A device that was away may not know of the bind, and its work is kept.
	Bare bool
}

// takeover is how long after a deletion a new file of that name continues
// the document: editors that save by unlink and create.
const takeover = 10 * time.Second

// Apply applies mutations in order and says what became of each. A mutation is
// applied whole or not at all, and one that can't be does not keep the others
// from being applied.
//
// It fails as a whole, and the set must be thrown away, when the source does;
// with kind [api.Invalid] when the batch has more than [api.MaxBatch] mutations;
// and with kind [api.MissingChunks] when a version names a chunk that is not in Env.Chunks.
func (s *Set) Apply(batch []api.Mutation) ([]api.Outcome, error) {
	return s.ApplyIf(batch, func(*api.Mutation) (*api.Outcome, error) { return nil, nil })
}

// ApplyIf is [Set.Apply] for somebody who may not do everything. Before each mutation it asks, when the set has what the earlier ones
// did: one that gets an outcome is not applied, and its chunks need not be there; one that gets none may be changed before it is. An error ends it all.
func (s *Set) ApplyIf(batch []api.Mutation, ask func(*api.Mutation) (*api.Outcome, error)) ([]api.Outcome, error) {
	if len(batch) > api.MaxBatch {
		return nil, api.Errorf(api.Invalid, "a batch has at most %d mutations, not %d", api.MaxBatch, len(batch))
	}
	s.load(wanted(batch))
	outcomes := make([]api.Outcome, len(batch))
	for i, m := range batch {
		settled, err := ask(&m)
		switch {
		case err != nil:
		case settled != nil:
			outcomes[i] = *settled
			s.report.add(Named(m))
		default:
			if err = s.chunks(m.Version); err == nil {
				outcomes[i] = s.apply(m)
			}
		}
		if err = cmp.Or(s.err, err); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// chunks tells that a version's chunks may be named.
func (s *Set) chunks(v *api.Version) error {
	if v == nil {
		return nil
	}
	for _, c := range v.Chunks {
		if _, ok := s.env.Chunks[c.Hash]; !ok {
			return api.Errorf(api.MissingChunks, "the chunk %s is not here: send it again", c.Hash)
		}
	}
	return nil
}

// Touched names all nodes and entries whose state the author of the batch
// can't know, because a mutation that concerned them was not applied as asked.
func (s *Set) Touched() Touched {
	t := s.report.Unique()
	for _, id := range t.Nodes {
		t.Entries = append(t.Entries, s.links[id]...)
	}
	return t.Unique()
}

func (s *Set) apply(m api.Mutation) api.Outcome {
	s.adjusted, s.touched = false, Touched{}
	seq := s.drive.Seq
	outcome := api.Outcome{Status: api.Applied}
	if m.Op == api.OpWrite && m.Parent.IsZero() {
		// A guest who may write a file need not see where it is.
		if k := s.Place(m.Node); !k.Parent.IsZero() {
			m.Parent, m.Name = k.Parent, k.Name
		}
	}
	err := s.check(m)
	if err == nil {
		err = s.checkBound(m)
	}
	if err == nil {
		err = s.run(m, &outcome)
	}
	switch {
	case err != nil:
		outcome = api.Outcome{Status: api.Refused, Kind: api.KindOf(err), Message: err.Error()}
	case s.adjusted && outcome.Status == api.Applied:
		outcome.Status = api.Adjusted
	}
	if s.drive.Seq > seq {
		outcome.Seq = s.drive.Seq
	}
	if outcome.Status != api.Applied {
		s.report.add(s.touched)
		s.report.add(Named(m))
		s.report.Nodes = append(s.report.Nodes, outcome.Conflict)
	}
	return outcome
}

// run dispatches. An operation must have changed nothing when it returns an error.
func (s *Set) run(m api.Mutation, o *api.Outcome) error {
	switch m.Op {
	case api.OpCreate:
		return s.create(m, o)
	case api.OpLink:
		return s.link(m, o)
	case api.OpUnlink:
		return s.unlink(m, o)
	case api.OpRmdir:
		return s.rmdir(m, o)
	case api.OpRename:
		return s.rename(m, o)
	case api.OpExchange:
		return s.exchange(m)
	case api.OpSetattr:
		return s.setattr(m, o)
	default: // check knows the operations
		return s.write(m, o)
	}
}

// wanted is what a batch mentions: nearly always all that it takes.
func wanted(batch []api.Mutation) Want {
	var all Touched
	var w Want
	for _, m := range batch {
		all.add(Named(m))
		switch m.Op {
		case api.OpCreate:
			if m.Version != nil && m.Name.Check() == nil {
				w.Deleted = append(w.Deleted, Key{m.Parent, m.Name})
			}
		case api.OpRename, api.OpExchange:
			if m.Parent != m.ToParent {
				w.Ancestors = append(w.Ancestors, m.ToParent, m.Parent)
			}
		}
		if m.Version != nil && !m.Version.ID.IsZero() {
			w.Versions = append(w.Versions, m.Version.ID)
		}
	}
	all = all.Unique()
	w.Nodes, w.Entries = all.Nodes, all.Entries
	w.Ancestors = unique(w.Ancestors)
	return w
}

// Named is the nodes and entries that a mutation names; names that can't be
// one are left out.
func Named(m api.Mutation) Touched {
	t := Touched{Nodes: []api.ID{m.Node, m.Parent, m.ToParent, m.Replaces, m.Heir, m.Conflict}}
	if m.Name.Check() == nil {
		t.Entries = append(t.Entries, Key{m.Parent, m.Name})
	}
	if m.ToName.Check() == nil {
		t.Entries = append(t.Entries, Key{m.ToParent, m.ToName})
	}
	return t
}

func (t *Touched) add(u Touched) {
	t.Nodes = append(t.Nodes, u.Nodes...)
	t.Entries = append(t.Entries, u.Entries...)
}

// Unique drops repetitions and zero ids.
func (t Touched) Unique() Touched {
	u := Touched{Nodes: unique(t.Nodes)}
	seen := make(map[Key]bool, len(t.Entries))
	for _, k := range t.Entries {
		if !seen[k] && !k.Parent.IsZero() {
			seen[k] = true
			u.Entries = append(u.Entries, k)
		}
	}
	return u
}

func unique(ids []api.ID) []api.ID {
	var u []api.ID
	seen := map[api.ID]bool{{}: true}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			u = append(u, id)
		}
	}
	return u
}
