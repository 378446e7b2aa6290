package postgres

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"satchel/api"
	"satchel/storage/tree"
)

// Author labels what a transaction writes.
type Author struct {
	Device      api.ID
	Incarnation api.ID // zero for changes that did not come in a device's batch
	Echo        bool   // the device's own feed carries the changes too
}

// Answer is what a batch was answered with.
type Answer struct {
	Number   uint64
	Outcomes []api.Outcome
	Touched  tree.Touched
}

// Locked is a drive that only this transaction may change.
type Locked struct {
	Drive  tree.Drive
	Last   Answer              // to the author's last batch; Number 0 when there was none
	Chunks map[api.Hash]uint32 // lengths of the chunks that are there; they stay until the transaction ends
	Lost   map[api.Hash]uint32 // of those that are known, and lost
}

// Lock waits until the transaction is the only one that may change the drive.
// What it returns, and what is read after it, stays true to the end of the
// transaction. A drive that the user may not change is [api.NotFound].
//
// A guest's lock is the drive's alone, and one who may change nothing in it has
// [api.Permission]: the chunks are found when he acts ([Tx.Act]).
func (tx *Tx) Lock(ctx context.Context, drive, owner api.ID, by Author, hashes []api.Hash) (Locked, error) {
	if tx.guest {
		return tx.lockShared(ctx, drive)
	}
	l, _, err := tx.lock(ctx, drive, owner, by, hashes, nil, api.ID{}, nil)
	return l, err
}

// LockFor is [Tx.Lock] by the owner for files at paths from a directory, and [Tx.AddPack] and [Tx.Walk] in the same round trip: the packs
// are made known, and the nodes on each path are found, once the drive is locked.
func (tx *Tx) LockFor(ctx context.Context, drive, owner api.ID, by Author, hashes []api.Hash, packs []Pack, dir api.ID, paths [][]api.Name) (Locked, [][]api.Node, error) {
	return tx.lock(ctx, drive, owner, by, hashes, packs, dir, paths)
}

func (tx *Tx) lock(ctx context.Context, drive, owner api.ID, by Author, hashes []api.Hash, packs []Pack, dir api.ID, paths [][]api.Name) (l Locked, walked [][]api.Node, err error) {
	var batch pgx.Batch
	batch.Queue(driveQuery+`WHERE d.id = $1 FOR NO KEY UPDATE OF d`, drive).Query(func(rows pgx.Rows) error {
		d, err := oneDrive(rows)
		l.Drive = d.working()
		return err
	})
	queuePacks(&batch, owner, packs) // after the drive, as the other chunks: in another order two uploads may wait for each other
	if !by.Incarnation.IsZero() {
		batch.Queue(`SELECT number, outcomes, touched FROM batches WHERE drive = $1 AND device = $2 AND incarnation = $3`,
			drive, by.Device, by.Incarnation).Query(l.Last.collect)
	}
	l.lockChunks(&batch, owner, hashes)
	walked = make([][]api.Node, len(paths))
	for i, path := range paths {
		batch.Queue(walkQuery, drive, dir, nonNil(path)).Query(func(rows pgx.Rows) (err error) {
			walked[i], err = pgx.CollectRows(rows, scanNode)
			return err
		})
	}
	err = tx.conn.SendBatch(ctx, &batch).Close()
	return l, walked, err
}

func (l *Locked) lockChunks(batch *pgx.Batch, owner api.ID, hashes []api.Hash) {
	l.Chunks, l.Lost = make(map[api.Hash]uint32, len(hashes)), map[api.Hash]uint32{}
	if len(hashes) == 0 {
		return
	}
	batch.Queue(lockedChunks, owner, hashes).
		Query(func(rows pgx.Rows) error {
			var h api.Hash
			var n uint32
			var lost bool
			_, err := pgx.ForEachRow(rows, []any{&h, &n, &lost}, func() error {
				if lost {
					l.Lost[h] = n
				} else {
					l.Chunks[h] = n
				}
				return nil
			})
			return err
		})
	batch.Queue(spare, owner, hashes)
}

// working is the drive as the rules of package tree have it.
func (d *Drive) working() tree.Drive {
	return tree.Drive{
		ID: d.ID, Owner: d.Owner, Root: d.Root, Epoch: d.Epoch,
		Seq: d.Seq, Files: d.Files, Bytes: d.Used, Quota: d.room(),
		Stored: d.Stored, Since: d.Since,
	}
}

func (a *Answer) collect(rows pgx.Rows) error {
	var outcomes, touched []byte
	_, err := pgx.ForEachRow(rows, []any{&a.Number, &outcomes, &touched}, func() error {
		return errors.Join(json.Unmarshal(outcomes, &a.Outcomes), json.Unmarshal(touched, &a.Touched))
	})
	return err
}
