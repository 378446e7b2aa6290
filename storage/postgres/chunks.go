package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// MissingChunks is those of the hashes that the owner's packs do not hold.
func (tx *Tx) MissingChunks(ctx context.Context, owner api.ID, hashes []api.Hash) ([]api.Hash, error) {
	rows, _ := tx.conn.Query(ctx, `
		SELECT DISTINCT h
		FROM unnest($2::bytea[]) h
		WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.owner = $1 AND c.sha256 = h)`, owner, nonNil(hashes))
	return pgx.CollectRows(rows, pgx.RowTo[api.Hash])
}

// Extent is where a chunk's bytes are.
type Extent struct {
	Hash api.Hash
	Pack api.ID
	Off  int64 // in the pack
	Len  int64
}

// FindChunks is where chunks are; those that are not here are left out.
func (tx *Tx) FindChunks(ctx context.Context, owner api.ID, hashes []api.Hash) (map[api.Hash]Extent, error) {
	found := make(map[api.Hash]Extent, len(hashes))
	rows, _ := tx.conn.Query(ctx, `
		SELECT sha256, pack, off, len FROM chunks WHERE owner = $1 AND sha256 = ANY ($2)`, owner, nonNil(hashes))
	var e Extent
	_, err := pgx.ForEachRow(rows, []any{&e.Hash, &e.Pack, &e.Off, &e.Len}, func() error {
		found[e.Hash] = e
		return nil
	})
	return found, err
}

// AddPack makes a stored pack and its chunks known. Chunks that another pack
// holds already stay there. The chunks must be sorted by hash, each once, so
// that two packs with the same chunks can't wait for each other.
func (tx *Tx) AddPack(ctx context.Context, owner, pack api.ID, bytes int64, chunks []Extent) error {
	var batch pgx.Batch
	batch.Queue(`INSERT INTO packs (owner, id, bytes) VALUES ($1, $2, $3)`, owner, pack, bytes)
	batch.Queue(`
		INSERT INTO chunks (owner, pack, sha256, off, len)
		SELECT $1, $2, x.* FROM unnest($3::bytea[], $4::int[], $5::int[]) x
		ON CONFLICT (owner, sha256) DO NOTHING`,
		owner, pack,
		column(chunks, func(e *Extent) api.Hash { return e.Hash }),
		column(chunks, func(e *Extent) int64 { return e.Off }),
		column(chunks, func(e *Extent) int64 { return e.Len }))
	return tx.conn.SendBatch(ctx, &batch).Close()
}

// Content is a version of a file as it is stored.
type Content struct {
	Version  api.Version
	Owner    api.ID
	Modified time.Time // when it was committed
}

// Content is a version of a file node: its current one when version is zero,
// else one of its document's, or that was written to it. A node that is no
// file has none: [api.NotFound], as for missing ones.
func (tx *Tx) Content(ctx context.Context, drive, node, version api.ID) (Content, error) {
	var c Content
	var manifest []byte
	err := tx.conn.QueryRow(ctx, `
		SELECT v.id, v.size, v.sha256, v.manifest, v.owner, v.created
		FROM nodes n
		JOIN versions v ON v.drive = n.drive AND v.id = coalesce($3, n.version)
		WHERE n.drive = $1 AND n.id = $2
		  AND (v.id = n.version OR v.document = n.document OR v.node = n.id)`, drive, node, version).
		Scan(&c.Version.ID, &c.Version.Size, &c.Version.SHA256, &manifest, &c.Owner, &c.Modified)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "there is no such content")
	}
	c.Version.Chunks = unpackManifest(manifest)
	return c, err
}
