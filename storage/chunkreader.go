package storage

import (
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"satchel/api"
)

// chunkReader reads whole chunks, one after another, and a repeated one once.
type chunkReader struct {
	pieces  *extentReader
	suspect func(piece) // told of a chunk that could not be read, or is not what its hash says
	last    piece
	data    []byte
	err     error // of last
}

// chunk is the bytes of the next piece, which is the whole of a chunk. They are
// valid until the next call.
func (r *chunkReader) chunk(p piece) ([]byte, error) {
	if p == r.last {
		return r.data, r.err
	}
	if _, err := r.pieces.next(); err != nil {
		r.last, r.err = p, r.failed(p, err)
		return nil, r.err
	}
	err := r.fill(p)
	return r.data, err
}

// fill reads and verifies the piece that next has gone to.
func (r *chunkReader) fill(p piece) error {
	r.last, r.err = p, nil
	if err := r.read(p); err != nil {
		r.err = r.failed(p, err)
	}
	return r.err
}

func (r *chunkReader) read(p piece) error {
	if int64(cap(r.data)) < p.n {
		r.data = buffer(int(p.n))
	}
	r.data = r.data[:p.n]
	if _, err := io.ReadFull(r.pieces, r.data); err != nil {
		return err
	}
	if api.Hash(sha256.Sum256(r.data)) != p.hash {
		return fmt.Errorf("pack %s: the chunk %s at offset %d is damaged", p.pack, p.hash, p.off)
	}
	return nil
}

// buffers are those of readers that are done.
var buffers sync.Pool

func buffer(n int) []byte {
	if b, ok := buffers.Get().(*[]byte); ok && cap(*b) >= n {
		return *b
	}
	return make([]byte, n)
}

// release gives the buffer to others: nothing that chunk returned may be used after it.
func (r *chunkReader) release() {
	if b := r.data; cap(b) > 0 {
		r.data, r.last = nil, piece{}
		buffers.Put(&b)
	}
}

// failed tells of a chunk that could not be read, and keeps a store's "not found"
// from passing for the file's.
func (r *chunkReader) failed(p piece, err error) error {
	switch api.KindOf(err) {
	case api.Unavailable, api.Cancelled:
		return err
	}
	r.suspect(p)
	return api.Errorf(api.Internal, "%w", err)
}
