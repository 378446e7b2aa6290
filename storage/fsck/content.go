package fsck

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/blob"
	"satchel/storage/postgres"
)

// readers is how many packs are read at once.
const readers = 4

// packs compares the packs' rows with the objects.
func (c *check) packs(ctx context.Context) error {
	outside, err := c.keeper.OutsideChunks(ctx, chunk.FirstOffset)
	if err != nil {
		return err
	}
	for _, o := range outside {
		c.fault(Fault{What: "chunk that is not within its pack", Owner: c.emails[o.Owner], Object: o.Pack.String(), Detail: o.SHA256.String()})
		if err := c.keeper.MarkLost(ctx, o.Owner, o.Pack, []api.Hash{o.SHA256}); err != nil {
			return err
		}
	}
	// The rows first: an object is stored before its row is written.
	packs, err := c.keeper.Packs(ctx)
	if err != nil {
		return err
	}
	sizes, err := c.objects(ctx)
	if err != nil {
		return err
	}
	whole := packs[:0:0]
	for _, p := range packs {
		size, ok := sizes[p.ID]
		delete(sizes, p.ID)
		if !ok || size != p.Bytes {
			lost, err := c.lost(ctx, p, size, ok)
			if err != nil {
				return err
			}
			if lost {
				continue
			}
		}
		whole = append(whole, p)
	}
	if err := c.unknown(ctx, sizes); err != nil {
		return err
	}
	if c.Deep {
		if err := c.hash(ctx, whole); err != nil {
			return err
		}
	}
	return c.marked(ctx)
}

// marked notes all that is marked as lost: what was found now, and what somebody
// met before, of which only a deep check can tell that it is there again.
func (c *check) marked(ctx context.Context) error {
	lost, err := c.keeper.LostChunks(ctx)
	for _, l := range lost {
		c.damaged[l.Owner] = append(c.damaged[l.Owner], l.SHA256)
		c.report.Lost++
		c.report.LostBytes += l.Len
	}
	return err
}

// objects lists the blob store, and notes what may be an upload in flight if
// no row knows it.
func (c *check) objects(ctx context.Context) (map[api.ID]int64, error) {
	const step = "objects"
	sizes := map[api.ID]int64{}
	for info, err := range c.blobs.List(ctx) {
		if err != nil {
			return nil, err
		}
		id, err := api.ParseID(info.Key)
		if err != nil {
			if info.Key != blob.MarkKey {
				c.report.Strangers++
			}
			continue
		}
		sizes[id] = info.Size
		if time.Since(info.Modified) < c.Grace {
			c.fresh[id] = true
		}
		if len(sizes)%500 == 0 {
			c.Progress(step, int64(len(sizes)), c.report.Packs)
		}
	}
	c.Progress(step, int64(len(sizes)), int64(len(sizes)))
	return sizes, nil
}

// unknown counts the objects that no row knows.
func (c *check) unknown(ctx context.Context, sizes map[api.ID]int64) error {
	ids := make([]api.ID, 0, len(sizes))
	for id := range sizes {
		if !c.fresh[id] {
			ids = append(ids, id)
		}
	}
	ids, err := c.keeper.UnknownPacks(ctx, ids)
	for _, id := range ids {
		c.report.Orphans++
		c.report.OrphanBytes += sizes[id]
	}
	return err
}

// lost tells of a pack whose object is missing or has another size, if chunks are
// lost with it.
func (c *check) lost(ctx context.Context, p postgres.CheckedPack, size int64, there bool) (bool, error) {
	if !there { // listings of some stores are behind
		body, err := c.blobs.Get(ctx, p.ID.String(), 0, p.Bytes)
		switch {
		case err == nil:
			size, err = io.Copy(io.Discard, body)
			body.Close()
			if err != nil {
				return false, err
			}
			if size == p.Bytes {
				return false, nil
			}
		case api.KindOf(err) != api.NotFound:
			return false, err
		}
		if row, err := c.keeper.PackRow(ctx, p.ID); err != nil || !row {
			return true, err // its owner's account was removed meanwhile
		}
	}
	chunks, err := c.keeper.PackChunks(ctx, p.Owner, p.ID)
	if err != nil {
		return false, err
	}
	var lost []api.Hash
	for _, e := range chunks {
		if !there || e.Off+e.Len > size {
			lost = append(lost, e.Hash)
		}
	}
	if len(lost) == 0 && (!there || size < p.Bytes) { // it came again: garbage collection has the pack
		return false, nil
	}
	f := Fault{What: "pack whose object is missing", Owner: c.emails[p.Owner], Object: p.ID.String(), Detail: fmt.Sprintf("%d chunks", len(chunks))}
	if there {
		f.What = "pack whose object has another size"
		f.Detail += fmt.Sprintf(", %d bytes of %d", size, p.Bytes)
	}
	c.fault(f)
	if len(lost) == 0 { // there is more than was written
		return true, nil
	}
	return true, c.keeper.MarkLost(ctx, p.Owner, p.ID, lost)
}

