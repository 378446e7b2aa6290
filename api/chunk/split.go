// Package chunk cuts content into chunks and packs them for the way to the
// blob store. Client and server use the same cuts, so content that one device
// sent is recognised when another has it too.
//
// A chunk is a content-defined piece of a version (FastCDC, Xia et al., USENIX
// ATC 2016): a cut depends on the bytes around it and not on its offset, so an
// insertion changes the chunks near it and no others. A pack is many chunks in
// one immutable object.
package chunk

import (
	"fmt"
	"io"
	"sync"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
)

// Sizes of chunks in bytes. Changing one changes every cut, and with it what
// is recognised of content stored before.
const (
	MinSize     = 256 << 10 // only the last chunk of a version is smaller
	AverageSize = 1 << 20
	MaxSize     = 4 << 20
)

// heads holds buffers for the first bytes of content: nearly all content ends
// within them and never needs a splitter.
var heads = sync.Pool{New: func() any { return new([MinSize + 1]byte) }}

// splitters holds chunkers with the 8 MiB window they slide over the content.
var splitters = sync.Pool{New: func() any {
	c, err := chunkers.NewChunker(algorithm, nil, nil)
	if err != nil {
		panic(err) // the name and the sizes are constants
	}
	return c
}}

// Split reads r to its end and calls fn with each chunk in order; empty
// content has none. The data is valid during the call only, and fn does not
// change it. Where the cuts fall depends on the bytes alone, not on how r
// returns them. The large holes of a file (*os.File, from its start) are not read. An
// error of r is returned wrapped, one of fn as it is.
func Split(r io.Reader, fn func(data []byte) error) error {
	head := heads.Get().(*[MinSize + 1]byte)
	defer heads.Put(head)
	content := source{r}
	n, err := io.ReadFull(content, head[:])
	switch {
	case err == io.EOF:
		return nil
	case err == io.ErrUnexpectedEOF: // all of it is here, and the library would not cut it
		return fn(head[:n])
	case err != nil:
		return err
	}

	c := splitters.Get().(*chunkers.Chunker)
	defer splitters.Put(c)
	defer c.Reset(nil) // let go of r
	c.Reset(&prefixed{head[:], content})
	holes := holesOf(r)
	for off := int64(0); ; {
		data, err := c.Next()
		if err != nil && err != io.EOF {
			return err
		}
		if len(data) > 0 {
			if err := fn(data); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
		off += int64(len(data))
		skip := holes.chunksAt(off)
		if skip == 0 {
			continue
		}
		for range skip {
			if err := fn(zeros[:]); err != nil {
				return err
			}
		}
		off += skip * MaxSize
		if err := holes.goOn(off); err != nil {
			return fmt.Errorf("read content: %w", err)
		}
		c.Reset(content)
	}
}

// source wraps every error of r but its end: none is taken for what
// [io.ReadFull] says of an end that comes early.
type source struct{ r io.Reader }

func (s source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read content: %w", err)
	}
	return n, err
}

// prefixed reads head and then the rest, straight into the caller's buffer.
type prefixed struct {
	head []byte
	rest io.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.rest.Read(b)
}
