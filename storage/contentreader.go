package storage

import (
	"context"
	"io"

	"satchel/api"
)

// ContentReader reads content from any place of it: a seek costs nothing, and
// the read after it opens the content there. It is not safe for concurrent use.
type ContentReader struct {
	ctx     context.Context
	content *Content
	off     int64
	open    io.ReadCloser
	err     error
}

// Reader is a reader at the content's start. It must be closed.
func (c *Content) Reader(ctx context.Context) *ContentReader {
	return &ContentReader{ctx: ctx, content: c}
}

// Err is why reading failed; nil if it did not.
func (r *ContentReader) Err() error { return r.err }

func (r *ContentReader) Read(p []byte) (int, error) {
	if r.off >= r.content.Size {
		return 0, io.EOF
	}
	if r.open == nil {
		if r.open, r.err = r.content.Open(r.ctx, r.off, r.content.Size-r.off); r.err != nil {
			return 0, r.err
		}
	}
	n, err := r.open.Read(p)
	r.off += int64(n)
	if err == io.EOF && r.off < r.content.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// Seek is part of [io.Seeker].
func (r *ContentReader) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += r.off
	case io.SeekEnd:
		off += r.content.Size
	}
	if off < 0 {
		return 0, api.Errorf(api.Invalid, "seek before the start")
	}
	if off != r.off {
		r.Close()
		r.off = off
	}
	return off, nil
}

// Close ends reading; a later Read begins again.
func (r *ContentReader) Close() error {
	if r.open == nil {
		return nil
	}
	err := r.open.Close()
	r.open = nil
	return err
}
