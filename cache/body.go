package cache

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"satchel/api"
)

// request asks for n bytes (n < 0: all) of a version from an offset on; the answer must begin within patience.
func (d *Drive) request(ctx context.Context, id, version api.ID, off, n int64) (*patientBody, error) {
	type answer struct {
		body io.ReadCloser
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	ch := make(chan answer, 1)
	go func() {
		body, err := d.cfg.Remote.Content(ctx, id, version, off, n)
		ch <- answer{body, err}
	}()
	select {
	case a := <-ch:
		if a.err != nil {
			cancel()
			return nil, a.err
		}
		return &patientBody{taking(a.body), cancel, time.AfterFunc(time.Hour, cancel)}, nil
	case <-time.After(patience):
		cancel()
		if a := <-ch; a.body != nil {
			a.body.Close()
		}
		return nil, errOffline
	}
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

// A patientBody ends its request when it is closed, or when for patience nothing arrives.
type patientBody struct {
	taker
	cancel context.CancelFunc
	timer  *time.Timer
}

// Take is that of taker.
func (b *patientBody) Take(n int) (int, error) {
	b.timer.Reset(patience)
	n, err := b.taker.Take(n)
	if !b.timer.Stop() && err != nil && err != io.EOF {
		err = errOffline
	}
	return n, err
}

// move takes up to most bytes and puts them into f from off on; it returns how many are there. What has to pass through memory
// it collects until there are least of them.
func (b *patientBody) move(f *os.File, off int64, least, most int) (n int, err error) {
	for took := 1; n < least && took > 0 && err == nil; n += took {
		took, err = b.Take(most - n)
	}
	n, failed := b.Put(f, off)
	if failed != nil { // write(2) and splice(2) put less there when that is all there is room for, and fail the next time
		return n, api.Errorf(kindOf(failed), "keep fetched content: %w", failed)
	}
	return n, err
}

func (b *patientBody) Close() error {
	b.timer.Stop()
	defer b.cancel()
	return b.taker.Close()
}
