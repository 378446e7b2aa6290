package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"satchel/api"
)

// MissingChunks is those of the hashes that the owner's packs do not hold, or
// have lost, and those that they do hold but garbage collection is about to remove.
func (tx *Tx) MissingChunks(ctx context.Context, owner api.ID, hashes []api.Hash) (missing, condemned []api.Hash, err error) {
	collect := func(into *[]api.Hash) func(pgx.Rows) error {
		return func(rows pgx.Rows) (err error) {
			*into, err = pgx.CollectRows(rows, pgx.RowTo[api.Hash])
			return err
		}
	}
	var batch pgx.Batch
	// OFFSET 0 keeps the planner from comparing with all chunks of the owner.
	batch.Queue(`
		SELECT DISTINCT h
		FROM unnest($2::bytea[]) h
		WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.owner = $1 AND c.sha256 = h AND c.lost IS NULL OFFSET 0)`, owner, nonNil(hashes)).Query(collect(&missing))
	batch.Queue(`
		SELECT c.sha256
		FROM unnest($2::bytea[]) h
		CROSS JOIN LATERAL (SELECT FROM condemned WHERE owner = $1 AND sha256 = h OFFSET 0) k
		CROSS JOIN LATERAL (SELECT sha256 FROM chunks WHERE owner = $1 AND sha256 = h AND lost IS NULL OFFSET 0) c`, owner, nonNil(hashes)).Query(collect(&condemned))
	err = tx.conn.SendBatch(ctx, &batch).Close()
	return missing, condemned, err
}

// spare keeps chunks from being removed as garbage for another grace period.
// They must be locked by the transaction, or be of its making: garbage
// collection passes over locked chunks, and looks again once it has locked one.
const spare = `DELETE FROM condemned WHERE owner = $1 AND sha256 = ANY ($2)`

// lockedChunks keeps chunks from garbage collection until the transaction's end.
const lockedChunks = `
	SELECT c.sha256, c.len, c.lost IS NOT NULL
	FROM unnest($2::bytea[]) h
	CROSS JOIN LATERAL (SELECT sha256, len, lost FROM chunks WHERE owner = $1 AND sha256 = h OFFSET 0 FOR KEY SHARE) c`

// Spare keeps condemned chunks for another grace period; gone are those for
// which it is too late, or that are lost.
func (tx *Tx) Spare(ctx context.Context, owner api.ID, hashes []api.Hash) (gone []api.Hash, err error) {
	var batch pgx.Batch
	there := map[api.Hash]bool{}
	batch.Queue(lockedChunks, owner, hashes).
		Query(func(rows pgx.Rows) error {
			var h api.Hash
			var lost bool
			_, err := pgx.ForEachRow(rows, []any{&h, nil, &lost}, func() error {
				there[h] = !lost
				return nil
			})
			return err
		})
	batch.Queue(spare, owner, hashes)
	if err := tx.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	for _, h := range hashes {
		if !there[h] {
			gone = append(gone, h)
		}
	}
	return gone, nil
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
	rows, _ := tx.conn.Query(ctx, `
		SELECT c.sha256, c.pack, c.off, c.len
		FROM unnest($2::bytea[]) h
		CROSS JOIN LATERAL (SELECT * FROM chunks WHERE owner = $1 AND sha256 = h OFFSET 0) c`, owner, nonNil(hashes))
	return collectExtents(rows, len(hashes))
}

func collectExtents(rows pgx.Rows, n int) (map[api.Hash]Extent, error) {
	found := make(map[api.Hash]Extent, n)
	var e Extent
	_, err := pgx.ForEachRow(rows, []any{&e.Hash, &e.Pack, &e.Off, &e.Len}, func() error {
		found[e.Hash] = e
		return nil
	})
	return found, err
}

// Pack is a stored pack: its object's size, and its chunks, sorted by hash, each once.
type Pack struct {
	ID     api.ID
	Bytes  int64
	Came   time.Time // when the last of it did, by the server's clock: before the object was whole
	Chunks []Extent
}

// KnownWithin is how old a pack may be when it is made known. Garbage collection takes an object that
// stays unknown for longer for nobody's.
const KnownWithin = time.Hour

// inTime refuses packs of a server that stood still with them (a machine that was suspended): their objects may be
// gone. Now is the database's clock, and the transaction's end is not far.
func inTime(now time.Time, packs ...Pack) error {
	for _, p := range packs {
		if age := now.Sub(p.Came); age > KnownWithin {
			return api.Errorf(api.Unavailable, "the pack %s came %v ago by the database's clock, too long to be sure of it: send it again", p.ID, age.Round(time.Second))
		}
	}
	return nil
}

