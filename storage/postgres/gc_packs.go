package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// KeptPack is an object of the blob store.
type KeptPack struct {
	ID    api.ID
	Bytes int64
}

// DiscardPacks removes the rows of an owner's packs from before a time that
// hold no chunks any more. Their objects stay until [Keeper.Discarded] names them.
func (k *Keeper) DiscardPacks(ctx context.Context, owner api.ID, before time.Time) (n int64, err error) {
	err = k.within(ctx, func(tx pgx.Tx) (err error) {
		n, err = affected(tx.Exec(ctx, discard+`
			DELETE FROM packs p
			WHERE p.owner = $1 AND p.created < $2 AND NOT EXISTS (SELECT FROM chunks c WHERE c.owner = $1 AND c.pack = p.id)
			RETURNING p.id, p.bytes)`+discarded, owner, before))
		return err
	})
	return n, err
}

const (
	discard   = `WITH gone (id, bytes) AS (`
	discarded = ` INSERT INTO discarded_packs (id, bytes) SELECT id, bytes FROM gone`
)

// Discarded names up to limit objects that were discarded before a time.
func (k *Keeper) Discarded(ctx context.Context, before time.Time, limit int) ([]KeptPack, error) {
	return collect[KeptPack](ctx, k, `SELECT id, bytes FROM discarded_packs WHERE at < $1 ORDER BY at LIMIT $2`, before, limit)
}

// Deleted tells that a discarded object was deleted.
func (k *Keeper) Deleted(ctx context.Context, id api.ID) error {
	_, err := k.conn.Exec(ctx, `DELETE FROM discarded_packs WHERE id = $1`, id)
	return classify(err)
}

// UnknownPacks is those of the objects that no row knows.
func (k *Keeper) UnknownPacks(ctx context.Context, ids []api.ID) ([]api.ID, error) {
	return k.ids(ctx, `
		SELECT x FROM unnest($1::uuid[]) x
		WHERE NOT EXISTS (SELECT FROM packs p WHERE p.id = x) AND NOT EXISTS (SELECT FROM discarded_packs d WHERE d.id = x)`, ids)
}

// SparsePack is a pack of which most is garbage, or that is damaged.
type SparsePack struct {
	ID    api.ID
	Bytes int64
	Live  int64 // bytes of the chunks that are still there, and not lost
}

// SparsePacks lists an owner's packs from before a time in which garbage takes
// more than half, and at least waste bytes, or that are damaged; the emptiest
// first. One in which all is lost is left out.
func (k *Keeper) SparsePacks(ctx context.Context, owner api.ID, before time.Time, waste int64) ([]SparsePack, error) {
	return collect[SparsePack](ctx, k, `
		SELECT p.id, p.bytes, x.live
		FROM packs p
		JOIN (SELECT pack, sum(len) AS live FROM chunks WHERE owner = $1 AND lost IS NULL GROUP BY pack) x ON x.pack = p.id
		WHERE p.owner = $1 AND p.created < $2 AND (p.damaged OR x.live * 2 < p.bytes AND p.bytes - x.live >= $3)
		ORDER BY x.live, p.id`, owner, before, waste)
}

// PackChunks lists the chunks of a pack that are still there, by offset.
func (k *Keeper) PackChunks(ctx context.Context, owner, pack api.ID) ([]Extent, error) {
	return collect[Extent](ctx, k, `
		SELECT sha256, pack, off, len FROM chunks WHERE owner = $1 AND pack = $2 ORDER BY off`, owner, pack)
}

// WholeChunks is PackChunks without those that are marked as lost.
func (k *Keeper) WholeChunks(ctx context.Context, owner, pack api.ID) ([]Extent, error) {
	return collect[Extent](ctx, k, `
		SELECT sha256, pack, off, len FROM chunks WHERE owner = $1 AND pack = $2 AND lost IS NULL ORDER BY off`, owner, pack)
}

// ReplacePacks makes a new pack known, says that the chunks are there, and
// discards the old packs, which must have no others: all or nothing. Chunks that
// went meanwhile are left out; those that are lost stay behind, and the packs with them.
func (k *Keeper) ReplacePacks(ctx context.Context, owner api.ID, old []api.ID, pack KeptPack, chunks []Extent, step func()) error {
	return k.within(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO packs (owner, id, bytes) VALUES ($1, $2, $3)`, owner, pack.ID, pack.Bytes); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			UPDATE chunks c SET pack = $2, off = x.off, lost = NULL
			FROM unnest($4::bytea[], $5::int[]) x (sha256, off)
			WHERE c.owner = $1 AND c.sha256 = x.sha256 AND c.pack = ANY ($3)`, owner, pack.ID, old,
			column(chunks, func(e *Extent) api.Hash { return e.Hash }),
			column(chunks, func(e *Extent) int64 { return e.Off }))
		if err != nil {
			return err
		}
		var others int
		err = tx.QueryRow(ctx, `SELECT count(*) FROM chunks WHERE owner = $1 AND pack = ANY ($2) AND lost IS NULL`, owner, old).Scan(&others)
		if err == nil && others > 0 {
			err = fmt.Errorf("%d packs can't be replaced: they hold %d other chunks", len(old), others)
		}
		if err == nil {
			_, err = tx.Exec(ctx, discard+`
				DELETE FROM packs p
				WHERE p.owner = $1 AND p.id = ANY ($2) AND NOT EXISTS (SELECT FROM chunks c WHERE c.owner = $1 AND c.pack = p.id)
				RETURNING p.id, p.bytes)`+discarded, owner, old)
		}
		step()
		return err
	})
}
