package storage

import (
	"context"
	"maps"
	"slices"

	"satchel/api"
	"satchel/storage/fault"
	"satchel/storage/postgres"
	"satchel/storage/tree"
)

// Commit applies a device's batch in one transaction, in the order of its
// mutations, and answers each; package tree has the rules. A mutation that
// can't be applied does not keep the others from being. A batch that is sent
// again, because its answer got lost, gets the outcomes that it had and the
// state that is true now.
//
// Nothing of the batch is applied when the error is not nil: kind
// [api.MissingChunks] when it names chunks that the drive's owner does not
// have (send them again, then the batch), [api.Invalid] when it has more than
// [api.MaxBatch] mutations, no incarnation, or a number before the last one,
// and [api.NotFound] when the drive is not the caller's to change. A guest's mutations
// that his grants do not allow are refused one by one; chunks that he names must be of his sending.
func (d *Drive) Commit(ctx context.Context, b api.Batch) (c api.Committed, err error) {
	if b.Incarnation.IsZero() || b.Number == 0 || b.Number > 1<<62 {
		return c, api.Errorf(api.Invalid, "a batch needs an incarnation and a number from 1")
	}
	if len(b.Mutations) > api.MaxBatch { // before looking into them
		return c, api.Errorf(api.Invalid, "a batch has at most %d mutations, not %d", api.MaxBatch, len(b.Mutations))
	}
	if !d.own() {
		return d.commitAsGuest(ctx, b)
	}
	by := postgres.Author{Device: d.caller.Device, Incarnation: b.Incarnation, Echo: b.Echo}
	hashes := named(b.Mutations)
	err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		locked, err := tx.Lock(ctx, d.id, d.owner, by, hashes)
		if err != nil {
			return err
		}
		fault.At(fault.CommitLocked)
		drive, answer := locked.Drive, locked.Last
		switch {
		case b.Number > answer.Number:
			var diff tree.Diff
			diff, answer, err = d.apply(ctx, tx, locked, by, b.Number, b.Mutations)
			if err != nil {
				return err
			}
			drive = diff.Drive
		case b.Number < answer.Number || len(answer.Outcomes) != len(b.Mutations):
			return api.Errorf(api.Invalid, "batch %d is not the last one, %d, sent again", b.Number, answer.Number)
		}
		c = api.Committed{Outcomes: answer.Outcomes}
		if len(answer.Touched.Nodes) > 0 {
			if c.State, err = tx.State(ctx, d.id, answer.Touched); err != nil {
				return err
			}
		}
		c.Epoch, c.Seq = drive.Epoch, drive.Seq
		fault.At(fault.CommitWritten)
		return nil
	})
	if err != nil {
		return api.Committed{}, err
	}
	fault.At(fault.CommitDone)
	return c, nil
}

// apply applies mutations to a locked drive and writes the difference; number
// is that of the batch, or 0.
func (d *Drive) apply(ctx context.Context, tx *postgres.Tx, locked postgres.Locked, by postgres.Author, number uint64, batch []api.Mutation) (diff tree.Diff, answer postgres.Answer, err error) {
	set := d.workingSet(ctx, tx, locked, by)
	outcomes := make([]api.Outcome, 0, len(batch))
	for part := range slices.Chunk(batch, api.MaxBatch) {
		some, err := set.Apply(part)
		if err != nil {
			return diff, answer, err
		}
		outcomes = append(outcomes, some...)
	}
	diff = set.Diff()
	answer = postgres.Answer{Number: number, Outcomes: outcomes, Touched: set.Touched()}
	return diff, answer, d.write(ctx, tx, []tree.Diff{diff}, by, answer)
}

func (d *Drive) workingSet(ctx context.Context, tx *postgres.Tx, locked postgres.Locked, by postgres.Author) *tree.Set {
	return tree.NewSet(locked.Drive, tx.Working(ctx, d.id, by.Device), tree.Env{
		Device: by.Device, DeviceName: d.caller.DeviceName, Chunks: locked.Chunks, NewID: api.NewID, Bare: by.Incarnation.IsZero(),
	})
}

// write writes differences. For what they put over the owner's quota the oldest of the history and the trash makes room, once they are
// committed: the files alone are within it. However much of that there is, whoever writes does not wait for it with the drive's lock.
func (d *Drive) write(ctx context.Context, tx *postgres.Tx, diffs []tree.Diff, by postgres.Author, answer postgres.Answer) error {
	drive := diffs[len(diffs)-1].Drive
	if drive.Quota > 0 && drive.Stored > drive.Quota && slices.ContainsFunc(diffs, func(d tree.Diff) bool { return len(d.Versions) > 0 }) {
		tx.Then(func() { d.s.over.add(postgres.OwnedDrive{Drive: d.id, Owner: d.owner}) })
	}
	return tx.Write(ctx, diffs, by, answer)
}

// named is the chunks that a batch names.
func named(batch []api.Mutation) []api.Hash {
	seen := map[api.Hash]bool{}
	var hashes []api.Hash
	for _, m := range batch {
		if m.Version == nil {
			continue
		}
		for _, c := range m.Version.Chunks {
			if !seen[c.Hash] {
				seen[c.Hash] = true
				hashes = append(hashes, c.Hash)
			}
		}
	}
	return hashes
}

// change applies the mutations that build makes of the drive as it is, while
// nobody else may change it: for the APIs, whose requests are whole by
// themselves. They may name the given chunks. If one is not applied as asked
// nothing is, and the error says why.
func (d *Drive) change(ctx context.Context, chunks []api.Hash, build func(context.Context, *postgres.Tx) ([]api.Mutation, error)) error {
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		locked, err := tx.Lock(ctx, d.id, d.owner, d.author(), chunks)
		if err != nil {
			return err
		}
		if err := d.hold(ctx, tx); err != nil {
			return err
		}
		batch, err := build(ctx, tx)
		if err != nil {
			return err
		}
		_, err = d.applyWhole(ctx, tx, locked, chunks, batch)
		return err
	})
}

// author is of changes that did not come in a device's batch.
func (d *Drive) author() postgres.Author { return postgres.Author{Device: d.caller.Device} }

// applyWhole applies mutations to a locked drive, all or none. Chunks that they
// name are of what is there already, and may be lost like that.
func (d *Drive) applyWhole(ctx context.Context, tx *postgres.Tx, locked postgres.Locked, chunks []api.Hash, batch []api.Mutation) (tree.Diff, error) {
	if len(batch) == 0 {
		return tree.Diff{}, nil
	}
	if !d.own() {
		if err := tx.Act(ctx, &locked, needs(batch), chunks); err != nil {
			return tree.Diff{}, err
		}
	}
	maps.Copy(locked.Chunks, locked.Lost)
	diff, answer, err := d.apply(ctx, tx, locked, d.author(), 0, batch)
	if err != nil {
		return diff, err
	}
	return diff, wholly(answer.Outcomes)
}

// wholly is why not all mutations were applied as asked.
func wholly(outcomes []api.Outcome) error {
	for _, o := range outcomes {
		switch o.Status {
		case api.Applied:
		case api.Refused:
			return api.Errorf(o.Kind, "%s", o.Message)
		default:
			return api.Errorf(api.Conflict, "another device changed this meanwhile")
		}
	}
	return nil
}
