package storage

import (
	"context"
	"crypto/sha256"
	"io"

	"satchel/api"
	"satchel/storage/postgres"
)

// Uploads in parts; see package postgres.
type (
	Upload = postgres.Upload
	Part   = postgres.Part
)

// MaxParts is how many parts an upload may have.
const MaxParts = 10_000

// uploadAge is how long an upload may take; [Service.Expire] gives up older ones.
const uploadAge = 7 * day

// BeginUpload begins an upload in parts to a key of the bucket.
func (b *Bucket) BeginUpload(ctx context.Context, key string, headers map[string]string) (api.ID, error) {
	id := api.NewID()
	return id, b.s.db.As(ctx, b.caller.User, func(ctx context.Context, tx *postgres.Tx) error {
		return tx.AddUpload(ctx, b.id, b.owner, postgres.Upload{ID: id, Bucket: b.root, Key: key, Headers: headers})
	})
}

// Upload is an upload to a key that is under way, and its parts after a
// number. Another is [api.NotFound].
func (b *Bucket) Upload(ctx context.Context, id api.ID, key string, after, limit int) (u Upload, parts []Part, err error) {
	err = b.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if u, err = b.findUpload(ctx, tx, id, key); err != nil {
			return err
		}
		parts, err = tx.Parts(ctx, b.id, id, after, limit)
		return err
	})
	return u, parts, err
}

func (b *Bucket) findUpload(ctx context.Context, tx *postgres.Tx, id api.ID, key string) (Upload, error) {
	u, err := tx.Upload(ctx, b.id, b.root, id)
	if err == nil && u.Key != key {
		err = api.Errorf(api.NotFound, "there is no such upload")
	}
	return u, err
}

// Uploads lists the uploads to the bucket that are under way, by key and age: those after one, of which the key and the id count, or
// those to its key and later ones if it has no id.
func (b *Bucket) Uploads(ctx context.Context, after Upload, limit int) (all []Upload, err error) {
	err = b.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		all, err = tx.Uploads(ctx, b.id, b.root, after, limit)
		return err
	})
	return all, err
}

// AbortUpload ends an upload. Its chunks are left to the garbage collection.
func (b *Bucket) AbortUpload(ctx context.Context, id api.ID, key string) error {
	return b.s.db.As(ctx, b.caller.User, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := b.findUpload(ctx, tx, id, key); err != nil {
			return err
		}
		return tx.RemoveUpload(ctx, b.id, id)
	})
}

// PutPart stores a part of an upload, with flat memory. sum is asked for its
// MD5 when all of body was read, and may refuse it.
func (b *Bucket) PutPart(ctx context.Context, id api.ID, key string, number int, body io.Reader, sum func() ([16]byte, error)) error {
	if number < 1 || number > MaxParts {
		return api.Errorf(api.Invalid, "a part's number is between 1 and %d", MaxParts)
	}
	if _, _, err := b.Upload(ctx, id, key, MaxParts, 1); err != nil {
		return err
	}
	limit, err := b.partRoom(ctx)
	if err != nil {
		return err
	}
	v, err := b.Drive.upload(ctx, limit.reader(body))
	if err != nil {
		return err
	}
	p := Part{Number: number, Size: v.Size, SHA256: v.SHA256, Chunks: v.Chunks}
	if p.MD5, err = sum(); err != nil {
		return err
	}
	return b.setPart(ctx, id, p, func(ctx context.Context, tx *postgres.Tx) error {
		_, err := b.findUpload(ctx, tx, id, key)
		return err
	})
}

// partRoom is the limit of one more part: what the parts of all uploads to the
// drive have is taken too.
func (d *Drive) partRoom(ctx context.Context) (limit room, err error) {
	if limit, err = d.room(ctx, nil); err != nil || limit.bytes < 0 {
		return limit, err
	}
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		pending, err := tx.PartsBytes(ctx, d.id)
		limit.bytes = max(0, limit.bytes-pending)
		return err
	})
	return limit, err
}

// setPart keeps a part whose chunks are stored, unless check refuses it.
// Nobody else changes the drive between its answer and the change.
func (d *Drive) setPart(ctx context.Context, upload api.ID, p Part, check func(context.Context, *postgres.Tx) error) error {
	hashes := named([]api.Mutation{{Version: &api.Version{Chunks: p.Chunks}}})
	return d.s.db.As(ctx, d.caller.User, func(ctx context.Context, tx *postgres.Tx) error {
		locked, err := tx.Lock(ctx, d.id, d.owner, postgres.Author{}, hashes)
		if err != nil {
			return err
		}
		if len(locked.Chunks) < len(hashes) {
			return api.Errorf(api.Unavailable, "a chunk of the part was collected meanwhile: send it again")
		}
		if err := check(ctx, tx); err != nil {
			return err
		}
		return tx.SetPart(ctx, d.id, d.owner, upload, p)
	})
}

// CompleteUpload makes the given parts of an upload, in their order, the content
// of the file at a path, and ends the upload; both happen at once, so an upload makes its
// file once. One that has ended meanwhile is [api.NotFound]. No bytes move; they are read
// once, for the hash of the whole, and by check, which may refuse them; nil refuses nothing.
func (b *Bucket) CompleteUpload(ctx context.Context, id api.ID, path []api.Name, parts []Part, check func(io.Reader) error, o PutOptions) error {
	v := api.Version{ID: api.NewID()}
	for _, p := range parts {
		v.Size += p.Size
		v.Chunks = append(v.Chunks, p.Chunks...)
	}
	if len(parts) == 1 && check == nil {
		v.SHA256 = parts[0].SHA256
	} else {
		r := (&Content{Size: v.Size, Version: v.ID, drive: b.Drive, owner: b.owner, chunks: v.Chunks}).Reader(ctx)
		defer r.Close()
		sum := sha256.New()
		if check != nil {
			if err := check(io.TeeReader(r, sum)); err != nil {
				return err
			}
		}
		if _, err := io.Copy(sum, r); err != nil { // what check left
			return err
		}
		sum.Sum(v.SHA256[:0])
	}
	o.with = func(ctx context.Context, tx *postgres.Tx) error { return tx.RemoveUpload(ctx, b.id, id) }
	_, _, err := b.commitVersion(ctx, path, v, nil, o)
	return err
}
