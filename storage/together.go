package storage

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"satchel/api"
	"satchel/storage/fault"
	"satchel/storage/postgres"
	"satchel/storage/tree"
)

// A write makes a version, whose chunks are stored, the content of the file at a path.
type write struct {
	path      []api.Name
	version   api.Version
	pack      *postgres.Pack // of its chunks, to be made known with it; nil: there is none
	object    *Object
	options   PutOptions
	condition *condition
	made      api.ID // of the file, if it is new

	result
	done chan struct{} // closed when the result is the writer's
}

// result is what came of a write. It is true when its transaction has been committed.
type result struct {
	node    api.Node
	created bool
	err     error
}

func (w *write) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// writeTogether does writes in one transaction, one after the other: each sees what those before it did, is a change of its own, and has
// an error of its own. What can't be done in one is done one by one, so that no fault of one is another's, until the time is over or the database
// is not to be had. What may have been committed is not done again. A guest, and who has something else done with his write, is alone.
func (d *Drive) writeTogether(ctx context.Context, group []*write) {
	results, undone, err := d.attempt(ctx, group)
	again := err != nil && undone && len(group) > 1 && !outage(err)
	for i, w := range group {
		if again && ctx.Err() != nil {
			err, again = context.Cause(ctx), false
		}
		switch {
		case err == nil:
			w.result = results[i]
		case !again:
			w.result = result{err: apart(err)}
		default:
			if d.writeTogether(ctx, group[i:i+1]); outage(w.err) {
				err, again = w.err, false
			}
		}
	}
}

// outage tells whether an error is of a database that is not to be had. One in which others lock something is.
func outage(err error) bool {
	return api.KindOf(err) == api.Unavailable && !postgres.Contended(err)
}

// apart is an error for one of many, who do not all come back at the same moment.
func apart(err error) error {
	if e, ok := errors.AsType[*api.Error](err); ok && e.RetryAfter > 0 {
		own := *e
		own.RetryAfter = api.Soon()
		return &own
	}
	return err
}

// attempt does writes in one transaction, or none; undone tells that it did none for sure. A fault of the program is an error.
func (d *Drive) attempt(ctx context.Context, group []*write) (results []result, undone bool, err error) {
	undone = true // until it goes on to COMMIT
	defer func() {
		if p := recover(); p != nil {
			d.s.log.Error("a write panicked", "writes", len(group), "panic", p, "stack", string(debug.Stack()))
			err = errBroken()
		}
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		undone = true
		results, err = d.writeAll(ctx, tx, group)
		undone = err != nil
		return err
	})
	if errors.Is(err, errNoneApplied) { // each knows why
		return results, true, nil
	}
	if err == nil {
		fault.At(fault.CommitDone)
	}
	undone = err != nil && !errors.Is(err, postgres.ErrUncertain)
	return results, undone, err
}

// errNoneApplied is of a transaction in which there is nothing to be kept.
var errNoneApplied = errors.New("none of the writes was applied")

func errBroken() error {
	return api.Errorf(api.Internal, "the write was broken off")
}

func (d *Drive) writeAll(ctx context.Context, tx *postgres.Tx, group []*write) ([]result, error) {
	locked, walked, err := d.lockFor(ctx, tx, group)
	if err != nil {
		return nil, err
	}
	if with := group[0].options.with; with != nil {
		if err := with(ctx, tx); err != nil {
			return nil, err
		}
	}
	objects, err := d.objectsFor(ctx, tx, group, walked)
	if err != nil {
		return nil, err
	}
	locks, err := locksFor(ctx, tx, group)
	if err != nil {
		return nil, err
	}
	results := make([]result, len(group))
	made := map[api.ID]Object{}
	var diffs []tree.Diff
	var set *tree.Set // nil as long as the drive is as it was
	for i, w := range group {
		r := &results[i]
		if set != nil {
			if walked[i], err = set.Walk(d.root, w.path); err != nil {
				return nil, err
			}
		}
		var batch []api.Mutation
		if batch, r.err = d.plan(w, walked[i], objects); r.err != nil {
			continue
		}
		walk := func(path []api.Name) ([]api.Node, error) {
			switch {
			case slices.Equal(path, w.path):
				return walked[i], nil
			case set != nil:
				return set.Walk(d.root, path)
			}
			return tx.Walk(ctx, d.id, d.root, path)
		}
		if r.err = w.condition.hold(locks, walk); r.err != nil {
			continue
		}
		if set == nil {
			if set, err = d.begin(ctx, tx, locked, group, walked, batch); err != nil {
				return nil, err
			}
		}
		if r.err = applyWrite(set, batch); r.err != nil {
			if !set.Settled() {
				return nil, r.err // half of it was
			}
			continue
		}
		id := batch[len(batch)-1].Node
		r.node, _ = set.Node(id)
		r.created = id == w.made
		diffs = append(diffs, set.Settle())
		if w.object != nil {
			objects[w.version.ID], made[w.version.ID] = *w.object, *w.object
		}
	}
	if len(diffs) == 0 {
		return results, errNoneApplied
	}
	if err := tx.SetObjects(ctx, d.id, d.owner, made); err != nil {
		return nil, err
	}
	if err := d.write(ctx, tx, diffs, d.author(), postgres.Answer{}); err != nil {
		return nil, err
	}
	for i, w := range group {
		if results[i].err == nil && w.options.Description != nil && d.own() {
			n, err := d.live(ctx, tx, results[i].node.ID)
			if err != nil {
				return nil, err
			}
			if err := tx.Describe(ctx, d.id, d.owner, *w.options.Description, n.Document); err != nil {
				return nil, err
			}
		}
	}
	fault.At(fault.CommitWritten)
	return results, nil
}

