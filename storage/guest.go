package storage

import (
	"context"
	"strings"

	"satchel/api"
	"satchel/storage/fault"
	"satchel/storage/postgres"
	"satchel/storage/tree"
)

// This file is how the devices of guests work in another one's drive: as the owner's do, but each
// mutation is held against the grants, and what is told is what the guest may see.

// commitAsGuest is [Drive.Commit] for a guest. A mutation that the grants do not allow is refused by itself:
// [api.NotFound] if he does not see what it is about, else [api.Permission].
func (d *Drive) commitAsGuest(ctx context.Context, b api.Batch) (c api.Committed, err error) {
	by := postgres.Author{Device: d.caller.Device, Incarnation: b.Incarnation, Echo: b.Echo}
	var answer postgres.Answer
	err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		locked, err := tx.Lock(ctx, d.id, d.owner, by, nil)
		if api.KindOf(err) == api.Permission { // he may change nothing in it, any more
			answer = refuseAll(b)
			return nil
		}
		if err != nil {
			return err
		}
		fault.At(fault.CommitLocked)
		if answer, err = tx.GuestBatch(ctx, d.id, by); err != nil {
			return err
		}
		switch {
		case b.Number > answer.Number:
			answer, err = d.applyAsGuest(ctx, tx, locked, by, b)
		case b.Number < answer.Number || len(answer.Outcomes) != len(b.Mutations):
			err = api.Errorf(api.Invalid, "batch %d is not the last one, %d, sent again", b.Number, answer.Number)
		}
		fault.At(fault.CommitWritten)
		return err
	})
	if err != nil {
		return c, err
	}
	fault.At(fault.CommitDone)
	// The transaction ended as the owner's: what is true is told by what the guest sees.
	c.Outcomes = answer.Outcomes
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		drive, err := tx.Drive(ctx, d.id)
		if err != nil {
			return err
		}
		if len(answer.Touched.Nodes) > 0 {
			touched, err := d.visible(ctx, tx, b.Mutations, answer)
			if err != nil {
				return err
			}
			if c.State, err = tx.State(ctx, d.id, touched); err != nil {
				return err
			}
		}
		c.Epoch, c.Seq = drive.Epoch, drive.Seq
		return nil
	})
	return c, err
}

// visible is what a guest is told of that his batch touched: names in directories that he sees by now, and those that he named himself where
// it was not done. What he mentions may have others, in directories of which he must not even hear that they are there.
func (d *Drive) visible(ctx context.Context, tx *postgres.Tx, batch []api.Mutation, a postgres.Answer) (t tree.Touched, err error) {
	h := d.holdings(ctx, tx)
	var parents []postgres.Need
	for _, k := range a.Touched.Entries {
		parents = append(parents, seen(k.Parent))
	}
	h.know(parents)
	t.Nodes = a.Touched.Nodes
	for _, k := range a.Touched.Entries {
		if h.held[seen(k.Parent)] {
			t.Entries = append(t.Entries, k)
		}
	}
	for i, o := range a.Outcomes {
		if o.Status != api.Applied {
			t.Entries = append(t.Entries, tree.Named(batch[i]).Entries...)
		}
	}
	return t.Unique(), h.err
}

func refuseAll(b api.Batch) (a postgres.Answer) {
	a.Outcomes = make([]api.Outcome, len(b.Mutations))
	for i, m := range b.Mutations {
		a.Outcomes[i] = refusal(api.Errorf(api.Permission, "you may not do this here"))
		touch(&a.Touched, m)
	}
	return a
}

func refusal(err error) api.Outcome {
	return api.Outcome{Status: api.Refused, Kind: api.KindOf(err), Message: err.Error()}
}

func touch(t *tree.Touched, m api.Mutation) {
	named := tree.Named(m)
	t.Nodes, t.Entries = append(t.Nodes, named.Nodes...), append(t.Entries, named.Entries...)
}

