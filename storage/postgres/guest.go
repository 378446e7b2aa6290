package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/tree"
)

// Holds tells for each need whether the user has it, also while he acts as the drive's owner ([Tx.Act]).
func (tx *Tx) Holds(ctx context.Context, drive api.ID, needs []Need) (held []bool, err error) {
	if len(needs) == 0 {
		return nil, nil
	}
	var batch pgx.Batch
	as := func(user string) {
		if !tx.owner.IsZero() {
			batch.Queue(`SELECT set_config('satchel.user_id', $1, true)`, user)
		}
	}
	as(tx.conn.who.setting())
	batch.Queue(`SELECT holds($1, $2, $3)`, drive,
		column(needs, func(n *Need) api.ID { return n.Node }),
		column(needs, func(n *Need) int32 { return int32(n.AnyOf) })).QueryRow(func(row pgx.Row) error { return row.Scan(&held) })
	as(tx.owner.String())
	return held, tx.conn.SendBatch(ctx, &batch).Close()
}

// GuestMissing is those of the hashes that a guest has not sent to a drive
// himself: what else its owner has is not his to name.
func (tx *Tx) GuestMissing(ctx context.Context, drive api.ID, hashes []api.Hash) ([]api.Hash, error) {
	rows, _ := tx.conn.Query(ctx, `SELECT guest_missing($1, $2)`, drive, nonNil(hashes))
	return pgx.CollectRows(rows, pgx.RowTo[api.Hash])
}

// GuestBatch is what the last batch of a guest's device was answered; its
// number is 0 when there was none.
func (tx *Tx) GuestBatch(ctx context.Context, drive api.ID, by Author) (a Answer, err error) {
	rows, _ := tx.conn.Query(ctx, `SELECT number, outcomes, touched FROM guest_batch($1, $2, $3)`, drive, by.Device, by.Incarnation)
	err = a.collect(rows)
	return a, err
}

// GuestChanges is [Tx.ChangesAfter] for a guest: what he may see of it. If he
// must list again it is [api.Resync].
func (tx *Tx) GuestChanges(ctx context.Context, drive, device api.ID, after int64, limit int) (t tree.Touched, last int64, more bool, err error) {
	rows, _ := tx.conn.Query(ctx, `SELECT lost, seq, node, parent, name, to_parent, to_name, other FROM guest_changes($1, $2, $3, $4)`, drive, after, device, limit)
	n, lost := 0, false
	var c tree.Change
	_, err = pgx.ForEachRow(rows, []any{&lost, &c.Seq, &c.Node, &c.From.Parent, &c.From.Name, &c.To.Parent, &c.To.Name, &c.Other}, func() error {
		if lost {
			return api.Errorf(api.Resync, "what you may see has changed: list the drive again")
		}
		n++
		last = c.Seq
		t.Nodes = append(t.Nodes, c.Node, c.From.Parent, c.To.Parent, c.Other)
		t.Entries = append(t.Entries, c.From, c.To)
		return nil
	})
	return t.Unique(), last, n == limit, err
}

// BoundHere lists the binds whose directories are in a drive, without those
// whose directories are deleted.
func (tx *Tx) BoundHere(ctx context.Context, drive api.ID) ([]Bind, error) {
	binds, err := tx.Binds(ctx)
	if err != nil {
		return nil, err
	}
	binds = slices.DeleteFunc(binds, func(b Bind) bool { return b.Drive != drive })
	rows, _ := tx.conn.Query(ctx, `SELECT id FROM dirs WHERE drive = $1 AND id = ANY ($2)`, drive, column(binds, func(b *Bind) api.ID { return b.Node }))
	live, err := pgx.CollectRows(rows, pgx.RowTo[api.ID])
	return slices.DeleteFunc(binds, func(b Bind) bool { return !slices.Contains(live, b.Node) }), err
}
