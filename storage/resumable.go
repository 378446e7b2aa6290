package storage

import (
	"context"
	"crypto/sha256"
	"encoding"
	"hash"
	"io"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// resumablePart is how much of an upload is stored at once: what a connection
// that breaks loses at most, in bytes. A part that has less is extended by what comes next, so that it is bytes and not requests
// of which an upload has a bound.
const resumablePart = 32 << 20

// MaxResumable is the largest upload in bytes: all its parts but two have resumablePart at least.
const MaxResumable int64 = (MaxParts - 1) * resumablePart

// maxResumables bounds how many uploads are listed.
const maxResumables = 200

// Resumable is an upload of one file whose bytes come in several requests. All
// that is known of it is in the stores, so that it goes on after a restart, and with
// another server.
type Resumable struct {
	ID      api.ID
	Path    []api.Name
	Fields  map[string]string // what the client says about the file
	Size    int64             // bytes that it will have
	Offset  int64             // bytes that are stored; the next ones are from here
	Created time.Time
	Expires time.Time
}

// ResumableOptions says what comes of an upload, and how it becomes a file.
type ResumableOptions struct {
	Length      int64   // bytes that the body is said to have: more than the upload lacks are refused at once; 0 = nobody knows
	Description *string // nil leaves the document's as it is
	Mtime       int64   // ns; 0 = when it was complete
}

func resumable(r postgres.Resumable) (Resumable, error) {
	path, err := api.ParsePath(string(api.Unescape(r.Path)))
	u := Resumable{ID: r.ID, Path: path, Fields: r.Fields, Size: r.Size, Offset: r.Bytes, Created: r.Created, Expires: r.Created.Add(uploadAge)}
	switch {
	case r.Done:
		u.Offset = r.Size
	case r.Bytes == r.Size: // whoever sends the last part makes the file
		u.Offset -= r.Last
	}
	return u, err
}

// BeginResumable begins an upload of size bytes to a path. The id is new, or one that the client chose. It is [api.Conflict] if the
// drive has an upload of that id, [api.Quota] if there is no room for it, and [api.TooLarge] beyond [MaxResumable].
func (d *Drive) BeginResumable(ctx context.Context, id api.ID, path []api.Name, size int64, fields map[string]string) (u Resumable, err error) {
	if err := checkPath(path); err != nil {
		return u, err
	}
	if size < 0 {
		return u, api.Errorf(api.Invalid, "an upload has a size in bytes")
	}
	if size > MaxResumable {
		return u, api.Errorf(api.TooLarge, "an upload has at most %d bytes", MaxResumable)
	}
	limit, err := d.partRoom(ctx)
	if err != nil {
		return u, err
	}
	if limit.bytes >= 0 && size > limit.bytes {
		return u, limit.exceeded()
	}
	row := postgres.Resumable{ID: id, Path: api.Name(api.JoinPath(path)).Escape(), Fields: fields, Size: size}
	err = d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if err := tx.AddResumable(ctx, d.id, d.root, d.owner, row); err != nil {
			return err
		}
		row, err = tx.Resumable(ctx, d.id, d.root, row.ID)
		return err
	})
	if err != nil {
		return u, err
	}
	return resumable(row)
}

// Resumable is an upload to the drive. One that is complete can be asked for,
// too, until it expires. All others are [api.NotFound].
func (d *Drive) Resumable(ctx context.Context, id api.ID) (Resumable, error) {
	row, err := d.resumableRow(ctx, id)
	if err != nil {
		return Resumable{}, err
	}
	return resumable(row)
}

func (d *Drive) resumableRow(ctx context.Context, id api.ID) (row postgres.Resumable, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		row, err = tx.Resumable(ctx, d.id, d.root, id)
		return err
	})
	return row, err
}

// Resumables lists the newest unfinished uploads to the drive.
func (d *Drive) Resumables(ctx context.Context) (all []Resumable, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		rows, err := tx.Resumables(ctx, d.id, d.root, maxResumables)
		for _, row := range rows {
			u, err := resumable(row)
			if err != nil {
				return err
			}
			all = append(all, u)
		}
		return err
	})
	return all, err
}

// AbortResumable gives an upload up. Its chunks are left to the garbage collection.
func (d *Drive) AbortResumable(ctx context.Context, id api.ID) error {
	return d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := tx.Resumable(ctx, d.id, d.root, id); err != nil {
			return err
		}
		return tx.RemoveUpload(ctx, d.id, id)
	})
}

