package storage

import (
	"context"
	"fmt"
	"io"
	"sync"

	"satchel/storage/blob"
)

// ahead is how many reads of packs are opened, at the same time, before they
// are needed, so that a distant store's latency passes while others are read.
// Bytes flow into no more than what the store's connections buffer.
const ahead = 4

// extentReader yields the pieces of extents one after another. It is not safe
// for concurrent use.
type extentReader struct {
	cancel context.CancelFunc
	queue  <-chan chan opened // of the extents not begun, in order
	extent extent             // the current one
	body   io.ReadCloser      // of extent; nil when its err is not
	err    error              // why the rest of extent can't be read
	at     int64              // offset in the pack that body has reached
	left   int64              // bytes of extent.pieces[0] not yet read
}

type opened struct {
	extent extent
	body   io.ReadCloser
	err    error
}

func newExtentReader(ctx context.Context, blobs blob.Store, extents []extent) *extentReader {
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan chan opened, ahead-1)
	go func() {
		defer close(queue)
		for _, e := range extents {
			one := make(chan opened, 1)
			select {
			case queue <- one:
			case <-ctx.Done():
				return
			}
			go func() {
				body, err := blobs.Get(ctx, e.pack.String(), e.off, e.n)
				one <- opened{e, body, err}
			}()
		}
	}()
	return &extentReader{cancel: cancel, queue: queue}
}

// next goes to the next piece, past what is left of this one. It is io.EOF
// after the last. Other errors are of this piece, and perhaps of more.
func (r *extentReader) next() (piece, error) {
	if len(r.extent.pieces) > 0 {
		r.extent.pieces = r.extent.pieces[1:]
	}
	if len(r.extent.pieces) == 0 {
		r.release()
		one, more := <-r.queue
		if !more {
			return piece{}, io.EOF
		}
		o := <-one
		r.extent, r.body, r.err, r.at = o.extent, o.body, o.err, o.extent.off
	}
	p := r.extent.pieces[0]
	r.left = 0
	if r.err == nil {
		n, err := io.CopyN(io.Discard, r.body, p.off-r.at)
		r.at, r.left = r.at+n, p.n
		r.broken(err)
	}
	return p, r.failure()
}

// Read reads of the current piece, to its end.
func (r *extentReader) Read(b []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.failure()
	case r.left == 0:
		return 0, io.EOF
	}
	n, err := r.body.Read(b[:min(int64(len(b)), r.left)])
	r.left -= int64(n)
	r.at += int64(n)
	if err == io.EOF && r.left == 0 {
		err = nil
	}
	r.broken(err)
	return n, r.failure()
}

// sendTo writes up to n bytes of the current piece to w; see [ContentReader.SendTo].
func (r *extentReader) sendTo(w io.Writer, n int64) (sent int64, err error) {
	n = min(n, r.left)
	if file, ok := r.body.(blob.Sender); ok && r.err == nil {
		sent, err = file.SendTo(w, n)
		r.left -= sent
		r.at += sent
		r.broken(err)
		return sent, r.failure()
	}
	buf := sendBuffers.Get().(*[sendPiece]byte)
	defer sendBuffers.Put(buf)
	return io.CopyBuffer(onlyWriter{w}, onlyReader{&io.LimitedReader{R: r, N: n}}, buf[:])
}

const sendPiece = 512 << 10 // bytes written at once

var sendBuffers = sync.Pool{New: func() any { return new([sendPiece]byte) }}

// onlyWriter and onlyReader make io.CopyBuffer use its buffer.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

func (r *extentReader) broken(err error) {
	if err == io.EOF {
		err = fmt.Errorf("%w at offset %d", io.ErrUnexpectedEOF, r.at)
	}
	r.err = err
}

func (r *extentReader) failure() error {
	if r.err == nil {
		return nil
	}
	return fmt.Errorf("pack %s: %w", r.extent.pack, r.err)
}

func (r *extentReader) release() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// Close lets go of the packs; nothing may be called after it.
func (r *extentReader) Close() error {
	r.cancel()
	r.release()
	for one := range r.queue {
		if o := <-one; o.body != nil {
			o.body.Close()
		}
	}
	return nil
}

// rangeReader joins the pieces of extents; it ends with their first error.
type rangeReader struct {
	pieces *extentReader
	begun  bool
	err    error
}

func newRangeReader(ctx context.Context, blobs blob.Store, extents []extent) *rangeReader {
	return &rangeReader{pieces: newExtentReader(ctx, blobs, extents)}
}

func (r *rangeReader) Read(b []byte) (int, error) {
	if err := r.ready(); err != nil {
		return 0, err
	}
	n, err := r.pieces.Read(b)
	r.err = err
	return n, err
}

// ready goes to the piece that is to be read.
func (r *rangeReader) ready() error {
	for r.err == nil && (!r.begun || r.pieces.left == 0) {
		r.begun = true
		_, r.err = r.pieces.next()
	}
	return r.err
}

// sendTo writes up to n bytes, but at most one piece, to w.
func (r *rangeReader) sendTo(w io.Writer, n int64) (int64, error) {
	if err := r.ready(); err != nil {
		return 0, err
	}
	sent, err := r.pieces.sendTo(w, n)
	r.err = err
	return sent, err
}

// Close lets go of the packs. Reading after it fails.
func (r *rangeReader) Close() error {
	r.err = io.ErrClosedPipe
	return r.pieces.Close()
}