// applyAsGuest applies what the grants allow of a batch to the locked drive.
func (d *Drive) applyAsGuest(ctx context.Context, tx *postgres.Tx, locked postgres.Locked, by postgres.Author, b api.Batch) (a postgres.Answer, err error) {
	h := d.holdings(ctx, tx)
	reason, err := h.of(b.Mutations)
	if err != nil {
		return a, err
	}
	if len(reason) > 0 {
		hashes := named(b.Mutations)
		missing, err := tx.GuestMissing(ctx, d.id, hashes)
		if err == nil {
			err = tx.Act(ctx, &locked, reason, hashes)
		}
		if err != nil {
			return a, err
		}
		for _, hash := range missing {
			delete(locked.Chunks, hash)
		}
	}
	set := d.workingSet(ctx, tx, locked, by)
	a.Number = b.Number
	if a.Outcomes, err = set.ApplyIf(b.Mutations, func(m *api.Mutation) (*api.Outcome, error) { return h.weigh(set, m) }); err != nil {
		return a, err
	}
	if err = h.hide(set, b.Mutations, a.Outcomes); err != nil {
		return a, err
	}
	a.Touched = set.Touched()
	if len(reason) == 0 {
		return a, nil
	}
	return a, d.write(ctx, tx, []tree.Diff{set.Diff()}, by, a)
}

// holdings is what a guest holds, as far as it was asked for: what he did when his batch began.
type holdings struct {
	ask  func([]postgres.Need) ([]bool, error)
	held map[postgres.Need]bool
	err  error // the first one of ask
}

func (d *Drive) holdings(ctx context.Context, tx *postgres.Tx) *holdings {
	return &holdings{held: map[postgres.Need]bool{}, ask: func(needs []postgres.Need) ([]bool, error) { return tx.Holds(ctx, d.id, needs) }}
}

// of asks for all that a batch names. The result is those that it needs and he holds: without any he may do nothing of it.
func (h *holdings) of(batch []api.Mutation) (reason []postgres.Need, err error) {
	var needs, all []postgres.Need
	for _, m := range batch {
		all = append(all, seen(m.Node))
		for _, n := range needsOfDevice(m) {
			needs, all = append(needs, n), append(all, n, seen(n.Node))
		}
	}
	h.know(all)
	told := map[postgres.Need]bool{}
	for _, n := range needs {
		if h.held[n] && !told[n] {
			told[n] = true
			reason = append(reason, n)
		}
	}
	return reason, h.err
}

// seen is the need of somebody who is told of a node.
func seen(node api.ID) postgres.Need { return postgres.Need{Node: node, AnyOf: api.AllPermissions} }

// know asks for what of some needs is not known yet.
func (h *holdings) know(needs []postgres.Need) {
	var ask []postgres.Need
	for _, n := range needs {
		if _, known := h.held[n]; !known && !n.Node.IsZero() {
			h.held[n] = false
			ask = append(ask, n)
		}
	}
	if len(ask) == 0 || h.err != nil {
		return
	}
	var held []bool
	if held, h.err = h.ask(ask); h.err != nil {
		return
	}
	for i, n := range ask {
		h.held[n] = held[i]
	}
}

// holds tells whether a guest has one of some permissions on a node by now. What his batch made is his to go on with; else it is what he holds
// on the node that the batch means, and nothing on one in the trash, whosever it was.
func (h *holdings) holds(set *tree.Set, n postgres.Need) bool {
	n.Node = set.Means(n.Node)
	if set.Made(n.Node) {
		return true
	}
	if is, ok := set.Node(n.Node); !ok || is.Nlink == 0 {
		return false
	}
	h.know([]postgres.Need{n, seen(n.Node)})
	return h.held[n]
}

// follow lets a write of a file that was moved, from where the guest may not write any more to where he may, name the place that it has
// now: nothing else is new of a file that was only moved.
func (h *holdings) follow(set *tree.Set, m *api.Mutation) {
	writes := func(dir api.ID) bool { return h.holds(set, postgres.Need{Node: dir, AnyOf: api.PermWrite}) }
	if m.Op != api.OpWrite || writes(m.Parent) || !writes(m.Node) {
		return
	}
	for _, at := range set.Places(m.Node) {
		if writes(at.Parent) {
			m.Parent, m.Name = at.Parent, at.Name
			return
		}
	}
}