// AbortEmptyResumable gives an upload up unless some of it is stored, or it is over.
func (d *Drive) AbortEmptyResumable(ctx context.Context, id api.ID) error {
	err := d.as(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		row, err := tx.LockResumable(ctx, d.id, d.root, id)
		if err != nil || row.Done || row.Parts > 0 {
			return err
		}
		return tx.RemoveUpload(ctx, d.id, id)
	})
	if api.KindOf(err) == api.NotFound {
		err = nil
	}
	return err
}

// Append stores what body has at an offset of an upload, and makes the file when
// all its bytes are there; both happen at once, so an upload of which all is
// stored is a file. It streams, with flat memory. When body breaks off what came is
// kept, and its error returned. An offset that is not the upload's is [api.Conflict], as
// is another request that is quicker; more than the size is [api.TooLarge], and makes no file.
//
// The path may lead through binds. The bytes are stored again where it leads to then; while they are, it is
// [api.Unavailable] to others.
func (d *Drive) Append(ctx context.Context, id api.ID, offset int64, body io.Reader, o ResumableOptions) (Resumable, error) {
	// What came is worth keeping though whoever sent it has gone.
	ctx = context.WithoutCancel(ctx)
	if _, others := d.s.copying.Load([2]api.ID{d.id, id}); others { // before another last part is read
		return Resumable{}, errCopying()
	}
	broken := &brokenReader{r: body}
	for begin := offset; ; {
		row, err := d.resumableRow(ctx, id)
		if err != nil {
			return Resumable{}, err
		}
		u, err := resumable(row)
		if err != nil {
			return u, err
		}
		if offset != u.Offset {
			return u, errOffset(u.Offset)
		}
		if o.Length > u.Size-begin {
			return u, errTooMuchSent()
		}
		if row.Done || offset == u.Size && u.Size > 0 {
			return u, tooMuch(broken)
		}
		more, err := d.appendPart(ctx, row, u, broken, o)
		if err != nil {
			return u, err
		}
		offset += more
		switch u.Offset = offset; {
		case offset == u.Size:
			return u, nil
		case more == 0 || broken.err != nil:
			return u, broken.err
		}
	}
}

func errOffset(is int64) error {
	return api.Errorf(api.Conflict, "the upload has %d bytes: go on from there", is)
}

// tooMuch is an error if there is more to read.
func tooMuch(r io.Reader) error {
	if n, _ := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return errTooMuchSent()
	}
	return nil
}

func errTooMuchSent() error {
	return api.Errorf(api.TooLarge, "there are more bytes than the upload was to have")
}

// brokenReader takes a reader's error for its end, and keeps it.
type brokenReader struct {
	r   io.Reader
	err error
}

func (b *brokenReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, io.EOF
	}
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err, err = err, io.EOF
	}
	return n, err
}

// appendPart stores one part, or more of the last one, and is how many bytes came.
func (d *Drive) appendPart(ctx context.Context, row postgres.Resumable, u Resumable, body io.Reader, o ResumableOptions) (int64, error) {
	number, again := row.Parts+1, u.Offset < row.Bytes
	if again { // the last one
		number = row.Parts
	}
	if number > MaxParts {
		return 0, api.Errorf(api.Invalid, "the upload was interrupted too often: begin it anew")
	}
	sum, err := sumFrom(row.Sum)
	if err != nil {
		return 0, err
	}
	limit, err := d.partRoom(ctx)
	if err != nil {
		return 0, err
	}
	v, err := d.upload(ctx, limit.reader(io.TeeReader(io.LimitReader(body, min(resumablePart, u.Size-u.Offset)), sum)))
	if err != nil {
		return 0, err
	}
	p := Part{Number: number, Size: v.Size, Chunks: v.Chunks}
	sum.Sum(p.SHA256[:0])
	if u.Offset+v.Size == u.Size {
		if err := tooMuch(body); err != nil {
			return 0, err
		}
		return v.Size, d.complete(ctx, row, u, p, sum, o)
	}
	if v.Size == 0 {
		return 0, nil
	}
	if !again && row.Parts > 0 && row.Last < resumablePart {
		if p, err = d.extended(ctx, row, p); err != nil {
			return 0, err
		}
	}
	state, err := sum.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return 0, err
	}
	return v.Size, d.setPart(ctx, u.ID, p, func(ctx context.Context, tx *postgres.Tx) error {
		if err := d.unchanged(ctx, tx, row); err != nil {
			return err
		}
		return tx.SetSum(ctx, d.id, u.ID, state)
	})
}

