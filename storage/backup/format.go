package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"satchel/api"
)

// Format is the number of the form in which backups are written. A change of
// the form makes it greater; a greater one than its own a program refuses.
const Format = 1

const firstLine = "satchel backup "

// A stream is the first line with the format's number, and then frames: a
// letter, four bytes with the length, big endian, and so many bytes.
const (
	frameHeader  = 'H' // Header in JSON
	frameKey     = 'K' // the sealing key
	frameTable   = 'T' // postgres.Table in JSON; its rows follow, COPY's text in zstd
	framePack    = 'P' // postgres.KeptPack in JSON; its bytes follow
	frameData    = 'd' // bytes of the table or pack
	frameEnd     = 'e' // their end
	frameSummary = 'Z' // Summary in JSON
	frameSum     = 'S' // the SHA-256 of everything before it, the last frame
)

// maxFrame bounds what a damaged length makes a reader allocate.
const maxFrame = 1 << 20

// Header is what a backup says of itself before anything else.
type Header struct {
	Created time.Time `json:"created"`
	Schema  int64     `json:"schema"`     // the version of the database
	Content Content   `json:"content"`    // where it is
	Packs   int64     `json:"packs"`      // objects of content that the rows name
	Bytes   int64     `json:"pack_bytes"` // of them
	WithKey bool      `json:"with_key"`   // the sealing key is in it
}

// Content says where the content of a backup is.
type Content string

const (
	Inside Content = "inside" // in the same stream
	Beside Content = "beside" // in the same store, an object for each pack
	None   Content = "none"   // elsewhere; only rows were backed up
)

// Summary is what a backup says of itself in the end.
type Summary struct {
	Rows    int64    `json:"rows"`
	Missing []api.ID `json:"missing"` // packs that rows name and that were not in the store
	Damaged []api.ID `json:"damaged"` // packs that were not what their hashes say, saved as they were
}

// lacks is the content that is not whole.
func (s Summary) lacks() []api.ID { return union(s.Missing, s.Damaged) }

// Whole tells that no content is missing, and that all is what its hashes say.
func (s Summary) Whole() bool { return len(s.Missing)+len(s.Damaged) == 0 }

// writer writes a stream. The first error stays.
type writer struct {
	w   io.Writer
	sum hash.Hash
	err error
}

func newWriter(w io.Writer) *writer {
	s := &writer{w: w, sum: sha256.New()}
	s.write(fmt.Appendf(nil, "%s%d\n", firstLine, Format))
	return s
}

func (s *writer) write(b []byte) {
	if s.err == nil {
		s.sum.Write(b)
		_, s.err = s.w.Write(b)
	}
}

func (s *writer) frame(kind byte, payload []byte) error {
	s.write(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload))))
	s.write(payload)
	return s.err
}

func (s *writer) json(kind byte, v any) error {
	b, err := json.Marshal(v)
	if err == nil && len(b) > maxFrame {
		err = errors.New("a description in the backup is too long")
	}
	if err != nil {
		s.err = err
		return err
	}
	return s.frame(kind, b)
}

// Write writes bytes of a table or pack.
func (s *writer) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), maxFrame)
		if err := s.frame(frameData, rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// close ends the stream and tells its SHA-256.
func (s *writer) close() (sum api.Hash, err error) {
	s.sum.Sum(sum[:0])
	return sum, s.frame(frameSum, sum[:])
}

// reader reads a stream. Whatever is wrong with it is [api.Invalid].
type reader struct {
	r   *bufio.Reader
	sum hash.Hash
	buf []byte
}

// newReader reads the first line. What is no backup, or one of a newer format, is
// [api.Invalid].
func newReader(r io.Reader) (*reader, error) {
	s := &reader{r: bufio.NewReaderSize(r, 256<<10), sum: sha256.New()}
	line := make([]byte, 0, len(firstLine)+8)
	for len(line) < cap(line) {
		b, err := s.r.ReadByte()
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read the backup: %w", err)
		}
		if err != nil || b == '\n' {
			break
		}
		line = append(line, b)
	}
	number, ok := strings.CutPrefix(string(line), firstLine)
	format, err := strconv.Atoi(number)
	switch {
	case !ok || err != nil || format < 1:
		return nil, api.Errorf(api.Invalid, "this is not a backup of Satchel's")
	case format > Format:
		return nil, api.Errorf(api.Invalid, "the backup has format %d, this program knows %d: use the newer satcheld", format, Format)
	}
	s.sum.Write(append(line, '\n'))
	return s, nil
}

// next is the next frame; its payload is valid until the call after. At the
// end of the stream, when its hash is right, the error is io.EOF.
func (s *reader) next() (kind byte, payload []byte, err error) {
	var head [5]byte
	if err := s.full(head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, damaged()
	}
	if s.buf == nil {
		s.buf = make([]byte, maxFrame)
	}
	payload = s.buf[:n]
	if err := s.full(payload); err != nil {
		return 0, nil, err
	}
	if head[0] != frameSum {
		s.sum.Write(head[:])
		s.sum.Write(payload)
		return head[0], payload, nil
	}
	if !bytes.Equal(payload, s.sum.Sum(nil)) {
		return 0, nil, damaged()
	}
	if _, err := s.r.ReadByte(); err != io.EOF {
		return 0, nil, api.Errorf(api.Invalid, "something follows after the backup's end")
	}
	return 0, nil, io.EOF
}

func (s *reader) full(b []byte) error {
	_, err := io.ReadFull(s.r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return api.Errorf(api.Invalid, "the backup ends too early: it was cut off, or was not made to the end")
	}
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	return nil
}

func damaged() error {
	return api.Errorf(api.Invalid, "the backup is damaged: it is not what its hash says")
}

// decode understands a frame of JSON.
func decode(payload []byte, v any) error {
	if err := json.Unmarshal(payload, v); err != nil {
		return damaged()
	}
	return nil
}

// data reads the bytes of a table or pack, to their end.
type data struct {
	s    *reader
	rest []byte
	err  error
}

func (d *data) Read(b []byte) (int, error) {
	for len(d.rest) == 0 && d.err == nil {
		kind, payload, err := d.s.next()
		switch {
		case err == io.EOF:
			d.err = damaged()
		case err != nil:
			d.err = err
		case kind == frameData:
			d.rest = payload
		case kind == frameEnd:
			d.err = io.EOF
		default:
			d.err = damaged()
		}
	}
	if len(d.rest) == 0 {
		return 0, d.err
	}
	n := copy(b, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}
