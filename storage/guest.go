package storage

import (
	"context"
	"slices"
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
			if c.State, err = tx.State(ctx, d.id, answer.Touched); err != nil {
				return err
			}
		}
		c.Epoch, c.Seq = drive.Epoch, drive.Seq
		return nil
	})
	return c, err
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
	made := map[api.ID]api.ID{}
	for _, m := range b.Mutations {
		if m.Op == api.OpCreate {
			made[m.Node] = api.ID{}
		}
	}
	held, err := d.held(ctx, tx, b.Mutations)
	if err == nil {
		b.Mutations, err = d.follow(ctx, tx, by, held, made, b.Mutations)
	}
	if err != nil {
		return a, err
	}
	for acts := false; ; acts = true {
		a = postgres.Answer{Number: b.Number, Outcomes: make([]api.Outcome, len(b.Mutations))}
		var allowed []api.Mutation
		var places []int // of the allowed ones in the batch
		for i, v := range held.weigh(b.Mutations, made) {
			switch {
			case v.err != nil:
				a.Outcomes[i] = refusal(v.err)
				touch(&a.Touched, b.Mutations[i])
			case v.moot:
				a.Outcomes[i] = api.Outcome{Status: api.Applied}
				touch(&a.Touched, b.Mutations[i])
			default:
				allowed, places = append(allowed, b.Mutations[i]), append(places, i)
			}
		}
		if len(allowed) == 0 {
			return a, nil
		}
		if !acts {
			hashes := named(allowed)
			missing, err := tx.GuestMissing(ctx, d.id, hashes)
			if err == nil && len(missing) > 0 {
				err = api.Errorf(api.MissingChunks, "the chunk %s is not here: send it again", missing[0])
			}
			if err == nil {
				err = tx.Act(ctx, &locked, needs(allowed), hashes)
			}
			if err != nil {
				return a, err
			}
		}
		set := d.workingSet(ctx, tx, locked, by)
		outcomes, err := set.Apply(allowed)
		if err != nil {
			return a, err
		}
		if narrow(made, allowed, outcomes, set) {
			continue // what it was allowed to go on with is not its own
		}
		for i, o := range outcomes {
			a.Outcomes[places[i]] = o
		}
		told := set.Touched()
		a.Touched.Nodes, a.Touched.Entries = append(a.Touched.Nodes, told.Nodes...), append(a.Touched.Entries, told.Entries...)
		a.Touched = a.Touched.Unique()
		return a, d.write(ctx, tx, []tree.Diff{set.Diff()}, by, a)
	}
}

// narrow takes out of what a batch makes (see weigh) the nodes that were there before, as it turned out, and tells whether there are some. What became
// part of a directory that was there is held to what the guest may do in the one above it.
func narrow(made map[api.ID]api.ID, batch []api.Mutation, outcomes []api.Outcome, set *tree.Set) (some bool) {
	for i, m := range batch {
		if in, ok := made[m.Node]; m.Op != api.OpCreate || !ok || !in.IsZero() || set.Made(m.Node) {
			continue
		}
		some = true
		if o := &outcomes[i]; o.Status == api.Adjusted && !o.Conflict.IsZero() && o.Conflict != m.Node {
			made[m.Node] = m.Parent
		} else {
			delete(made, m.Node)
		}
	}
	return some
}

// verdict is what the grants say of a mutation: allowed, unless there is an error
// or it is moot: what it would remove is not there for the guest.
type verdict struct {
	err  error
	moot bool
}

// holdings is what a guest holds of all that a batch may need.
type holdings struct {
	index map[postgres.Need]int
	held  []bool
}

func (h *holdings) has(node api.ID, anyOf api.Permissions) bool {
	i, asked := h.index[postgres.Need{Node: node, AnyOf: anyOf}]
	return asked && h.held[i]
}

func (h *holdings) add(n postgres.Need, held bool) {
	h.index[n] = len(h.held)
	h.held = append(h.held, held)
}

