package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"satchel/api"
	"satchel/storage/fault"
	"satchel/storage/postgres"
	"satchel/storage/tree"
)

// A write makes a version, whose chunks are stored, the content of the file at a path.
type write struct {
	path    []api.Name
	version api.Version
	pack    *postgres.Pack // of its chunks, to be made known with it; nil: there is none
	object  *Object
	options PutOptions
	made    api.ID // of the file, if it is new

	node    api.Node // what came of it
	created bool
	err     error
	done    chan struct{} // closed then
}

func (w *write) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// plan is the mutations that a write is, where walked is what there is of its path.
func (d *Drive) plan(w *write, walked []api.Node) ([]api.Mutation, error) {
	m := api.Mutation{Op: api.OpWrite, Name: w.path[len(w.path)-1], Version: &w.version, Time: time.Now().UnixNano()}
	if w.options.Mtime != 0 {
		m.Attr = &api.Attr{Mtime: &w.options.Mtime}
	}
	batch, parent, err := d.parents(walked, w.path, !w.options.NoParents, m.Time)
	if err != nil {
		return nil, err
	}
	m.Parent = parent
	var old *api.Node
	if len(walked) == len(w.path) {
		old = &walked[len(walked)-1]
		if err := storable(old.Type); err != nil {
			return nil, err
		}
		m.Node, m.Base = old.ID, old.Version
	} else {
		if m.Attr == nil {
			m.Attr = &api.Attr{}
		}
		m.Op, m.Node, m.Attr.Type = api.OpCreate, w.made, api.File
	}
	if w.options.Check != nil {
		if err := w.options.Check(old); err != nil {
			return nil, err
		}
	}
	w.node.ID, w.created = m.Node, old == nil
	return append(batch, m), nil
}

// writeTogether does writes in one transaction, one after the other: each sees what those before it did, and has an error of its own.
// What can't be done in one is done one by one: so no fault of one is another's.
func (d *Drive) writeTogether(ctx context.Context, group []*write) {
	var failed error // of the last run, before anything could be committed
	err := d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		failed = d.writeAll(ctx, tx, group)
		return failed
	})
	switch {
	case err == nil:
		fault.At(fault.CommitDone)
	case errors.Is(err, errNoneApplied): // each knows why
	case len(group) > 1 && failed != nil && api.KindOf(err) != api.Unavailable:
		for _, w := range group {
			d.writeTogether(ctx, []*write{w})
		}
	default:
		for _, w := range group {
			w.err = err
		}
	}
}

// errNoneApplied is of a transaction in which there is nothing to be kept.
var errNoneApplied = errors.New("none of the writes was applied")

func (d *Drive) writeAll(ctx context.Context, tx *postgres.Tx, group []*write) error {
	var batch []api.Mutation
	var packs []postgres.Pack
	var paths [][]api.Name
	for _, w := range group {
		batch = append(batch, api.Mutation{Version: &w.version})
		paths = append(paths, w.path)
		if w.pack != nil {
			packs = append(packs, *w.pack)
		}
	}
	locked, walked, err := tx.LockFor(ctx, d.id, d.owner, d.author(), named(batch), packs, d.root, paths)
	if err != nil {
		return err
	}
	if len(packs) > 0 {
		fault.At(fault.PackRows)
	}
	fault.At(fault.CommitLocked)
	set := d.workingSet(ctx, tx, locked, d.author())
	if err := set.Expect(d.expected(group, walked)); err != nil {
		return err
	}
	objects := map[api.ID]Object{}
	applied := 0
	for _, w := range group {
		var spoilt bool
		if spoilt, w.err = d.applyWrite(set, w); spoilt {
			return w.err
		}
		if w.err != nil {
			continue
		}
		applied++
		if w.object != nil {
			objects[w.version.ID] = *w.object
		}
	}
	if applied == 0 {
		return errNoneApplied
	}
	if err := d.write(ctx, tx, set.Diff(), d.author(), postgres.Answer{}); err != nil {
		return err
	}
	if err := tx.SetObjects(ctx, d.id, d.owner, objects); err != nil {
		return err
	}
	fault.At(fault.CommitWritten)
	return nil
}

// applyWrite applies a write to a working set. What it fails with is its own, unless it spoilt the set for all.
func (d *Drive) applyWrite(set *tree.Set, w *write) (spoilt bool, err error) {
	walked, err := set.Walk(d.root, w.path)
	if err != nil {
		return true, err
	}
	batch, err := d.plan(w, walked)
	if err != nil {
		return false, err
	}
	outcomes, err := set.Apply(batch)
	if err != nil {
		return api.KindOf(err) != api.MissingChunks, err
	}
	if err := wholly(outcomes); err != nil {
		return slices.ContainsFunc(outcomes, func(o api.Outcome) bool { return o.Status != api.Refused }), err
	}
	w.node, _ = set.Node(w.node.ID)
	return false, nil
}

// expected is what writes will take, where walked is what there is of their paths.
func (d *Drive) expected(group []*write, walked [][]api.Node) tree.Want {
	want := tree.Want{Nodes: []api.ID{d.root}}
	for i, w := range group {
		want.Nodes = append(want.Nodes, w.made)
		want.Versions = append(want.Versions, w.version.ID)
		at := tree.Key{Parent: d.root}
		for j := range min(len(walked[i])+1, len(w.path)) {
			if j > 0 {
				at.Parent = walked[i][j-1].ID
			}
			at.Name = w.path[j]
			want.Entries = append(want.Entries, at)
		}
		if len(walked[i]) == len(w.path)-1 {
			want.Deleted = append(want.Deleted, at)
		}
	}
	return want
}

// writeAlone does a write in a transaction of its own: a guest's, which is held against his grants, or one with which something else is done.
func (d *Drive) writeAlone(ctx context.Context, w *write) error {
	chunks := named([]api.Mutation{{Version: &w.version}})
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		locked, err := tx.Lock(ctx, d.id, d.owner, d.author(), chunks)
		if err != nil {
			return err
		}
		walked, err := tx.Walk(ctx, d.id, d.root, w.path)
		if err != nil {
			return err
		}
		batch, err := d.plan(w, walked)
		if err != nil {
			return err
		}
		if w.options.with != nil {
			if err := w.options.with(ctx, tx); err != nil {
				return err
			}
		}
		if w.object != nil {
			if err := tx.SetObjects(ctx, d.id, d.owner, map[api.ID]Object{w.version.ID: *w.object}); err != nil {
				return err
			}
		}
		diff, err := d.applyWhole(ctx, tx, locked, chunks, batch)
		for _, n := range slices.Concat(diff.NewNodes, diff.Nodes) {
			if n.ID == w.node.ID {
				w.node = n.Node
			}
		}
		return err
	})
}
