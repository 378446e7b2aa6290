package main

import (
	"bytes"
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"satchel/api"
	"satchel/api/chunk"
)

// Chunks wait in memory for the question which of them the server lacks: for
// so many bytes, or so many chunks of small files.
const (
	askBytes  = 16 << 20
	askChunks = 4096
	askers    = 2 // at once
)

// packs are used again: a transfer of any size needs but a few.
var packs = sync.Pool{New: func() any { return new(chunk.PackWriter) }}

// uploader sends the chunks that the server lacks, each once, in packs. It is
// for one goroutine.
type uploader struct {
	tree  *tree
	ctx   context.Context
	stop  context.CancelFunc
	group errgroup.Group

	seen   chunk.Offers      // waiting, under way or sent
	hashes []api.Hash        // waiting
	pack   *chunk.PackWriter // what waits
}

func newUploader(ctx context.Context, t *tree) *uploader {
	u := &uploader{tree: t, pack: packs.Get().(*chunk.PackWriter)}
	u.ctx, u.stop = context.WithCancel(ctx)
	u.seen.Missing = u.lacking
	u.group.SetLimit(askers)
	return u
}

// add takes a copy of a chunk. It waits while much is under way.
func (u *uploader) add(c api.Chunk, data []byte) error {
	isNew, err := u.seen.Add(c.Hash)
	if err != nil || !isNew {
		return err
	}
	if err := u.pack.Add(c.Hash, data); err != nil {
		return err
	}
	u.hashes = append(u.hashes, c.Hash)
	if u.pack.Size() >= askBytes || len(u.hashes) >= askChunks {
		u.flush()
	}
	return u.ctx.Err()
}

// flush sends what waits, in the background.
func (u *uploader) flush() {
	if len(u.hashes) == 0 {
		return
	}
	hashes, pack := u.hashes, u.pack
	u.hashes, u.pack = nil, packs.Get().(*chunk.PackWriter)
	u.group.Go(func() error {
		if err := u.send(hashes, pack); err != nil {
			u.stop()
			return err // net/http may still read the pack: it is not used again
		}
		pack.Reset()
		packs.Put(pack)
		return nil
	})
}

func (u *uploader) lacking(hashes []api.Hash) ([]api.Hash, error) {
	return patiently(u.ctx, func() ([]api.Hash, error) { return u.tree.Missing(u.ctx, hashes) })
}

func (u *uploader) send(hashes []api.Hash, pack *chunk.PackWriter) error {
	lacking, err := u.lacking(hashes)
	if err != nil || len(lacking) == 0 {
		return err
	}
	if len(lacking) < len(hashes) {
		if pack, err = part(pack, lacking); err != nil || pack.Count() == 0 {
			return err
		}
	}
	_, err = patiently(u.ctx, func() (struct{}, error) { return struct{}{}, u.tree.PutPack(u.ctx, pack.Bytes()) })
	return err
}

// part is a pack of those chunks of another that are wanted.
func part(pack *chunk.PackWriter, wanted []api.Hash) (*chunk.PackWriter, error) {
	want := make(map[api.Hash]bool, len(wanted))
	for _, h := range wanted {
		want[h] = true
	}
	some := new(chunk.PackWriter)
	err := chunk.ReadPack(bytes.NewReader(pack.Bytes()), func(h api.Hash, _ int64, data []byte) error {
		if !want[h] {
			return nil
		}
		return some.Add(h, data)
	})
	return some, err
}

// finish returns when the server has every chunk that was added. After an
// error the uploader is of no more use.
func (u *uploader) finish() error {
	u.flush()
	return u.group.Wait()
}

// forget makes it send every chunk that is added again.
func (u *uploader) forget() { u.seen.Forget() }
