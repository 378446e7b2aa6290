package gc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/blob"
	"satchel/storage/fault"
	"satchel/storage/postgres"
)

// minWaste is how many bytes of garbage make it worth while to rewrite a pack.
const minWaste = 1 << 20

// repack rewrites packs of which most is garbage, or some is lost: their chunks
// go, verified, to new packs. What is lost stays behind; when it has come again, or
// is garbage, nothing is left of a damaged pack.
func (c *collector) repack(ctx context.Context) error {
	const step = "repack"
	owners, err := c.keeper.Owners(ctx)
	if err != nil {
		return err
	}
	for _, owner := range owners {
		sparse, err := c.keeper.SparsePacks(ctx, owner, c.before, minWaste)
		if err != nil {
			return err
		}
		var r rewrite
		for i, p := range sparse {
			c.Progress(step, int64(i), int64(len(sparse)))
			chunks, err := c.keeper.WholeChunks(ctx, owner, p.ID)
			if err != nil {
				return err
			}
			if !r.fits(chunks) {
				if err := c.replace(ctx, owner, &r); err != nil {
					return err
				}
			}
			if err := c.take(ctx, owner, &r, p, chunks); err != nil {
				return err
			}
		}
		if err := c.replace(ctx, owner, &r); err != nil {
			return err
		}
		c.Progress(step, int64(len(sparse)), int64(len(sparse)))
	}
	return nil
}

// rewrite is a new pack in the making. It holds all that is whole of old packs.
type rewrite struct {
	pack   chunk.PackWriter
	old    []api.ID
	chunks []postgres.Extent // where they will be; Pack is set later
	waste  int64
}

func (r *rewrite) fits(chunks []postgres.Extent) bool {
	size := 0
	for _, e := range chunks {
		size += int(e.Len) + chunk.RecordHeader
	}
	return r.pack.Count() == 0 || r.pack.Size()+size <= chunk.FullPack
}

// take adds the chunks of an old pack, read and verified. Those that are lost are
// marked.
func (c *collector) take(ctx context.Context, owner api.ID, r *rewrite, p postgres.SparsePack, chunks []postgres.Extent) error {
	data, lost, err := c.read(ctx, p.ID, chunks)
	if err != nil {
		return err
	}
	if len(lost) > 0 { // for fsck to tell of
		c.log.Warn("chunks in a pack are lost", "pack", p.ID, "chunks", len(lost), "such_as", lost[0])
		c.report.Damaged = append(c.report.Damaged, p.ID)
		if err := c.keeper.MarkLost(ctx, owner, p.ID, lost); err != nil {
			return err
		}
	}
	if len(lost) == len(chunks) {
		return nil
	}
	for i, e := range chunks {
		if data[i] == nil {
			continue
		}
		if err := r.pack.Add(e.Hash, data[i]); err != nil {
			return fmt.Errorf("rewrite the pack %s: %v", p.ID, err)
		}
		e.Off = int64(r.pack.Size()) - e.Len
		r.chunks = append(r.chunks, e)
	}
	r.old = append(r.old, p.ID)
	r.waste += p.Bytes - p.Live
	return nil
}

// read is the bytes of a pack's chunks, which come in order of their offsets:
// one request, of which the garbage is thrown away, costs less than one for
// each chunk. Those that are not there, or not what their hashes say, are lost, and
// nil.
func (c *collector) read(ctx context.Context, pack api.ID, chunks []postgres.Extent) (data [][]byte, lost []api.Hash, err error) {
	if len(chunks) == 0 {
		return nil, nil, nil
	}
	last := chunks[len(chunks)-1]
	parts := blob.NewParts(c.blobs, pack.String(), last.Off+last.Len)
	defer parts.Close()
	data = make([][]byte, len(chunks))
	for i, e := range chunks {
		b := make([]byte, e.Len)
		err := parts.Read(ctx, b, e.Off)
		switch {
		case blob.Gone(err), err == nil && api.Hash(sha256.Sum256(b)) != e.Hash:
			lost = append(lost, e.Hash)
		case err != nil:
			return nil, nil, fmt.Errorf("read the pack %s: %w", pack, err)
		default:
			data[i] = b
		}
	}
	return data, lost, nil
}

// replace stores the new pack, reads it back, and puts it in the place of the
// old ones, whose objects readers may go on to read for the grace period.
func (c *collector) replace(ctx context.Context, owner api.ID, r *rewrite) error {
	if r.pack.Count() == 0 {
		return nil
	}
	pack := postgres.KeptPack{ID: api.NewID(), Bytes: int64(r.pack.Size())}
	if err := c.blobs.Put(ctx, pack.ID.String(), bytes.NewReader(r.pack.Bytes())); err != nil {
		return err
	}
	fault.At(fault.PackRewritten)
	if err := c.verify(ctx, pack, r.chunks); err != nil {
		return err
	}
	fault.At(fault.PackVerified)
	if err := c.keeper.ReplacePacks(ctx, owner, r.old, pack, r.chunks, func() { fault.At(fault.ChunksMoved) }); err != nil {
		return err
	}
	fault.At(fault.PackReplaced)
	c.report.Repacked += int64(len(r.old))
	c.report.RepackedInto++
	c.report.RepackedBytes += r.waste
	r.pack.Reset()
	*r = rewrite{pack: r.pack}
	return nil
}

// verify reads a stored pack and compares every chunk and its place.
func (c *collector) verify(ctx context.Context, pack postgres.KeptPack, chunks []postgres.Extent) error {
	body, err := c.blobs.Get(ctx, pack.ID.String(), 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	n := 0
	err = chunk.ReadPack(body, func(h api.Hash, off int64, data []byte) error {
		if n == len(chunks) || chunks[n].Hash != h || chunks[n].Off != off || chunks[n].Len != int64(len(data)) {
			return fmt.Errorf("chunk %d is not what was written", n)
		}
		n++
		return nil
	})
	if err == nil && n != len(chunks) {
		err = fmt.Errorf("it has %d chunks of %d", n, len(chunks))
	}
	if err != nil {
		return fmt.Errorf("read back the new pack %s: %v", pack.ID, err)
	}
	return nil
}
