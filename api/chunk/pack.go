package chunk

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
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

// ReadPack reads a pack from r to the end and calls fn with each chunk, after
// its SHA-256 was verified, and the offset of its bytes in the pack. The data
// is valid during the call only. A malformed, truncated or empty pack and a
// chunk that is not what its hash says are of kind [api.Invalid], more than
// [MaxPack] bytes are of kind [api.TooLarge]; fn may have been called before.
// An error of r is returned wrapped, one of fn as it is.
func ReadPack(r io.Reader, fn func(h api.Hash, off int64, data []byte) error) error {
	buf := chunkBuffers.Get().(*[]byte)
	defer chunkBuffers.Put(buf)
	s := scanPack(r)
	defer s.close()
	for {
		rec, err := s.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		data := grow(buf, rec.size)
		if _, err := io.ReadFull(s.r, data); err != nil {
			return s.broken(err)
		}
		if sha256.Sum256(data) != rec.hash {
			return wrongChunk(rec.hash)
		}
		if err := fn(rec.hash, rec.off, data); err != nil {
			return err
		}
	}
}

// chunkBuffers holds buffers that have grown to the largest chunk seen.
var chunkBuffers = sync.Pool{New: func() any { return new([]byte) }}

// grow gives a buffer of n bytes, growing in powers of two.
func grow(buf *[]byte, n int) []byte {
	if n > cap(*buf) {
		size := 64 << 10
		for size < n {
			size *= 2
		}
		*buf = make([]byte, size)
	}
	return (*buf)[:n]
}

// A PackReader passes a pack on and verifies it on the way, without holding a
// chunk: where [ReadPack] has each chunk in memory, this has what the caller
// reads at a time. It reads to io.EOF only when the whole pack was right; all
// other ends are errors as of ReadPack, after which what was read is to be
// thrown away. It is not safe for concurrent use.
type PackReader struct {
	s    *packScan
	fn   func(h api.Hash, off int64, size int)
	head []byte // read from the pack, not yet passed on
	rec  record // the chunk whose bytes come now
	left int    // of them
	sum  hash.Hash
	err  error
}

// NewPackReader verifies the pack that r yields; fn is called for each chunk
// that was right, with the offset of its bytes in the pack and their number.
// Close must be called.
func NewPackReader(r io.Reader, fn func(h api.Hash, off int64, size int)) *PackReader {
	return &PackReader{s: scanPack(r), fn: fn, sum: sha256.New()}
}

// Read is part of [io.Reader]. It does not wait for more when it has something.
func (p *PackReader) Read(b []byte) (n int, err error) {
	for n < len(b) && p.err == nil {
		if len(p.head) > 0 {
			k := copy(b[n:], p.head)
			p.head = p.head[k:]
			n += k
			continue
		}
		if n > 0 && p.s.r.Buffered() == 0 {
			break // more may take its time
		}
		if p.left == 0 {
			if p.rec, p.err = p.s.next(); p.err == nil {
				p.head, p.left = p.s.passed(), p.rec.size
				p.sum.Reset()
			}
			continue
		}
		k, err := p.s.r.Read(b[n:min(len(b), n+p.left)])
		p.sum.Write(b[n : n+k])
		n += k
		if p.left -= k; p.left == 0 {
			p.finish()
		} else if err != nil {
			p.err = p.s.broken(err)
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, p.err
}

// finish judges the chunk that has passed.
func (p *PackReader) finish() {
	var h api.Hash
	if p.sum.Sum(h[:0]); h != p.rec.hash {
		p.err = wrongChunk(p.rec.hash)
		return
	}
	p.fn(p.rec.hash, p.rec.off, p.rec.size)
}

// Err is why the pack is not whole and right; nil while it may still be.
func (p *PackReader) Err() error {
	if p.err == io.EOF {
		return nil
	}
	return p.err
}

// Close lets go of the reader under it.
func (p *PackReader) Close() {
	if p.s != nil {
		p.s.close()
		p.s, p.err = nil, cmp.Or(p.err, io.ErrClosedPipe)
	}
}

// record is where a chunk of a pack is.
type record struct {
	hash api.Hash
	off  int64 // of its bytes
	size int
}

// packScan goes through a pack record by record.
type packScan struct {
	r       *bufio.Reader // after next: at the record's bytes, which the caller reads
	limited io.LimitedReader
	off     int64 // where the next record begins
	count   int
	buf     [len(magic) + header]byte
	n       int // bytes of buf that next has read
}

// packScans are used again: of small packs the buffered reader is most of the cost.
var packScans = sync.Pool{New: func() any {
	return &packScan{r: bufio.NewReaderSize(nil, 32<<10)}
}}

func scanPack(r io.Reader) *packScan {
	s := packScans.Get().(*packScan)
	// One byte more than allowed tells a full pack from one that goes on.
	s.limited = io.LimitedReader{R: r, N: MaxPack + 1}
	s.r.Reset(&s.limited)
	s.off, s.count = 0, 0
	return s
}

func (s *packScan) close() {
	s.limited.R = nil // let go of it
	s.r.Reset(nil)
	packScans.Put(s)
}

// next reads a record's head, and before the first one the pack's. It is
// io.EOF at the end of a pack that has a chunk.
func (s *packScan) next() (record, error) {
	s.n = 0
	if s.off == 0 {
		err := s.read(s.buf[:len(magic)])
		if err != nil && err != io.EOF {
			return record{}, err
		}
		if err == io.EOF || string(s.buf[:len(magic)]) != magic {
			return record{}, api.Errorf(api.Invalid, "this is not a pack")
		}
		s.n, s.off = len(magic), int64(len(magic))
	}
	head := s.buf[s.n : s.n+header]
	if err := s.read(head); err == io.EOF && s.count == 0 {
		return record{}, api.Errorf(api.Invalid, "the pack is empty")
	} else if err != nil {
		return record{}, err
	}
	s.n += header
	s.count++
	rec := record{api.Hash(head[:sha256.Size]), s.off + header, int(binary.BigEndian.Uint32(head[sha256.Size:]))}
	if rec.size == 0 || rec.size > MaxSize {
		return record{}, api.Errorf(api.Invalid, "chunk %d of the pack claims %d bytes; 1 to %d are allowed", s.count, rec.size, MaxSize)
	}
	if s.off = rec.off + int64(rec.size); s.off > MaxPack {
		return record{}, tooLarge()
	}
	return rec, nil
}

// passed is the bytes that the last next read, valid until the next.
func (s *packScan) passed() []byte { return s.buf[:s.n] }

// read fills b. It is io.EOF when r ends before b's first byte.
func (s *packScan) read(b []byte) error {
	_, err := io.ReadFull(s.r, b)
	if err == nil || err == io.EOF && s.limited.N > 0 {
		return err
	}
	return s.broken(err)
}

// broken is why a record could not be read to its end.
func (s *packScan) broken(err error) error {
	switch {
	case s.limited.N <= 0:
		return tooLarge()
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return truncated()
	}
	return fmt.Errorf("read pack: %w", err)
}

func wrongChunk(h api.Hash) error {
	return api.Errorf(api.Invalid, "chunk %s arrived with other content than its name says", h)
}

func truncated() error { return api.Errorf(api.Invalid, "the pack ends within a chunk") }

func tooLarge() error { return api.Errorf(api.TooLarge, "a pack has at most %d bytes", MaxPack) }