// held asks for that.
func (d *Drive) held(ctx context.Context, tx *postgres.Tx, batch []api.Mutation) (*holdings, error) {
	var all []postgres.Need
	h := &holdings{index: map[postgres.Need]int{}}
	up := map[api.ID]api.ID{} // of what the batch creates
	ask := func(n postgres.Need) {
		for range len(up) + 1 {
			if n.Node.IsZero() {
				return
			}
			if _, ok := h.index[n]; !ok {
				h.index[n] = len(all)
				all = append(all, n)
			}
			n.Node = up[n.Node]
		}
	}
	for _, m := range batch {
		for _, n := range needsOfDevice(m) {
			ask(n)
			ask(postgres.Need{Node: n.Node, AnyOf: api.AllPermissions})
		}
		ask(postgres.Need{Node: m.Node, AnyOf: api.AllPermissions})
		if m.Op == api.OpCreate {
			up[m.Node] = m.Parent
		}
	}
	var err error
	h.held, err = tx.Holds(ctx, d.id, all)
	return h, err
}

// follow is a batch in which writes of files that were moved, from where the guest may not write any more to where he may, name the
// place that they have now: nothing else is new of a file that was only moved. It adds to held what that needs; made is as for weigh.
func (d *Drive) follow(ctx context.Context, tx *postgres.Tx, by postgres.Author, held *holdings, made map[api.ID]api.ID, batch []api.Mutation) ([]api.Mutation, error) {
	strayed := func(m api.Mutation) bool {
		_, new := made[m.Parent]
		return m.Op == api.OpWrite && !new && held.has(m.Node, api.PermWrite) && !held.has(m.Parent, api.PermWrite)
	}
	var files []api.ID
	for _, m := range batch {
		if strayed(m) {
			files = append(files, m.Node)
		}
	}
	if len(files) == 0 {
		return batch, nil
	}
	rows, err := tx.Working(ctx, d.id, by.Device).Load(tree.Want{Nodes: files}) // with the names that he may see
	if err != nil {
		return nil, err
	}
	needs := make([]postgres.Need, len(rows.Entries))
	for i, e := range rows.Entries {
		needs[i] = postgres.Need{Node: e.Parent, AnyOf: api.PermWrite}
	}
	may, err := tx.Holds(ctx, d.id, needs)
	if err != nil {
		return nil, err
	}
	places := map[api.ID]tree.Key{}
	for i, e := range rows.Entries {
		if may[i] {
			places[e.Node] = e.Key
		}
	}
	batch = slices.Clone(batch)
	for i := range batch {
		m := &batch[i]
		if at, ok := places[m.Node]; ok && strayed(*m) {
			m.Parent, m.Name = at.Parent, at.Name
		}
	}
	for i, n := range needs {
		held.add(n, may[i])
	}
	return batch, nil
}

// weigh holds the mutations of a guest's batch against what he holds. What the
// batch itself makes, if it may, is his to go on with: made has those nodes, each with zero, or with
// the directory that says what he may do in it.
func (h *holdings) weigh(batch []api.Mutation, made map[api.ID]api.ID) []verdict {
	const any = api.AllPermissions
	so := map[api.ID]bool{} // made so far
	holds := func(node api.ID, p api.Permissions) bool {
		for range len(batch) + 1 {
			if !so[node] {
				break
			}
			if node = made[node]; node.IsZero() {
				return true
			}
		}
		return h.has(node, p)
	}
	verdicts := make([]verdict, len(batch))
	for i, m := range batch {
		v := &verdicts[i]
		switch m.Op {
		case api.OpCreate:
		case api.OpUnlink, api.OpRmdir:
			v.moot = !holds(m.Node, any)
		default:
			if !holds(m.Node, any) {
				v.err = errNoNode()
			}
		}
		for _, n := range needsOfDevice(m) {
			switch {
			case v.err != nil || holds(n.Node, n.AnyOf):
			case holds(n.Node, any):
				v.err = api.Errorf(api.Permission, "you may not do this here")
			default:
				v.err = errNoNode()
			}
		}
		if _, is := made[m.Node]; is && m.Op == api.OpCreate && v.err == nil {
			so[m.Node] = true
		}
		v.moot = v.moot && v.err == nil
	}
	return verdicts
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
