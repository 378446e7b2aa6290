package storage

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/postgres"
)

// Content is one version of a file's content. It stays readable while the file
// moves on. It is safe for concurrent use.
type Content struct {
	Size     int64 // bytes
	SHA256   api.Hash
	Version  api.ID
	Modified time.Time // when the version was committed

	drive  *Drive
	owner  api.ID
	chunks []api.Chunk

	// Where the first chunks were when the content was found. They are read from there if that is at once: later
	// they may have been moved to another pack, and the one that they were in may be no more.
	located map[api.Hash]postgres.Extent
	found   time.Time
}

// locatedFor is for how long where chunks were found is taken to be true.
var locatedFor = 2 * time.Second

// Content finds a version of the file node: the zero version means the current
// one; others must be of the same document, or have been written to the node.
// Content of a deleted file can be read by who knows its node. All else is
// [api.NotFound], and a directory's content is [api.IsDirectory].
func (d *Drive) Content(ctx context.Context, node, version api.ID) (*Content, error) {
	var row postgres.Content
	err := d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) (err error) {
		tx.Last()
		row, err = tx.Content(ctx, d.id, node, version)
		return err
	})
	if api.KindOf(err) == api.NotFound {
		if n, nodeErr := d.Node(ctx, node); nodeErr == nil && n.Type == api.Directory {
			err = api.Errorf(api.IsDirectory, "a directory has no content")
		}
	}
	if err != nil {
		return nil, err
	}
	return d.content(row), nil
}

func (d *Drive) content(row postgres.Content) *Content {
	v := row.Version
	return &Content{
		Size: v.Size, SHA256: v.SHA256, Version: v.ID, Modified: row.Modified,
		drive: d, owner: row.Owner, chunks: v.Chunks, found: time.Now(),
	}
}

// Holes is where the content is known to be zeros, without a look at the bytes: chunks of nothing else.
func (c *Content) Holes() []api.Hole {
	holes := []api.Hole{}
	off := int64(0)
	for _, k := range c.chunks {
		size := int64(k.Size)
		if chunk.IsZeros(k) {
			if last := len(holes) - 1; last >= 0 && holes[last].Off+holes[last].Size == off {
				holes[last].Size += size
			} else {
				holes = append(holes, api.Hole{Off: off, Size: size})
			}
		}
		off += size
	}
	return holes
}

// Open reads n bytes from offset off, cut at the content's end; n < 0 means to
// the end. Only the packs that the range needs are touched, and of them whole
// chunks, since what is read has been compared with its chunk's hash. The reader
// must be closed. It is [api.Unavailable] where trying again may help; what is
// gone from the store, or is not what its hash says, is [api.Internal].
func (c *Content) Open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if off < 0 || off > c.Size {
		return nil, api.Errorf(api.Invalid, "the offset %d is not within %d bytes", off, c.Size)
	}
	if n < 0 || n > c.Size-off {
		n = c.Size - off
	}
	r, err := c.open(ctx, off, n)
	if err != nil {
		return nil, err // not a nil *rangeReader
	}
	return r, nil
}

// open is Open for a range that lies within the content.
func (c *Content) open(ctx context.Context, off, n int64) (*rangeReader, error) {
	pieces, skip := cover(c.chunks, off, n)
	hashes := make([]api.Hash, len(pieces))
	for i, p := range pieces {
		hashes[i] = p.hash
	}
	found, err := c.locate(ctx, hashes)
	if err != nil {
		return nil, err
	}
	pieces, err = locate(c.Version, pieces, found)
	if err != nil {
		return nil, err
	}
	return newRangeReader(ctx, c.drive.s.blobs, c.drive.suspect(ctx), pieces, skip, n), nil
}

// locate tells where chunks are; those that are lost are left out.
func (c *Content) locate(ctx context.Context, hashes []api.Hash) (found map[api.Hash]postgres.Extent, err error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	if time.Since(c.found) < locatedFor && !slices.ContainsFunc(hashes, func(h api.Hash) bool { _, ok := c.located[h]; return !ok }) {
		return c.located, nil
	}
	err = c.drive.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) (err error) {
		tx.Last()
		if c.drive.own() {
			found, err = tx.FindChunks(ctx, c.owner, hashes)
		} else {
			found, err = tx.SharedChunks(ctx, c.drive.id, []api.ID{c.Version}, hashes)
		}
		return err
	})
	return found, err
}

// piece is a chunk, and where in a pack it is.
type piece struct {
	hash   api.Hash
	pack   api.ID
	off, n int64
}

// cover is the chunks that have bytes of a range of the content, and how many
// of the first one's are before it.
func cover(chunks []api.Chunk, off, n int64) (pieces []piece, skip int64) {
	start := int64(0)
	for _, c := range chunks {
		if start >= off+n {
			break
		}
		end := start + int64(c.Size)
		if end > off {
			if len(pieces) == 0 {
				skip = off - start
			}
			pieces = append(pieces, piece{hash: c.Hash, n: int64(c.Size)})
		}
		start = end
	}
	return pieces, skip
}

// locate finds the chunks in packs.
func locate(version api.ID, pieces []piece, chunks map[api.Hash]postgres.Extent) ([]piece, error) {
	for i := range pieces {
		e, ok := chunks[pieces[i].hash]
		if !ok {
			return nil, fmt.Errorf("version %s: the chunk %s is lost", version, pieces[i].hash)
		}
		pieces[i].pack, pieces[i].off = e.Pack, e.Off
	}
	return pieces, nil
}

// extent is one read of a pack that yields several pieces; between them are
// bytes to be skipped, at least the next chunk's header.
type extent struct {
	pack   api.ID
	off, n int64
	pieces []piece
}

// Reads are joined over gaps of at most maxGap bytes, up to maxExtent bytes:
// small enough that the next one can be opened while one is read.
const (
	maxGap    = 64 << 10
	maxExtent = 8 << 20
)

func coalesce(pieces []piece) []extent {
	var extents []extent
	for _, p := range pieces {
		if len(extents) > 0 {
			e := &extents[len(extents)-1]
			gap := p.off - (e.off + e.n)
			if e.pack == p.pack && gap >= 0 && gap <= maxGap && e.n+gap+p.n <= maxExtent {
				e.n += gap + p.n
				e.pieces = append(e.pieces, p)
				continue
			}
		}
		extents = append(extents, extent{pack: p.pack, off: p.off, n: p.n, pieces: []piece{p}})
	}
	return extents
}
