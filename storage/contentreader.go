package storage

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"syscall"

	"satchel/api"
)

// sendPiece is how many bytes are written at once.
const sendPiece = 512 << 10

// ContentReader reads content from any place of it: a seek costs nothing, and
// the read after it opens the content there. It is safe for concurrent use: net/http reads several ranges
// in a goroutine that may go on for a moment when the client is gone and the answer has ended.
type ContentReader struct {
	ctx     context.Context
	content *Content

	mu     sync.Mutex
	closed bool
	off    int64
	open   *rangeReader
	to     int64 // where open ends
	window int64 // bytes that were opened at once the last time
	err    error
}

// How much is opened at once: what a client asks for in one range at first, then
// more, so that a range near the start of a large file does not look up its every chunk.
const (
	firstWindow = 16 << 20
	mostWindow  = 256 << 20
)

// Reader is a reader at the content's start. It must be closed.
func (c *Content) Reader(ctx context.Context) *ContentReader {
	return &ContentReader{ctx: ctx, content: c}
}

// Err is why reading failed; nil if it did not.
func (r *ContentReader) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *ContentReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.off >= r.content.Size {
		return 0, io.EOF
	}
	if err := r.ready(); err != nil {
		return 0, err
	}
	n, err := r.open.Read(p)
	r.off += int64(n)
	if err == io.EOF && r.off < r.to {
		err = io.ErrUnexpectedEOF
	}
	if err == io.EOF && r.off < r.content.Size {
		err = nil
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// ready opens what is to be read next; locked.
func (r *ContentReader) ready() error {
	if r.closed {
		return fs.ErrClosed
	}
	if r.open != nil && r.off < r.to {
		return nil
	}
	r.drop()
	r.window = max(firstWindow, min(2*r.window, mostWindow))
	n := min(r.window, r.content.Size-r.off)
	if r.open, r.err = r.content.open(r.ctx, r.off, n); r.err != nil {
		return r.err
	}
	r.to = r.off + n
	return nil
}

// SendTo writes the next n bytes to w, or what there is until the content's end, in pieces of at most 512 KiB.
// Content that is in files of this machine goes by w's [io.ReaderFrom], if it has one: the kernel can then send
// it without a copy, so it is the receiver who has to compare its hash. All else is verified as Read does, which is not
// to be called afterwards without a Seek to another place. What failed in reading is told by Err, what failed in writing is not.
func (r *ContentReader) SendTo(w io.Writer, n int64) (sent int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, r.content.Size-r.off)
	to := &sink{w: w}
	for sent < n {
		if err := r.ready(); err != nil {
			return sent, err
		}
		k, err := r.open.sendTo(to, min(n-sent, sendPiece))
		sent += k
		r.off += k
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the window has more
		}
		if err != nil {
			if to.err == nil {
				r.err = err
				r.open.unsent()
			}
			return sent, err
		}
	}
	return sent, nil
}

// sink remembers that it was writing that failed.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (n int, err error) {
	n, err = s.w.Write(p)
	s.err = err
	return n, err
}

// ReadFrom is part of [io.ReaderFrom].
func (s *sink) ReadFrom(r io.Reader) (n int64, err error) {
	n, err = io.Copy(s.w, r)
	if err != nil && !errors.Is(err, syscall.EIO) { // which is a disk's, not a connection's
		s.err = err
	}
	return n, err
}

// Seek is part of [io.Seeker].
func (r *ContentReader) Seek(off int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
		r.drop()
		r.off, r.window = off, 0
	}
	return off, nil
}

// Close ends reading, once a Read that is under way has ended.
func (r *ContentReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.drop()
}

// drop closes what is open; locked.
func (r *ContentReader) drop() error {
	if r.open == nil {
		return nil
	}
	err := r.open.Close()
	r.open = nil
	return err
}
