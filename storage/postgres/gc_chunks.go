package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// Chunks are found to be garbage from the manifests of all versions, without a
// count of references that commits would have to keep. Between the look at the
// manifests and the removal of a row a commit may name the chunk; so
//
//  1. an unreferenced chunk is condemned: a row that says so is inserted, and
//     later gets a fence, the first transaction that began after it could be seen;
//  2. who names a chunk locks it and then takes that row out ([Tx.Lock],
//     [Tx.Spare], [Tx.AddPack]);
//  3. in a later look at the manifests, that begins when all transactions before
//     the fence have ended, referenced chunks are spared, and of the others those
//     are removed that can be locked and that then are still condemned.
//
// A transaction that took the chunk before the row could be seen has ended
// before that look, which so sees what it refers to; any other one takes the
// row out, or finds the chunk gone.

// Owners lists who has packs.
func (k *Keeper) Owners(ctx context.Context) ([]api.ID, error) {
	return k.ids(ctx, `SELECT DISTINCT owner FROM packs ORDER BY owner`)
}

// Mark is one look at all manifests of an owner.
type Mark struct {
	owner api.ID
	xmin  string // all transactions before this one had ended
}

// Mark looks at the manifests of an owner's versions, and of parts of uploads
// that are not complete, and remembers the chunks
// that they name until the next call.
func (k *Keeper) Mark(ctx context.Context, owner api.ID) (Mark, error) {
	m := Mark{owner: owner}
	if _, err := k.conn.Exec(ctx, `TRUNCATE referenced`); err != nil {
		return m, classify(err)
	}
	err := k.inTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		// The snapshot is made here, before the transaction has an id of its own.
		if err := tx.QueryRow(ctx, `SELECT pg_snapshot_xmin(pg_current_snapshot())::text`).Scan(&m.xmin); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO referenced (sha256)
			SELECT substring(v.manifest FROM $2 * g + 1 FOR 32)
			FROM drives d
			CROSS JOIN LATERAL (
				SELECT manifest FROM versions WHERE drive = d.id
				UNION ALL
				SELECT manifest FROM parts WHERE drive = d.id) v
			CROSS JOIN LATERAL generate_series(0, octet_length(v.manifest) / $2 - 1) g
			WHERE d.owner = $1`, owner, manifestRecord)
		return err
	})
	if err == nil {
		_, err = k.conn.Exec(ctx, `ANALYZE referenced`)
	}
	return m, classify(err)
}

// Condemn spares the condemned chunks that are referenced after all, and
// condemns the unreferenced ones of packs from before a time.
func (k *Keeper) Condemn(ctx context.Context, m Mark, before time.Time, step func()) (condemned int64, err error) {
	err = k.within(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM condemned k USING referenced r WHERE k.owner = $1 AND k.sha256 = r.sha256`, m.owner); err != nil {
			return err
		}
		condemned, err = affected(tx.Exec(ctx, `
			INSERT INTO condemned (owner, sha256)
			SELECT c.owner, c.sha256
			FROM chunks c JOIN packs p ON p.owner = c.owner AND p.id = c.pack
			WHERE c.owner = $1 AND p.created < $2 AND NOT EXISTS (SELECT FROM referenced r WHERE r.sha256 = c.sha256)
			ON CONFLICT DO NOTHING`, m.owner, before))
		return err
	})
	if err != nil {
		return 0, err
	}
	step()
	return condemned, k.within(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE condemned SET fence = pg_snapshot_xmax(pg_current_snapshot()) WHERE owner = $1 AND fence IS NULL`, m.owner)
		return err
	})
}

// RemoveChunks removes what was condemned before a time. The chunks that m
// found referenced must have been spared ([Keeper.Condemn]).
func (k *Keeper) RemoveChunks(ctx context.Context, m Mark, before time.Time, step func()) (chunks, bytes int64, err error) {
	var after api.Hash
	for {
		var due []api.Hash
		var n, sum int64
		err := k.within(ctx, func(tx pgx.Tx) error {
			rows, _ := tx.Query(ctx, `
				SELECT sha256 FROM condemned
				WHERE owner = $1 AND sha256 > coalesce($2::bytea, '') AND at < $3 AND fence <= $4::text::xid8
				ORDER BY sha256 LIMIT $5`, m.owner, after, before, m.xmin, removeBatch)
			var err error
			if due, err = pgx.CollectRows(rows, pgx.RowTo[api.Hash]); err != nil || len(due) == 0 {
				return err
			}
			rows, _ = tx.Query(ctx, `
				SELECT sha256 FROM chunks WHERE owner = $1 AND sha256 = ANY ($2) FOR UPDATE SKIP LOCKED`, m.owner, due)
			locked, err := pgx.CollectRows(rows, pgx.RowTo[api.Hash])
			if err != nil {
				return err
			}
			// A statement of its own: it sees who took a row out before the lock.
			return tx.QueryRow(ctx, `
				WITH doomed AS (
					DELETE FROM condemned WHERE owner = $1 AND sha256 = ANY ($2) RETURNING sha256
				), gone AS (
					DELETE FROM chunks c USING doomed d WHERE c.owner = $1 AND c.sha256 = d.sha256 RETURNING c.len
				)
				SELECT count(*), coalesce(sum(len), 0) FROM gone`, m.owner, nonNil(locked)).Scan(&n, &sum)
		})
		if err != nil || len(due) == 0 {
			return chunks, bytes, err
		}
		after = due[len(due)-1]
		chunks, bytes = chunks+n, bytes+sum
		step()
	}
}
