package main

import (
	"context"

	"golang.org/x/sync/errgroup"

	"satchel/api"
	"satchel/api/chunk"
)

// Chunks wait in memory for the question which of them the server lacks: for
// so many bytes, or so many chunks of small files.
const (
	askBytes  = 16 << 20
	askChunks = 4096
	askers    = 3 // at once; memory is bounded by these times askBytes, twice
)

// uploader sends the chunks that the server lacks, each once, in packs. It is
// for one goroutine.
type uploader struct {
	tree  *tree
	ctx   context.Context
	stop  context.CancelFunc
	group errgroup.Group

	seen   map[api.Hash]bool // waiting, under way or sent
	hashes []api.Hash        // waiting
	chunks [][]byte          // their bytes
	bytes  int
}

func newUploader(ctx context.Context, t *tree) *uploader {
	u := &uploader{tree: t, seen: map[api.Hash]bool{}}
	u.ctx, u.stop = context.WithCancel(ctx)
	u.group.SetLimit(askers)
	return u
}

// add takes a copy of a chunk. It waits while much is under way.
func (u *uploader) add(c api.Chunk, data []byte) error {
	if u.seen[c.Hash] {
		return nil
	}
	u.seen[c.Hash] = true
	u.hashes = append(u.hashes, c.Hash)
	u.chunks = append(u.chunks, append([]byte(nil), data...))
	if u.bytes += len(data); u.bytes >= askBytes || len(u.hashes) >= askChunks {
		u.flush()
	}
	return u.ctx.Err()
}

func (u *uploader) flush() {
	if len(u.hashes) == 0 {
		return
	}
	hashes, chunks := u.hashes, u.chunks
	u.hashes, u.chunks, u.bytes = nil, nil, 0
	u.group.Go(func() error {
		err := u.send(hashes, chunks)
		if err != nil {
			u.stop()
		}
		return err
	})
}

func (u *uploader) send(hashes []api.Hash, chunks [][]byte) error {
	lacking, err := patiently(u.ctx, func() ([]api.Hash, error) { return u.tree.Missing(u.ctx, hashes) })
	if err != nil || len(lacking) == 0 {
		return err
	}
	wanted := make(map[api.Hash]bool, len(lacking))
	for _, h := range lacking {
		wanted[h] = true
	}
	var pack chunk.PackWriter
	for i, h := range hashes {
		if !wanted[h] {
			continue
		}
		if err := pack.Add(h, chunks[i]); err != nil {
			return err
		}
	}
	if pack.Count() == 0 {
		return nil
	}
	_, err = patiently(u.ctx, func() (struct{}, error) { return struct{}{}, u.tree.PutPack(u.ctx, pack.Bytes()) })
	return err
}

// finish returns when the server has every chunk that was added. After an
// error the uploader is of no more use.
func (u *uploader) finish() error {
	u.flush()
	return u.group.Wait()
}

// forget makes it send every chunk that is added again.
func (u *uploader) forget() { clear(u.seen) }