// extended is the last part of an upload with another one at its end.
func (d *Drive) extended(ctx context.Context, row postgres.Resumable, more Part) (p Part, err error) {
	var last []Part
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		last, err = tx.Parts(ctx, d.id, row.ID, row.Parts-1, 1)
		return err
	})
	if err == nil && len(last) == 0 { // it was completed, or given up
		err = errOffset(row.Bytes)
	}
	if err != nil {
		return p, err
	}
	p = last[0]
	p.Size, p.SHA256, p.Chunks = p.Size+more.Size, more.SHA256, append(p.Chunks, more.Chunks...)
	return p, nil
}

// unchanged refuses a part that another request was quicker with: what the upload has must be what it had, and is that until
// the transaction is over.
func (d *Drive) unchanged(ctx context.Context, tx *postgres.Tx, was postgres.Resumable) error {
	row, err := tx.LockResumable(ctx, d.id, d.root, was.ID)
	if err != nil {
		return err
	}
	now, err := resumable(row)
	if err == nil && (row.Done != was.Done || row.Parts != was.Parts || row.Bytes != was.Bytes || row.Last != was.Last) {
		err = errOffset(now.Offset)
	}
	return err
}

func sumFrom(state []byte) (hash.Hash, error) {
	sum := sha256.New()
	if state == nil {
		return sum, nil
	}
	return sum, sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(state)
}

// complete makes the file, of the parts and the last one.
func (d *Drive) complete(ctx context.Context, row postgres.Resumable, u Resumable, last Part, sum hash.Hash, o ResumableOptions) error {
	var parts []Part
	if err := d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) (err error) {
		parts, err = tx.Parts(ctx, d.id, u.ID, 0, last.Number-1)
		return err
	}); err != nil {
		return err
	}
	v := api.Version{ID: api.NewID(), Size: u.Size}
	for _, p := range append(parts, last) {
		v.Chunks = append(v.Chunks, p.Chunks...)
	}
	target, path, err := d.Through(ctx, u.Path)
	if err != nil {
		return err
	}
	put := PutOptions{Mtime: o.Mtime, Description: o.Description}
	if target.Same(d) {
		sum.Sum(v.SHA256[:0])
		put.with = d.finish(row)
		_, _, err = d.commitVersion(ctx, path, v, nil, put)
		return err
	}
	return d.completeElsewhere(ctx, row, last, v, target, path, put)
}

// finish ends an upload in the transaction that makes its file, if it has by then what it had.
func (d *Drive) finish(was postgres.Resumable) func(context.Context, *postgres.Tx) error {
	return func(ctx context.Context, tx *postgres.Tx) error {
		if err := d.unchanged(ctx, tx, was); err != nil {
			return err
		}
		return tx.FinishResumable(ctx, d.id, was.ID)
	}
}

// completeElsewhere stores an upload's bytes in another drive, whose owner has
// chunks of his own. This may take so long that whoever sent the last part does not wait for the answer, and sends it
// again: one copy is made at a time by each server, and of all of them the first one counts.
func (d *Drive) completeElsewhere(ctx context.Context, row postgres.Resumable, last Part, v api.Version, target *Drive, path []api.Name, put PutOptions) error {
	key := [2]api.ID{d.id, row.ID}
	if _, others := d.s.copying.LoadOrStore(key, nil); others {
		return errCopying()
	}
	defer d.s.copying.Delete(key)
	if last.Size > 0 { // so that its chunks stay meanwhile
		if err := d.setPart(ctx, row.ID, last, func(ctx context.Context, tx *postgres.Tx) error { return d.unchanged(ctx, tx, row) }); err != nil {
			return err
		}
		row.Parts, row.Bytes, row.Last = last.Number, row.Size, last.Size
	}
	body := (&Content{Size: v.Size, Version: v.ID, drive: d, owner: d.owner, chunks: v.Chunks}).Reader(ctx)
	defer body.Close()
	put.with = d.finish(row)
	_, _, err := target.Put(ctx, path, body, put)
	return err
}

func errCopying() error {
	return &api.Error{Kind: api.Unavailable, Message: "all of the upload is here, and is being stored where its path leads: ask again in a moment", RetryAfter: api.Soon()}
}
