package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// KeptDrive is a drive as the keeper sees it.
type KeptDrive struct {
	ID    api.ID
	Owner api.ID
	Email string // of the owner
	Name  string
}

// Drives lists all drives.
func (k *Keeper) Drives(ctx context.Context) ([]KeptDrive, error) {
	return collect[KeptDrive](ctx, k, `
		SELECT d.id, d.owner, u.email, d.name FROM drives d JOIN users u ON u.id = d.owner ORDER BY u.email, d.name`)
}

// removeBatch is how many rows are removed while a drive is locked: its
// commits wait some milliseconds.
const removeBatch = 1000

// deadNode is a node n that no entry leads to, that is not in the trash, nor
// was in it what is, and that last changed before $2 (by the server's clock;
// its change may be forgotten).
const deadNode = `n.nlink = 0
	AND NOT EXISTS (SELECT FROM trash t WHERE t.drive = n.drive AND t.node = n.id)
	AND NOT EXISTS (SELECT FROM trash t WHERE t.drive = n.drive AND t.parent = n.id)
	AND NOT EXISTS (SELECT FROM entries e WHERE e.drive = n.drive AND e.node = n.id)
	AND NOT EXISTS (SELECT FROM dirs d WHERE d.drive = n.drive AND d.id = n.id)
	AND NOT EXISTS (SELECT FROM drives d WHERE d.id = n.drive AND d.root = n.id)
	AND NOT EXISTS (SELECT FROM changes c WHERE c.drive = n.drive AND c.seq = n.rev AND c.at >= $2)`

// outOfPast tells that no point that the drive can be returned to had the
// node. A dead one gets no new past without changing.
const outOfPast = `
	AND NOT EXISTS (SELECT FROM past_entries p WHERE p.drive = n.drive AND p.node = n.id)
	AND NOT EXISTS (SELECT FROM past_nodes p WHERE p.drive = n.drive AND p.id = n.id)`

// unusedVersion is a version v from before $2 that no node has or had as its
// content, and whose document no node is.
const unusedVersion = `v.created < $2
	AND NOT EXISTS (SELECT FROM nodes n WHERE n.drive = v.drive AND n.version = v.id)
	AND NOT EXISTS (SELECT FROM nodes n WHERE n.drive = v.drive AND n.document = v.document)
	AND NOT EXISTS (SELECT FROM past_nodes p WHERE p.drive = v.drive AND p.version = v.id)`

// endedDocument is a document m of which there is neither a node nor a version any more.
const endedDocument = `
	NOT EXISTS (SELECT FROM nodes n WHERE n.drive = m.drive AND n.document = m.id)
	AND NOT EXISTS (SELECT FROM versions v WHERE v.drive = m.drive AND v.document = m.id)`

// RemoveNodes removes the nodes of a drive that nothing needs any more and that
// did not change since before; step is called after each batch.
func (k *Keeper) RemoveNodes(ctx context.Context, drive api.ID, before time.Time, step func()) (int64, error) {
	ids, err := k.ids(ctx, `SELECT n.id FROM nodes n WHERE n.drive = $1 AND `+deadNode+outOfPast, drive, before)
	if err != nil {
		return 0, err
	}
	return k.remove(ctx, drive, ids, step, `DELETE FROM nodes n WHERE n.drive = $1 AND n.id = ANY ($3) AND `+deadNode, before)
}

// RemoveVersions removes the versions of a drive from before a time that
// belong to no document any more, and what was said about such documents.
func (k *Keeper) RemoveVersions(ctx context.Context, drive api.ID, before time.Time, step func()) (int64, error) {
	ids, err := k.ids(ctx, `SELECT v.id FROM versions v WHERE v.drive = $1 AND `+unusedVersion, drive, before)
	if err != nil {
		return 0, err
	}
	n, err := k.remove(ctx, drive, ids, step, `
		WITH gone AS (DELETE FROM versions v WHERE v.drive = $1 AND v.id = ANY ($3) AND `+unusedVersion+` RETURNING v.size),
		counted AS (UPDATE drives SET stored = stored - (SELECT coalesce(sum(size), 0) FROM gone) WHERE id = $1)
		SELECT FROM gone`, before)
	if err != nil {
		return n, err
	}
	ids, err = k.ids(ctx, `SELECT m.id FROM documents m WHERE m.drive = $1 AND `+endedDocument, drive)
	if err != nil {
		return n, err
	}
	_, err = k.remove(ctx, drive, ids, func() {}, `DELETE FROM documents m WHERE m.drive = $1 AND m.id = ANY ($2) AND `+endedDocument)
	return n, err
}

// remove runs a statement for batches of ids, each while the drive is locked:
// what was true when they were found may be so no more, and the statement looks again. Its parameters are the drive, args, and the ids.
func (k *Keeper) remove(ctx context.Context, drive api.ID, ids []api.ID, step func(), statement string, args ...any) (removed int64, err error) {
	for batch := range slices.Chunk(ids, removeBatch) {
		var n int64
		err := k.alone(ctx, drive, func(tx pgx.Tx) (err error) {
			n, err = affected(tx.Exec(ctx, statement, slices.Concat([]any{drive}, args, []any{batch})...))
			return err
		})
		if err != nil {
			return removed, err
		}
		removed += n
		step()
	}
	return removed, nil
}

// idleIncarnation is the age from which an earlier life of a device, that the
// device has gone on from, will not ask for the answer of its last batch.
const idleIncarnation = 90 * 24 * time.Hour

// RemoveBatches removes the answers that nobody will ask for: of devices
// that are gone since before, and of their earlier lives.
func (k *Keeper) RemoveBatches(ctx context.Context, before time.Time) (removed int64, err error) {
	err = k.within(ctx, func(tx pgx.Tx) (err error) {
		removed, err = affected(tx.Exec(ctx, `
			DELETE FROM batches b
			WHERE b.at < $1 AND NOT EXISTS (SELECT FROM sessions s WHERE s.id = b.device AND s.revoked IS NULL)
			   OR b.at < $2 AND EXISTS (SELECT FROM batches l WHERE l.drive = b.drive AND l.device = b.device AND l.at > b.at)`,
			before, before.Add(-idleIncarnation)))
		return err
	})
	return removed, err
}

// ForgetChanges cuts a drive's changes from before a time: first cursors to
// them are refused, then they are removed. The last change always stays.
func (k *Keeper) ForgetChanges(ctx context.Context, drive api.ID, before time.Time, cut func()) (removed int64, err error) {
	// Looked for by itself: the update of a drive that is changed meanwhile would look again, and hold the drive for as long.
	var forgotten, known int64
	err = k.within(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			SELECT d.forgotten, greatest(d.forgotten, (SELECT coalesce(max(c.seq), 0) FROM changes c WHERE c.drive = d.id AND c.at < $2 AND c.seq < d.seq))
			FROM drives d WHERE d.id = $1`, drive, before).Scan(&known, &forgotten)
		if err != nil || forgotten == known {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE drives SET forgotten = $2 WHERE id = $1`, drive, forgotten)
		return err
	})
	if err != nil {
		return 0, err
	}
	cut()
	for {
		var n int64
		err := k.within(ctx, func(tx pgx.Tx) (err error) {
			n, err = affected(tx.Exec(ctx, `
				DELETE FROM changes WHERE drive = $1 AND seq <= least($2,
					(SELECT seq FROM changes WHERE drive = $1 ORDER BY seq OFFSET $3 LIMIT 1))`, drive, forgotten, 10*removeBatch))
			return err
		})
		removed += n
		if err != nil || n == 0 {
			return removed, err
		}
	}
}
