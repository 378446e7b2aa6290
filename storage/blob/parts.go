package blob

import (
	"context"
	"errors"
	"io"
	"syscall"

	"satchel/api"
)

// Parts reads parts of an object: those that come in order of their offsets by one
// request, of which what is between them is thrown away; by another one behind
// what can't be read. It is not safe for concurrent use.
type Parts struct {
	store Store
	key   string
	end   int64         // where the last part ends
	body  io.ReadCloser // nil: none is open
	at    int64         // the offset that body has reached
}

// NewParts begins to read parts of an object up to an offset. It must be closed.
func NewParts(store Store, key string, end int64) *Parts {
	return &Parts{store: store, key: key, end: end}
}

// Read fills b with what is at an offset. After an error another part can be read.
func (p *Parts) Read(ctx context.Context, b []byte, off int64) (err error) {
	if off < p.at {
		p.Close()
	}
	if p.body != nil {
		n, err := io.CopyN(io.Discard, p.body, off-p.at)
		if p.at += n; err != nil {
			p.Close()
		}
	}
	if p.body == nil {
		if p.body, err = p.store.Get(ctx, p.key, off, max(p.end-off, int64(len(b)))); err != nil {
			p.body = nil
			return err
		}
		p.at = off
	}
	n, err := io.ReadFull(p.body, b)
	if p.at += int64(n); err != nil {
		p.Close()
	}
	return err
}

// Close ends reading, if anything is being read.
func (p *Parts) Close() {
	if p.body != nil {
		p.body.Close()
		p.body = nil
	}
}

// Gone tells whether an error of [Parts.Read] is that the bytes are not in the
// store: there is no such object, it is shorter, or the store or its disk can't read
// it any more. An io.ErrUnexpectedEOF within another error is a broken connection's.
func Gone(err error) bool {
	return api.KindOf(err) == api.NotFound || err == io.EOF || err == io.ErrUnexpectedEOF || errors.Is(err, ErrLost) || errors.Is(err, syscall.EIO)
}