// lockFor locks the drive for writes, makes their packs known, and walks to where they go. The pack of one that is refused is
// left to garbage collection.
func (d *Drive) lockFor(ctx context.Context, tx *postgres.Tx, group []*write) (locked postgres.Locked, walked [][]api.Node, err error) {
	var packs []postgres.Pack
	var paths [][]api.Name
	for _, w := range group {
		paths = append(paths, w.path)
		if w.pack != nil {
			packs = append(packs, *w.pack)
		}
	}
	if d.own() {
		locked, walked, err = tx.LockFor(ctx, d.id, d.owner, d.author(), chunksOf(group), packs, d.root, paths)
	} else if locked, err = tx.Lock(ctx, d.id, d.owner, d.author(), nil); err == nil {
		walked = make([][]api.Node, 1)
		walked[0], err = tx.Walk(ctx, d.id, d.root, paths[0])
	}
	if err != nil {
		return locked, nil, err
	}
	if len(packs) > 0 {
		fault.At(fault.PackRows)
	}
	fault.At(fault.CommitLocked)
	return locked, walked, nil
}

// objectsFor is what the S3 API keeps of the files that conditions are held against.
func (d *Drive) objectsFor(ctx context.Context, tx *postgres.Tx, group []*write, walked [][]api.Node) (map[api.ID]Object, error) {
	var versions []api.ID
	for i, w := range group {
		if n := len(w.path); w.options.Check != nil && len(walked[i]) == n {
			versions = append(versions, walked[i][n-1].Version)
		}
	}
	if len(versions) == 0 {
		return map[api.ID]Object{}, nil
	}
	return tx.Objects(ctx, d.id, versions)
}

// locksFor is the locks that conditions of writes are about: they are one caller's, and so about one drive's.
func locksFor(ctx context.Context, tx *postgres.Tx, group []*write) ([]DAVLock, error) {
	for _, w := range group {
		if w.condition != nil {
			return w.condition.locks(ctx, tx)
		}
	}
	return nil, nil
}

// plan is the mutations that a write is, where walked is what there is of its path.
func (d *Drive) plan(w *write, walked []api.Node, objects map[api.ID]Object) ([]api.Mutation, error) {
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
	var object Object
	if len(walked) == len(w.path) {
		old = &walked[len(walked)-1]
		if err := storable(old.Type); err != nil {
			return nil, err
		}
		m.Node, m.Base = old.ID, old.Version
		object = objects[old.Version]
	} else {
		if m.Attr == nil {
			m.Attr = &api.Attr{}
		}
		m.Op, m.Node, m.Attr.Type = api.OpCreate, w.made, api.File
	}
	if w.options.Check != nil {
		if err := w.options.Check(old, object); err != nil {
			return nil, err
		}
	}
	return append(batch, m), nil
}

// begin makes the working set for writes, of which the first one that is to be applied has a batch.
func (d *Drive) begin(ctx context.Context, tx *postgres.Tx, locked postgres.Locked, group []*write, walked [][]api.Node, batch []api.Mutation) (*tree.Set, error) {
	if !d.own() {
		if err := tx.Act(ctx, &locked, needs(batch), chunksOf(group)); err != nil {
			return nil, err
		}
	}
	set := d.workingSet(ctx, tx, locked, d.author())
	return set, set.Expect(d.expected(group, walked))
}

// applyWrite applies a write to a working set, which is not settled any more when only a part of it could be.
func applyWrite(set *tree.Set, batch []api.Mutation) error {
	for part := range slices.Chunk(batch, api.MaxBatch) {
		outcomes, err := set.Apply(part)
		if err == nil {
			err = wholly(outcomes)
		}
		if err != nil {
			return err
		}
	}
	return nil
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

// chunksOf is the chunks that writes name.
func chunksOf(group []*write) []api.Hash {
	var all []api.Mutation
	for _, w := range group {
		all = append(all, api.Mutation{Version: &w.version})
	}
	return named(all)
}
