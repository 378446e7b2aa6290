package cache

import (
	"context"
	"io"
	"os"
	"sync"

	"satchel/api"
	"satchel/api/pace"
)

// offline is err, or errOffline if it is that of a call on which too little moved for whoever waits.
func offline(ctx context.Context, err error) error {
	if err != nil && pace.Stalled(ctx) != nil {
		return errOffline
	}
	return err
}

// request asks for n bytes (n < 0: all) of a version from an offset on. The answer must begin within patience, and go on.
func (d *Drive) request(ctx context.Context, id, version api.ID, off, n int64) (*patientBody, error) {
	ctx, clock := pace.With(ctx, patience)
	body, err := d.cfg.Remote.Content(ctx, id, version, off, n)
	if err != nil {
		clock.End()
		return nil, offline(ctx, err)
	}
	clock.Renew(patience)
	clock.Rest()
	return &patientBody{taker: taking(body), ctx: ctx, clock: clock}, nil
}

// A taker is a body that hands what it reads to a file. That of package api/client does it without a copy in between where
// the kernel can.
type taker interface {
	io.Closer
	// Take reads once, up to n bytes, and adds them to what Put is to write. It returns 0 without an error where that has to be written first.
	Take(n int) (int, error)
	// Put writes what was taken to f from off on, and returns how many bytes are there; errors are those of f.
	Put(f *os.File, off int64) (int, error)
}

func taking(body io.ReadCloser) taker {
	if t, ok := body.(taker); ok {
		return t
	}
	return &bufferedBody{ReadCloser: body}
}

// A bufferedBody keeps what it took in memory.
type bufferedBody struct {
	io.ReadCloser
	buf *[piece]byte
	n   int
}

var pieces = sync.Pool{New: func() any { return new([piece]byte) }}

func (b *bufferedBody) Take(n int) (took int, err error) {
	if b.buf == nil {
		b.buf = pieces.Get().(*[piece]byte)
	}
	took, err = b.Read(b.buf[b.n:min(b.n+n, piece)])
	b.n += took
	return took, err
}

func (b *bufferedBody) Put(f *os.File, off int64) (int, error) {
	n := b.n
	b.n = 0
	return f.WriteAt(b.buf[:n], off)
}

func (b *bufferedBody) Close() error {
	if b.buf != nil {
		pieces.Put(b.buf)
		b.buf = nil
	}
	return b.ReadCloser.Close()
}

// A patientBody ends its request when it is closed, or when for patience too little arrives of what is waited for.
type patientBody struct {
	taker
	ctx   context.Context
	clock *pace.Clock
	came  func(off, end int64) // told of what has come and is not written yet; may be nil
}

// Take is that of taker.
func (b *patientBody) Take(n int) (int, error) {
	b.clock.Wake()
	n, err := b.taker.Take(n)
	b.clock.Rest()
	if err != io.EOF {
		err = offline(b.ctx, err)
	}
	return n, err
}

// move takes up to most bytes and puts them into f from off on; it returns how many are there. What has to pass through memory
// it collects until there are least of them.
func (b *patientBody) move(f *os.File, off int64, least, most int) (n int, err error) {
	for took := 1; n < least && took > 0 && err == nil; {
		took, err = b.Take(most - n)
		if n += took; took > 0 && n < least && b.came != nil {
			b.came(off+int64(n-took), off+int64(n))
		}
	}
	n, failed := b.Put(f, off)
	if failed != nil { // write(2) and splice(2) put less there when that is all there is room for, and fail the next time
		return n, api.Errorf(kindOf(failed), "keep fetched content: %w", failed)
	}
	return n, err
}

func (b *patientBody) Close() error {
	defer b.clock.End()
	return b.taker.Close()
}
