package pg

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"satchel/api"
	"satchel/storage/blob"
)

// Get is part of [blob.Store]. The reader holds up to 4 MiB, and a connection
// only while it fetches them. An object deleted meanwhile fails it with
// [api.NotFound].
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, api.Errorf(api.NotFound, "the blob %s has no offset %d", key, off)
	}
	o := &object{ctx: ctx, s: s, key: key, at: off}
	first := partSize - off%partSize // with the size, the rest of one part
	if n >= 0 {
		first = min(first, n)
	}
	if err := o.fetch(first); err != nil {
		return nil, failed("get blob "+key, err)
	}
	if off > o.size {
		return nil, api.Errorf(api.NotFound, "the blob %s has no offset %d", key, off)
	}
	o.end = o.size
	if n >= 0 {
		o.end = min(o.end, off+n)
	}
	return o, nil
}

// object reads one upload. It is not safe for concurrent use.
type object struct {
	ctx    context.Context
	s      *Store
	key    string
	upload string // "" before the first fetch
	size   int64

	at, end int64  // of what is not in the window yet
	buf     []byte // the window's memory
	window  []byte // fetched and not read
}

func (o *object) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(o.window) == 0 {
		if o.s == nil {
			return 0, io.ErrClosedPipe
		}
		if o.at == o.end {
			return 0, io.EOF
		}
		if err := o.fetch(min(window*partSize-o.at%partSize, o.end-o.at)); err != nil {
			return 0, failed("get blob "+o.key, err)
		}
	}
	n := copy(b, o.window)
	o.window = o.window[n:]
	return n, nil
}

// Close lets go of the memory. Reading after it fails.
func (o *object) Close() error {
	o.s, o.buf, o.window = nil, nil, nil
	return nil
}

// fetch brings the next n bytes into the window, fewer at the object's end or
// before lost ones.
func (o *object) fetch(n int64) error {
	if int64(cap(o.buf)) < n {
		o.buf = make([]byte, 0, n)
	}
	return o.s.try(o.ctx, func(ctx context.Context) error {
		var b pgx.Batch
		for from := o.at; ; {
			part, skip := from/partSize, from%partSize
			take := min(partSize-skip, o.at+n-from)
			b.Queue(`SELECT upload::text, size, data FROM satchel.read_blob($1, $2, $3, $4)`, o.key, part, skip, take)
			if from += take; from >= o.at+n {
				break
			}
		}
		results := o.s.db.SendBatch(ctx, &b)
		got, err := o.receiveAll(results, b.Len(), n)
		if closed := results.Close(); err == nil {
			err = closed
		}
		if err != nil && (!errors.Is(err, blob.ErrLost) || len(got) == 0) {
			return err
		}
		o.at += int64(len(got))
		o.window = got
		return nil
	})
}

// receiveAll is the answers to a number of queries for the next n bytes, up to the first
// that lacks some: that is [blob.ErrLost].
func (o *object) receiveAll(results pgx.BatchResults, queries int, n int64) (got []byte, err error) {
	got = o.buf[:0]
	for i := range int64(queries) {
		if got, err = o.receive(results, got); damaged(err) {
			err = fmt.Errorf("%w: %w", blob.ErrLost, err)
		}
		if err != nil {
			return got, err
		}
		at, until := o.at+int64(len(got)), min((o.at/partSize+i+1)*partSize, o.at+n, o.size)
		if at < until {
			return got, fmt.Errorf("%w: from offset %d to %d", blob.ErrLost, at, until)
		}
	}
	return got, nil
}

// receive appends the answer to one query.
func (o *object) receive(results pgx.BatchResults, to []byte) ([]byte, error) {
	rows, err := results.Query()
	if err != nil {
		return to, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return to, err
		}
		return to, api.Errorf(api.NotFound, "there is no such object")
	}
	var upload string
	var data pgtype.DriverBytes // not a copy
	if err := rows.Scan(&upload, &o.size, &data); err != nil {
		return to, err
	}
	if o.upload != "" && upload != o.upload {
		return to, api.Errorf(api.Unavailable, "it was replaced while it was read")
	}
	o.upload = upload
	return append(to, data...), nil
}
