package storage

import (
	"context"
	"crypto/sha256"

	"satchel/api"
	"satchel/storage/blob"
	"satchel/storage/postgres"
)

// suspect is what a reader does about a chunk that it could not read: it looks
// once more, and if the bytes are not in the store the chunk is marked as lost. It
// counts as missing then ([Drive.Missing]), until somebody sends it. Of what can't be
// told nothing is marked. Whoever reads, it is the owner's row that is marked.
func (d *Drive) suspect(ctx context.Context) func(piece) {
	return func(p piece) {
		marked := false
		gone, err := gone(ctx, d.s.blobs, p)
		if err == nil && gone {
			err = d.s.db.As(ctx, d.owner, func(ctx context.Context, tx *postgres.Tx) error {
				marked, err = tx.MarkLost(ctx, d.owner, postgres.Extent{Hash: p.hash, Pack: p.pack, Off: p.off, Len: p.n})
				return err
			})
		}
		switch {
		case err != nil:
			d.s.log.Warn("it can't be told whether a chunk is lost", "pack", p.pack, "chunk", p.hash, "err", err)
		case marked:
			d.s.log.Error("a chunk is lost: whoever has it is asked for it", "owner", d.owner, "pack", p.pack, "chunk", p.hash)
		}
	}
}

// gone tells whether a chunk's bytes are not in its pack.
func gone(ctx context.Context, blobs blob.Store, p piece) (bool, error) {
	pack := blob.NewParts(blobs, p.pack.String(), p.off+p.n)
	defer pack.Close()
	data := make([]byte, p.n)
	err := pack.Read(ctx, data, p.off)
	if blob.Gone(err) {
		return true, nil
	}
	return err == nil && api.Hash(sha256.Sum256(data)) != p.hash, err
}
