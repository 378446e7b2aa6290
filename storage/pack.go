package storage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/fault"
	"satchel/storage/postgres"
)

// Missing is those of the hashes that must be sent before a version can name
// them. More than [api.MaxMissing] hashes are [api.TooLarge].
func (d *Drive) Missing(ctx context.Context, hashes []api.Hash) (missing []api.Hash, err error) {
	if len(hashes) > api.MaxMissing {
		return nil, api.Errorf(api.TooLarge, "at most %d hashes may be asked for at once, not %d", api.MaxMissing, len(hashes))
	}
	if !d.own() { // what the owner has is not a guest's to know
		err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
			if err := tx.SpareShared(ctx, d.id, hashes); err != nil {
				return err
			}
			missing, err = tx.GuestMissing(ctx, d.id, hashes)
			return err
		})
		return missing, err
	}
	var condemned []api.Hash
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		tx.Last()
		missing, condemned, err = tx.MissingChunks(ctx, d.owner, hashes)
		return err
	})
	if err != nil || len(condemned) == 0 {
		return missing, err
	}
	// What the caller is told to be here must be here when it commits.
	var gone []api.Hash
	err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		gone, err = tx.Spare(ctx, d.owner, condemned)
		return err
	})
	return append(missing, gone...), err
}

// spareEvery is how often what was sent of a content that is still arriving is kept from garbage collection, which takes what no
// version names a day after it came, and removes it a day after that.
var spareEvery = 6 * time.Hour

// spare keeps what was sent, and what the drive's owner had, for another grace period. What is gone the commit tells.
func (d *Drive) spare(ctx context.Context, hashes []api.Hash) error {
	for part := range slices.Chunk(hashes, api.MaxMissing) {
		if _, err := d.Missing(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// PutPack stores a pack and makes its n chunks known to the drive's owner. The
// blob is durable before any row refers to it, and every chunk's SHA-256 is
// verified on the way; a pack with one that is wrong is refused whole
// ([api.Invalid], or [api.TooLarge] for one over [chunk.MaxPack]). A guest must
// be allowed to change something in the drive ([api.Permission]). A server that stood
// still for long in between has it sent again ([api.Unavailable]).
func (d *Drive) PutPack(ctx context.Context, r io.Reader) (pack api.ID, n int, err error) {
	stored, err := d.storePack(ctx, r)
	if err == nil {
		err = d.addPack(ctx, stored)
	}
	if err != nil {
		return api.ID{}, 0, err
	}
	fault.At(fault.PackKnown)
	return stored.ID, stored.sent, nil
}

// storePack is the first half of PutPack: the pack is durable, but no row tells of it yet.
func (d *Drive) storePack(ctx context.Context, r io.Reader) (p storedPack, err error) {
	p.ID = api.NewID()
	body := &counter{r: r}
	verified := chunk.NewPackReader(body, func(h api.Hash, off int64, size int) {
		p.Chunks = append(p.Chunks, postgres.Extent{Hash: h, Off: off, Len: int64(size)})
	})
	defer verified.Close()
	if err := d.s.blobs.Put(ctx, p.ID.String(), verified); err != nil {
		if verified.Err() != nil {
			return p, verified.Err()
		}
		return p, fmt.Errorf("store a pack: %w", err)
	}
	fault.At(fault.PackStored)
	p.sent, p.Bytes, p.Came = len(p.Chunks), body.n, body.last
	slices.SortFunc(p.Chunks, func(a, b postgres.Extent) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	p.Chunks = slices.CompactFunc(p.Chunks, func(a, b postgres.Extent) bool { return a.Hash == b.Hash })
	return p, nil
}

// storedPack is a pack in the blob store.
type storedPack struct {
	postgres.Pack
	sent int // chunks, repetitions too
}

// counter counts what was received, and notes when the last of it was.
type counter struct {
	r    io.Reader
	n    int64
	last time.Time
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if n > 0 {
		c.n, c.last = c.n+int64(n), time.Now()
	}
	if c.n > int64(n) { // what came before is on its way
		fault.At(fault.PackReceiving)
	}
	return n, err
}

// addPack makes a pack known that is stored.
func (d *Drive) addPack(ctx context.Context, p storedPack) error {
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if !d.own() {
			return tx.AddSharedPack(ctx, d.id, p.Pack)
		}
		err := tx.AddPack(ctx, d.owner, p.Pack)
		fault.At(fault.PackRows)
		return err
	})
}
