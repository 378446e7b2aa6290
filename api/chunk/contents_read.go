package chunk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"satchel/api"
)

// ReadContents reads the answer to a batch read of n contents from r and calls
// fn once for each index from 0 to n-1, in the order of the stream. v has the
// content's ID, Size and SHA256, which is for fn to check. The body is valid
// during the call, and need not be read; that of a content which could not be had, or not
// to its end, fails with an [api.Error] of the server's kind, and v is then zero or not
// to be trusted. Such a failure ends nothing: the next content follows.
//
// A stream that ends early or is malformed is [api.Unavailable]; fn may have been
// called before. An error of r is returned wrapped, one of fn as it is.
func ReadContents(r io.Reader, n int, fn func(index int, v api.Version, body io.Reader) error) error {
	c := &contentsReader{r: bufio.NewReaderSize(r, 64<<10), seen: make([]bool, n)}
	var magic [len(contentsMagic)]byte
	c.read(magic[:])
	if c.err == nil && string(magic[:]) != contentsMagic {
		c.malformed("it has another beginning")
	}
	for count := 0; c.err == nil; count++ {
		switch tag := c.byte(); {
		case c.err != nil:
		case tag == tagContent:
			c.content(fn)
		case tag == tagFailed:
			c.failed(fn)
		case tag == tagEnd:
			return c.end(count)
		default:
			c.malformed("a record of an unknown kind")
		}
	}
	return c.err
}

type contentsReader struct {
	r    *bufio.Reader
	seen []bool // indexes that were answered
	err  error  // of the stream, or of fn: nothing more is read
}

func (c *contentsReader) content(fn func(int, api.Version, io.Reader) error) {
	index := c.index()
	var head [contentHeader - 4]byte
	c.read(head[:])
	size := binary.BigEndian.Uint64(head[48:])
	if size > 1<<62 {
		c.malformed("an impossible size")
	}
	if c.err != nil {
		return
	}
	v := api.Version{ID: api.ID(head[:16]), SHA256: api.Hash(head[16:48]), Size: int64(size)}
	body := &contentBody{c: c, left: v.Size}
	c.answer(fn(index, v, body))
	if c.err == nil {
		body.skip()
	}
}

func (c *contentsReader) failed(fn func(int, api.Version, io.Reader) error) {
	index, failure := c.index(), c.failure()
	if c.err == nil {
		c.answer(fn(index, api.Version{}, &contentBody{c: c, err: failure}))
	}
}

// answer keeps what fn said, unless the stream broke in its hands: that is the
// cause then, whatever fn made of it.
func (c *contentsReader) answer(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *contentsReader) end(count int) error {
	var b [4]byte
	c.read(b[:])
	if c.err == nil && (count != len(c.seen) || binary.BigEndian.Uint32(b[:]) != uint32(count)) {
		c.malformed("it does not have what was asked for")
	}
	if c.err == nil {
		if _, err := c.r.ReadByte(); err == nil {
			c.malformed("something follows its end")
		} else if err != io.EOF {
			c.err = fmt.Errorf("read contents: %w", err)
		}
	}
	return c.err
}

func (c *contentsReader) index() int {
	var b [4]byte
	c.read(b[:])
	index := binary.BigEndian.Uint32(b[:])
	if c.err != nil {
		return 0
	}
	if uint64(index) >= uint64(len(c.seen)) || c.seen[index] {
		c.malformed("an answer to what was not asked")
		return 0
	}
	c.seen[index] = true
	return int(index)
}

// failure is the error of a content that can't be had.
func (c *contentsReader) failure() error {
	kind := make([]byte, c.byte())
	c.read(kind)
	var b [2]byte
	c.read(b[:])
	message := make([]byte, binary.BigEndian.Uint16(b[:]))
	c.read(message)
	if c.err == nil && len(kind) == 0 {
		c.malformed("a failure without a kind")
	}
	return &api.Error{Kind: api.Kind(kind), Message: string(message)}
}

func (c *contentsReader) byte() byte {
	var b [1]byte
	c.read(b[:])
	return b[0]
}

// read fills b unless the stream is broken; b is zero then.
func (c *contentsReader) read(b []byte) {
	if c.err != nil {
		clear(b)
		return
	}
	switch _, err := io.ReadFull(c.r, b); {
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		c.err = api.Errorf(api.Unavailable, "the answer broke off: %w", io.ErrUnexpectedEOF)
	case err != nil:
		c.err = fmt.Errorf("read contents: %w", err)
	}
	if c.err != nil {
		clear(b)
	}
}

func (c *contentsReader) malformed(what string) {
	if c.err == nil {
		c.err = api.Errorf(api.Unavailable, "the answer is not a stream of contents: %s", what)
	}
}

// contentBody reads the parts of one content.
type contentBody struct {
	c    *contentsReader
	left int64 // of the content
	part int64 // of the part that is being read
	err  error // of this content
}

func (b *contentBody) Read(p []byte) (int, error) {
	switch {
	case b.c.err != nil:
		return 0, b.c.err
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	case b.part == 0:
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	p = p[:min(int64(len(p)), b.part)]
	n, err := b.c.r.Read(p)
	b.part -= int64(n)
	b.left -= int64(n)
	if err == io.EOF {
		err = api.Errorf(api.Unavailable, "the answer broke off: %w", io.ErrUnexpectedEOF)
	}
	b.c.err = err
	return n, err
}

// next begins a part.
func (b *contentBody) next() error {
	if b.left == 0 {
		b.err = io.EOF
		return b.err
	}
	var head [4]byte
	b.c.read(head[:])
	n := int64(binary.BigEndian.Uint32(head[:]))
	switch {
	case b.c.err != nil:
		return b.c.err
	case n == 0:
		b.err = b.c.failure()
	case n > MaxSize || n > b.left:
		b.c.malformed("a part that is too long")
	}
	b.part = n
	if b.c.err != nil {
		return b.c.err
	}
	return b.err
}

// skip reads what fn has left.
func (b *contentBody) skip() {
	for b.c.err == nil && b.err == nil {
		if b.part == 0 {
			b.next()
			continue
		}
		n, err := b.c.r.Discard(int(b.part))
		b.part -= int64(n)
		b.left -= int64(n)
		if err == io.EOF {
			err = api.Errorf(api.Unavailable, "the answer broke off: %w", io.ErrUnexpectedEOF)
		}
		b.c.err = err
	}
}
