package chunk

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"satchel/api"
)

// MaxPack is the largest pack in bytes, headers included. Clients start a new
// one at [FullPack].
const (
	MaxPack  = 40 << 20
	FullPack = 32 << 20
)

// A pack is the magic, then records to its end: the chunk's SHA-256, its
// length as a big-endian uint32, its bytes.
const (
	magic  = "SPK1"
	header = sha256.Size + 4
)

// Where chunks are in a pack: each has RecordHeader bytes of its own before
// it, and the first one's are at FirstOffset.
const (
	RecordHeader = header
	FirstOffset  = int64(len(magic) + header)
)

// PackWriter builds a pack in memory. The zero value is empty and ready. It is
// not safe for concurrent use.
type PackWriter struct {
	buf   []byte
	count int
}

// Add appends a copy of a chunk whose SHA-256 is h. An empty chunk or one over
// [MaxSize] is of kind [api.Invalid]; if the pack would exceed [MaxPack] the
// error's kind is [api.TooLarge] and the pack is as before.
func (p *PackWriter) Add(h api.Hash, data []byte) error {
	if len(data) == 0 || len(data) > MaxSize {
		return api.Errorf(api.Invalid, "a chunk has 1 to %d bytes, not %d", MaxSize, len(data))
	}
	if !p.Fits(len(data)) {
		return api.Errorf(api.TooLarge, "the pack is full")
	}
	need := max(len(p.buf), len(magic)) + header + len(data)
	if need > cap(p.buf) {
		grown := make([]byte, len(p.buf), min(max(need, 2*cap(p.buf)), MaxPack))
		copy(grown, p.buf)
		p.buf = grown
	}
	if len(p.buf) == 0 {
		p.buf = append(p.buf, magic...)
	}
	p.buf = append(p.buf, h[:]...)
	p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(len(data)))
	p.buf = append(p.buf, data...)
	p.count++
	return nil
}

// Fits tells whether a chunk of n bytes can still be added.
func (p *PackWriter) Fits(n int) bool {
	return max(len(p.buf), len(magic))+header+n <= MaxPack
}

// Full tells that the pack should be sent before more is added.
func (p *PackWriter) Full() bool { return len(p.buf) >= FullPack }

// Size is the pack's length in bytes; 0 when nothing was added.
func (p *PackWriter) Size() int { return len(p.buf) }

// Count is how many chunks were added.
func (p *PackWriter) Count() int { return p.count }

// Bytes is the pack, valid until the next Add or Reset.
func (p *PackWriter) Bytes() []byte { return p.buf }

// WriteTo writes the pack to w.
func (p *PackWriter) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(p.buf)
	return int64(n), err
}

// Reset empties the pack and keeps its memory for the next.
func (p *PackWriter) Reset() { p.buf, p.count = p.buf[:0], 0 }

// packReaders holds what ReadPack needs: a buffered reader, and a buffer that
// has grown to the largest chunk seen.
var packReaders = sync.Pool{New: func() any {
	return &packReader{r: bufio.NewReaderSize(nil, 32<<10)}
}}

type packReader struct {
	r    *bufio.Reader
	data []byte
}

// ReadPack reads a pack from r to the end and calls fn with each chunk, after
// its SHA-256 was verified, and the offset of its bytes in the pack. The data
// is valid during the call only. A malformed, truncated or empty pack and a
// chunk that is not what its hash says are of kind [api.Invalid], more than
// [MaxPack] bytes are of kind [api.TooLarge]; fn may have been called before.
// An error of r is returned wrapped, one of fn as it is.
func ReadPack(r io.Reader, fn func(h api.Hash, off int64, data []byte) error) error {
	p := packReaders.Get().(*packReader)
	defer packReaders.Put(p)
	defer p.r.Reset(nil) // let go of r
	// One byte more than allowed tells a full pack from one that goes on.
	limited := &io.LimitedReader{R: r, N: MaxPack + 1}
	p.r.Reset(limited)

	var head [header]byte
	if err := readRecord(p.r, head[:len(magic)], limited); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(head[:len(magic)], []byte(magic)) {
		return api.Errorf(api.Invalid, "this is not a pack")
	}
	off := int64(len(magic))
	for n := 0; ; n++ {
		err := readRecord(p.r, head[:], limited)
		if err == io.EOF {
			if n == 0 {
				return api.Errorf(api.Invalid, "the pack is empty")
			}
			return nil
		}
		if err != nil {
			return err
		}
		h, size := api.Hash(head[:sha256.Size]), int(binary.BigEndian.Uint32(head[sha256.Size:]))
		if size == 0 || size > MaxSize {
			return api.Errorf(api.Invalid, "chunk %d of the pack claims %d bytes; 1 to %d are allowed", n+1, size, MaxSize)
		}
		off += header
		data := p.grow(size)
		if err := readRecord(p.r, data, limited); err == io.EOF {
			return truncated()
		} else if err != nil {
			return err
		}
		if off+int64(size) > MaxPack {
			return tooLarge()
		}
		if sha256.Sum256(data) != h {
			return api.Errorf(api.Invalid, "chunk %s arrived with other content than its name says", h)
		}
		if err := fn(h, off, data); err != nil {
			return err
		}
		off += int64(size)
	}
}

// grow gives a buffer of n bytes, growing in powers of two.
func (p *packReader) grow(n int) []byte {
	if n > cap(p.data) {
		size := 64 << 10
		for size < n {
			size *= 2
		}
		p.data = make([]byte, size)
	}
	return p.data[:n]
}

// readRecord fills b. It is io.EOF when r ends before b's first byte.
func readRecord(r io.Reader, b []byte, limited *io.LimitedReader) error {
	_, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		return nil
	case limited.N <= 0:
		return tooLarge()
	case err == io.EOF:
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return truncated()
	}
	return fmt.Errorf("read pack: %w", err)
}

func truncated() error { return api.Errorf(api.Invalid, "the pack ends within a chunk") }

func tooLarge() error { return api.Errorf(api.TooLarge, "a pack has at most %d bytes", MaxPack) }