// hash reads every pack, compares each chunk with its hash, and marks it as lost
// or found.
func (c *check) hash(ctx context.Context, packs []postgres.CheckedPack) error {
	const step = "content"
	var total int64
	for _, p := range packs {
		total += p.Bytes
	}
	c.Progress(step, 0, total)
	type result struct {
		pack postgres.CheckedPack
		bad  []api.Hash
	}
	results := make(chan result)
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(readers)
	produced := make(chan error, 1)
	var conn sync.Mutex // of the keeper, which nobody else uses meanwhile
	go func() {
		defer close(results)
		for _, p := range packs {
			conn.Lock()
			chunks, err := c.keeper.PackChunks(ctx, p.Owner, p.ID)
			conn.Unlock()
			if err != nil {
				produced <- cmp.Or(reading.Wait(), err) // the readers' error, if that ended ctx
				return
			}
			reading.Go(func() error {
				bad, err := c.readPack(ctx, p, chunks)
				if err != nil {
					return err
				}
				conn.Lock()
				err = c.judge(ctx, p, bad)
				conn.Unlock()
				if err != nil {
					return err
				}
				results <- result{p, bad}
				return nil
			})
		}
		produced <- reading.Wait()
	}()
	for r := range results {
		c.report.Hashed += r.pack.Bytes
		c.Progress(step, c.report.Hashed, total)
		for _, h := range r.bad {
			c.fault(Fault{What: "chunk that is not what its hash says", Owner: c.emails[r.pack.Owner], Object: r.pack.ID.String(), Detail: h.String()})
		}
	}
	return <-produced
}

// judge marks chunks of a pack as lost, and takes that mark from all others in it.
func (c *check) judge(ctx context.Context, p postgres.CheckedPack, bad []api.Hash) error {
	if len(bad) > 0 {
		if err := c.keeper.MarkLost(ctx, p.Owner, p.ID, bad); err != nil {
			return err
		}
	}
	return c.keeper.MarkFound(ctx, p.Owner, p.ID, bad)
}

// readPack reads a pack's chunks and returns those that are not what their rows,
// or the headers before them, say.
func (c *check) readPack(ctx context.Context, p postgres.CheckedPack, chunks []postgres.Extent) (bad []api.Hash, err error) {
	parts := blob.NewParts(c.blobs, p.ID.String(), p.Bytes)
	defer parts.Close()
	at := int64(0)
	buf := make([]byte, 0, 1<<20)
	for _, e := range chunks {
		begin := e.Off - chunk.RecordHeader
		if begin < at { // rows that overlap: nothing can be right
			bad = append(bad, e.Hash)
			continue
		}
		if n := int(e.Len) + chunk.RecordHeader; cap(buf) < n {
			buf = make([]byte, n)
		}
		record := buf[:e.Len+chunk.RecordHeader]
		err := parts.Read(ctx, record, begin)
		if err != nil && !blob.Gone(err) {
			return nil, fmt.Errorf("read the pack %s: %w", p.ID, err)
		}
		at = e.Off + e.Len
		if err != nil || api.Hash(record[:sha256.Size]) != e.Hash || int64(binary.BigEndian.Uint32(record[sha256.Size:])) != e.Len ||
			api.Hash(sha256.Sum256(record[chunk.RecordHeader:])) != e.Hash {
			bad = append(bad, e.Hash)
		}
	}
	return bad, nil
}

// wholes reads the versions of several chunks whose SHA-256 was never
// compared, and marks those that are right.
func (c *check) wholes(ctx context.Context) error {
	const step = "whole files"
	damaged := map[api.Hash]bool{}
	for _, hashes := range c.damaged {
		for _, h := range hashes {
			damaged[h] = true
		}
	}
	versions, err := c.keeper.Unverified(ctx)
	if err != nil {
		return err
	}
	for i, v := range versions {
		c.Progress(step, int64(i), int64(len(versions)))
		chunks, err := c.keeper.VersionChunks(ctx, v.Drive, v.ID)
		if err != nil {
			return err
		}
		sum, size, err := c.sum(ctx, chunks, damaged)
		if err != nil {
			return err
		}
		c.report.Hashed += size
		switch {
		case size != v.Size: // told of already
		case sum == v.SHA256:
			if err := c.keeper.Verified(ctx, v.Drive, v.ID); err != nil {
				return err
			}
			c.report.Verified++
		default:
			f := Fault{What: "version whose SHA-256 is not that of its bytes", Owner: c.emails[v.Owner], Detail: "version " + v.ID.String()}
			if f.Files, err = c.files(c.keeper.AffectedByVersions(ctx, v.Owner, []api.ID{v.ID})); err != nil {
				return err
			}
			c.fault(f)
		}
	}
	c.Progress(step, int64(len(versions)), int64(len(versions)))
	return nil
}

// sum is the SHA-256 of chunks one after another, and how many bytes could be read.
func (c *check) sum(ctx context.Context, chunks []postgres.Extent, damaged map[api.Hash]bool) (sum api.Hash, size int64, err error) {
	var whole chunk.Whole
	for _, e := range chunks {
		if damaged[e.Hash] {
			return sum, 0, nil
		}
		if chunk.IsZeros(api.Chunk{Hash: e.Hash, Size: uint32(e.Len)}) { // read and hashed already, as all chunks are
			whole.Zeros(e.Len)
			size += e.Len
			continue
		}
		body, err := c.blobs.Get(ctx, e.Pack.String(), e.Off, e.Len)
		if api.KindOf(err) == api.NotFound {
			return sum, 0, nil
		}
		if err != nil {
			return sum, 0, err
		}
		n, err := io.Copy(&whole, body)
		body.Close()
		if err != nil {
			return sum, 0, fmt.Errorf("read the pack %s: %w", e.Pack, err)
		}
		size += n
	}
	return whole.Sum(), size, nil
}