// AddPack makes a stored pack and its chunks known. Chunks that another pack
// holds already stay there, unless it has lost them, and get another grace period.
// A pack that came more than [KnownWithin] ago is [api.Unavailable].
func (tx *Tx) AddPack(ctx context.Context, owner api.ID, p Pack) error {
	var batch pgx.Batch
	queuePacks(&batch, owner, []Pack{p})
	return tx.conn.SendBatch(ctx, &batch).Close()
}

// queuePacks makes packs known. By the chunks' order two transactions with the same ones can't wait for each other. Of those that several
// packs have, one counts.
func queuePacks(batch *pgx.Batch, owner api.ID, packs []Pack) {
	if len(packs) == 0 {
		return
	}
	batch.Queue(`INSERT INTO packs (owner, id, bytes) SELECT $1, x.* FROM unnest($2::uuid[], $3::bigint[]) x RETURNING clock_timestamp()`, owner,
		column(packs, func(p *Pack) api.ID { return p.ID }),
		column(packs, func(p *Pack) int64 { return p.Bytes })).
		QueryRow(func(row pgx.Row) error {
			var now time.Time
			if err := row.Scan(&now); err != nil {
				return err
			}
			return inTime(now, packs...)
		})
	var chunks []Extent
	for _, p := range packs {
		for _, c := range p.Chunks {
			c.Pack = p.ID
			chunks = append(chunks, c)
		}
	}
	slices.SortStableFunc(chunks, func(a, b Extent) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	chunks = slices.CompactFunc(chunks, func(a, b Extent) bool { return a.Hash == b.Hash })
	// DO NOTHING would not wait for garbage collection to remove a chunk that is
	// there; DO UPDATE locks it, or inserts it if it went, and changes nothing
	// unless it is lost: then it is here from now on.
	hashes := column(chunks, func(e *Extent) api.Hash { return e.Hash })
	batch.Queue(`
		INSERT INTO chunks (owner, pack, sha256, off, len)
		SELECT $1, x.* FROM unnest($2::uuid[], $3::bytea[], $4::int[], $5::int[]) x
		ON CONFLICT (owner, sha256) DO UPDATE SET pack = excluded.pack, off = excluded.off, lost = NULL WHERE chunks.lost IS NOT NULL`,
		owner, column(chunks, func(e *Extent) api.ID { return e.Pack }), hashes,
		column(chunks, func(e *Extent) int64 { return e.Off }),
		column(chunks, func(e *Extent) int64 { return e.Len }))
	batch.Queue(spare, owner, hashes)
}

// MarkLost marks a chunk as lost that is not where e says, so that it counts as
// missing. One that has another place by now is left alone; marked is false then.
func (tx *Tx) MarkLost(ctx context.Context, owner api.ID, e Extent) (marked bool, err error) {
	n, err := affected(tx.conn.Exec(ctx, `
		WITH marked AS (
			UPDATE chunks SET lost = now() WHERE owner = $1 AND sha256 = $2 AND pack = $3 AND off = $4 AND lost IS NULL RETURNING pack)
		UPDATE packs SET damaged = true WHERE owner = $1 AND id IN (SELECT pack FROM marked)`,
		owner, e.Hash, e.Pack, e.Off))
	return n > 0, err
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
	// CASE and not coalesce: that might leak, PostgreSQL thinks, so under
	// row-level security it would be compared after all rows had been read.
	err := tx.conn.QueryRow(ctx, `
		SELECT v.id, v.size, v.sha256, v.manifest, v.owner, v.created
		FROM nodes n
		CROSS JOIN LATERAL (SELECT * FROM versions v WHERE v.drive = $1 AND v.id = CASE WHEN $3::uuid IS NULL THEN n.version ELSE $3 END OFFSET 0) v
		WHERE n.drive = $1 AND n.id = $2
		  AND (v.id = n.version OR v.document = n.document OR v.node = n.id)`, drive, node, version).
		Scan(&c.Version.ID, &c.Version.Size, &c.Version.SHA256, &manifest, &c.Owner, &c.Modified)
	if errors.Is(err, pgx.ErrNoRows) {
		err = api.Errorf(api.NotFound, "there is no such content")
	}
	c.Version.Chunks = unpackManifest(manifest)
	return c, err
}