// weigh is what becomes of the next mutation of a guest's batch by what he holds: it is applied (nil), or refused, or moot: what it would remove
// is not there for the guest.
func (h *holdings) weigh(set *tree.Set, m *api.Mutation) (*api.Outcome, error) {
	h.follow(set, m)
	var err error
	removed, moot := m.Node, false
	switch m.Op {
	case api.OpCreate:
	case api.OpUnlink, api.OpRmdir:
		moot = !h.holds(set, seen(m.Node))
	default:
		if !h.holds(set, seen(m.Node)) {
			err = errNoNode()
		}
		removed = m.Replaces
	}
	for _, n := range needsOfDevice(*m) {
		if n.AnyOf&api.PermDelete != 0 && m.Op == api.OpRename && buries(set, m) {
			n.AnyOf = api.PermDelete
		}
		if n.AnyOf&api.PermDelete != 0 && !set.MadeAlone(removed) {
			// What came into a directory of his is removed from there as from the one above, in which it would be another's.
			for n.Node = set.Means(n.Node); set.Made(n.Node); {
				n.Node = set.Place(n.Node).Parent
			}
		}
		switch {
		case err != nil || h.holds(set, n):
		case h.holds(set, seen(n.Node)):
			err = api.Errorf(api.Permission, "you may not do this here")
		default:
			err = errNoNode()
		}
	}
	switch {
	case err != nil:
		o := refusal(err)
		return &o, h.err
	case moot:
		return &api.Outcome{Status: api.Applied}, h.err
	}
	return nil, h.err
}

// buries tells whether a rename removes what it replaces, as a deletion does: the document of a file goes on in
// a file that replaces it, and nothing else does.
func buries(set *tree.Set, m *api.Mutation) bool {
	n, _ := set.Node(set.Means(m.Node))
	old, ok := set.Node(m.Replaces)
	return ok && old.Nlink > 0 && (old.Type != api.File || n.Type != api.File) && !set.MadeAlone(m.Replaces)
}

// hide keeps from a guest what his work of earlier is called where he does not see it: he is told the name that he gave it.
func (h *holdings) hide(set *tree.Set, batch []api.Mutation, outcomes []api.Outcome) error {
	for i := range outcomes {
		o, called, told := &outcomes[i], false, false
		for _, k := range set.Places(o.Conflict) {
			if k.Name == o.Name {
				called, told = true, told || h.holds(set, seen(k.Parent))
			}
		}
		if called && !told {
			o.Name = batch[i].Name
		}
	}
	return h.err
}

// needsOfDevice is needsOf, and what a device's mutation may lead to besides: a
// write that lost against another leaves a copy beside the file.
func needsOfDevice(m api.Mutation) []postgres.Need {
	all := needsOf(m)
	if m.Op == api.OpWrite {
		all = append(all, postgres.Need{Node: m.Parent, AnyOf: api.PermWrite})
	}
	return all
}

// Bound lists the directories of the caller's drive in which binds show another directory, as far as
// he sees that: what a client needs to show them too. Those of which he sees nothing any more are told of if he asks for ended ones.
func (d *Drive) Bound(ctx context.Context, ended bool) (bound []api.Bind, err error) {
	if !d.own() {
		return nil, errNotYours()
	}
	err = d.s.db.AsReadOnly(ctx, d.caller.User, func(ctx context.Context, tx *postgres.Tx) error {
		binds, err := tx.BoundHere(ctx, d.id)
		if err != nil {
			return err
		}
		bound = make([]api.Bind, 0, len(binds))
		for _, b := range binds {
			p, err := tx.Permissions(ctx, b.SourceDrive, b.SourceNode)
			if err != nil {
				return err
			}
			path, err := tx.PathOfNode(ctx, d.id, b.Node)
			if err != nil {
				return err
			}
			over := p&(api.PermRead|api.PermList) == 0
			if !over || ended {
				bound = append(bound, api.Bind{ID: b.ID, Node: b.Node, SourceDrive: b.SourceDrive, SourceNode: b.SourceNode, Permissions: p, Path: api.Name(strings.TrimPrefix(string(path), "/")), Ended: over})
			}
		}
		return nil
	})
	return bound, err
}
