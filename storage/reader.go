package storage

import (
	"context"
	"fmt"
	"io"
	"slices"

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

// sends tells whether the kernel can send the current piece.
func (r *extentReader) sends() bool {
	_, ok := r.body.(blob.Sender)
	return ok && r.err == nil
}

// sendTo writes up to n bytes of the current piece, which the kernel can send, to w.
func (r *extentReader) sendTo(w io.Writer, n int64) (int64, error) {
	sent, err := r.body.(blob.Sender).SendTo(w, min(n, r.left))
	r.left -= sent
	r.at += sent
	r.broken(err)
	return sent, r.failure()
}

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

// rangeReader yields a range of a content, chunk by chunk, each verified before
// its first byte is given out. It ends with its first error. Memory is that of one
// chunk.
type rangeReader struct {
	chunks  chunkReader
	pieces  []piece // chunks not yet begun
	skip    int64   // bytes of the next chunk that are before the range
	left    int64   // bytes of the range that are in pieces
	data    []byte  // of the current chunk, not yet yielded
	sending int64   // bytes of the current chunk that the kernel is still to send; data is empty
	err     error
}

// newRangeReader reads n bytes of chunks one after another, without the first skip bytes. What it can't read it tells to suspect.
func newRangeReader(ctx context.Context, blobs blob.Store, suspect func(piece), pieces []piece, skip, n int64) *rangeReader {
	plan := slices.Compact(slices.Clone(pieces)) // as chunkReader reads them
	return &rangeReader{
		chunks: chunkReader{pieces: newExtentReader(ctx, blobs, coalesce(plan)), suspect: suspect},
		pieces: pieces, skip: skip, left: n,
	}
}

// Read is not to be called after sendTo.
func (r *rangeReader) Read(b []byte) (int, error) {
	for r.err == nil && len(r.data) == 0 {
		r.err = r.next()
	}
	if r.err != nil {
		return 0, r.err
	}
	n := copy(b, r.data)
	r.data = r.data[n:]
	return n, nil
}

// next goes to the next chunk; io.EOF after the last.
func (r *rangeReader) next() error {
	if len(r.pieces) == 0 {
		return io.EOF
	}
	data, err := r.chunks.chunk(r.pieces[0])
	if err != nil {
		return err
	}
	from := r.skip
	r.data = data[from : from+r.take(int64(len(data)))]
	return nil
}

// take leaves the next chunk behind, and tells how many of its last has bytes are
// in the range.
func (r *rangeReader) take(has int64) int64 {
	n := min(has-r.skip, r.left)
	r.pieces, r.skip, r.left = r.pieces[1:], 0, r.left-n
	return n
}

// sendTo writes up to n bytes, but of at most one chunk, to w; see [ContentReader.SendTo].
func (r *rangeReader) sendTo(w io.Writer, n int64) (sent int64, err error) {
	if r.err == nil && len(r.data) == 0 && r.sending == 0 {
		r.err = r.begin()
	}
	switch {
	case r.err != nil:
		return 0, r.err
	case r.sending > 0:
		sent, r.err = r.chunks.pieces.sendTo(w, min(n, r.sending))
		r.sending -= sent
	default:
		var k int
		k, r.err = w.Write(r.data[:min(n, int64(len(r.data)))])
		r.data, sent = r.data[k:], int64(k)
	}
	return sent, r.err
}

// unsent is told that sendTo failed, and w did not: a chunk that the kernel was sending could not be read.
func (r *rangeReader) unsent() {
	if r.sending > 0 {
		r.chunks.suspect(r.chunks.pieces.extent.pieces[0])
	}
}

// begin is next where the kernel may send the chunk, if it is in a file.
func (r *rangeReader) begin() error {
	if len(r.pieces) == 0 {
		return io.EOF
	}
	p := r.pieces[0]
	if p == r.chunks.last || len(r.pieces) > 1 && p == r.pieces[1] {
		return r.next() // read once for all its repetitions
	}
	from := r.chunks.pieces
	if _, err := from.next(); err != nil {
		return r.chunks.failed(p, err)
	}
	if !from.sends() {
		if err := r.chunks.fill(p); err != nil {
			return err
		}
		return r.next() // it has been read
	}
	if _, err := io.CopyN(io.Discard, from, r.skip); err != nil {
		return r.chunks.failed(p, err)
	}
	r.chunks.last, r.sending = piece{}, r.take(p.n)
	return nil
}

// Close lets go of the packs. Reading after it fails.
func (r *rangeReader) Close() error {
	r.err, r.data, r.sending = io.ErrClosedPipe, nil, 0
	r.chunks.release()
	return r.chunks.pieces.Close()
}
