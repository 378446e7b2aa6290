package gc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/fault"
	"satchel/storage/postgres"
)

// minWaste is how many bytes of garbage make it worth while to rewrite a pack.
const minWaste = 1 << 20

// repack rewrites packs of which most is garbage: their chunks go, verified, to
// new packs.
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
			chunks, err := c.keeper.PackChunks(ctx, owner, p.ID)
			if err != nil {
				return err
			}
			if !r.fits(chunks) {
				if err := c.replace(ctx, owner, &r); err != nil {
					return err
				}
			}
			err = c.take(ctx, &r, p, chunks)
			switch api.KindOf(err) {
			case "":
			case api.NotFound, api.Invalid: // for fsck to tell of
				c.log.Warn("a pack was not rewritten", "pack", p.ID, "err", err)
				c.report.Damaged = append(c.report.Damaged, p.ID)
			default:
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

// rewrite is a new pack in the making. It holds whole old packs, each of which
// has less than half of a pack's largest size.
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

// take adds the chunks of an old pack, read and verified; all or none.
func (c *collector) take(ctx context.Context, r *rewrite, p postgres.SparsePack, chunks []postgres.Extent) error {
	data, err := c.read(ctx, p.ID, chunks)
	if err != nil {
		return err
	}
	for i, e := range chunks {
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
// each chunk. What is not what its hash says is [api.Invalid].
func (c *collector) read(ctx context.Context, pack api.ID, chunks []postgres.Extent) ([][]byte, error) {
	if len(chunks) == 0 {
		return nil, nil
	}
	first, last := chunks[0], chunks[len(chunks)-1]
	body, err := c.blobs.Get(ctx, pack.String(), first.Off, last.Off+last.Len-first.Off)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data := make([][]byte, len(chunks))
	at := first.Off
	for i, e := range chunks {
		b := make([]byte, e.Len)
		_, err := io.CopyN(io.Discard, body, e.Off-at)
		if err == nil {
			_, err = io.ReadFull(body, b)
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil, api.Errorf(api.Invalid, "the pack %s ends before its chunk %s", pack, e.Hash)
		case err != nil:
			return nil, fmt.Errorf("read the pack %s: %w", pack, err)
		case api.Hash(sha256.Sum256(b)) != e.Hash:
			return nil, api.Errorf(api.Invalid, "the chunk %s in the pack %s is damaged", e.Hash, pack)
		}
		data[i], at = b, e.Off+e.Len
	}
	return data, nil
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
