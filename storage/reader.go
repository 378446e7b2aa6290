package storage

import (
	"context"
	"fmt"
	"io"

	"satchel/storage/blob"
)

// ahead is how many reads of packs are opened before they are needed, so that
// a distant store's latency passes while the one before is read.
const ahead = 2

// rangeReader yields the pieces of extents one after another. It holds no more
// than open readers. It is not safe for concurrent use.
type rangeReader struct {
	cancel context.CancelFunc
	opened <-chan opened
	extent extent
	body   io.ReadCloser // of extent
	at     int64         // offset in the pack that body has reached
	left   int64         // bytes of the current piece, extent.pieces[0]
	err    error
}

type opened struct {
	extent extent
	body   io.ReadCloser
	err    error
}

func newRangeReader(ctx context.Context, blobs blob.Store, extents []extent) *rangeReader {
	ctx, cancel := context.WithCancel(ctx)
	ch := make(chan opened, ahead-1)
	go func() {
		defer close(ch)
		for _, e := range extents {
			body, err := blobs.Get(ctx, e.pack.String(), e.off, e.n)
			select {
			case ch <- opened{e, body, err}:
			case <-ctx.Done():
				if body != nil {
					body.Close()
				}
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return &rangeReader{cancel: cancel, opened: ch}
}

func (r *rangeReader) Read(b []byte) (int, error) {
	for r.err == nil && r.left == 0 {
		r.err = r.next()
	}
	if r.err != nil {
		return 0, r.err
	}
	if int64(len(b)) > r.left {
		b = b[:r.left]
	}
	n, err := r.body.Read(b)
	r.left -= int64(n)
	r.at += int64(n)
	if err == io.EOF {
		err = nil
		if r.left > 0 {
			err = fmt.Errorf("pack %s: %w at offset %d", r.extent.pack, io.ErrUnexpectedEOF, r.at)
		}
	}
	r.err = err
	return n, err
}

// next goes to the next piece.
func (r *rangeReader) next() error {
	if len(r.extent.pieces) > 0 {
		r.extent.pieces = r.extent.pieces[1:]
	}
	if len(r.extent.pieces) == 0 {
		if r.body != nil {
			r.body.Close()
			r.body = nil
		}
		o, more := <-r.opened
		switch {
		case !more:
			return io.EOF
		case o.err != nil:
			return fmt.Errorf("pack %s: %w", o.extent.pack, o.err)
		}
		r.extent, r.body, r.at = o.extent, o.body, o.extent.off
	}
	p := r.extent.pieces[0]
	if _, err := io.CopyN(io.Discard, r.body, p.off-r.at); err != nil {
		return fmt.Errorf("pack %s: %w", r.extent.pack, err)
	}
	r.at, r.left = p.off, p.n
	return nil
}

// Close lets go of the packs. Reading after it fails.
func (r *rangeReader) Close() error {
	r.cancel()
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	for o := range r.opened {
		if o.body != nil {
			o.body.Close()
		}
	}
	r.left, r.err = 0, io.ErrClosedPipe
	return nil
}
