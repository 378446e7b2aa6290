package chunk

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"

	"satchel/api"
)

// A stream of contents answers a batch read: the magic, then a record for each
// content that was asked for, in any order, then the end. Numbers are big endian.
//
//	content  'C' index u32, version id [16], SHA-256 [32], size u64, parts
//	part     length u32 of 1 to MaxSize, bytes; as many as make up the size
//	failed   'F' index u32, failure
//	failure  kind: length u8, text; message: length u16, text
//	end      'E' number of records u32; nothing follows
//
// A part of length 0 is followed by a failure: the rest of that content can't
// be read, and the next record follows.
const (
	contentsMagic = "SPC1"

	tagContent = 'C'
	tagFailed  = 'F'
	tagEnd     = 'E'

	contentHeader = 4 + 16 + 32 + 8
)

// ContentsWriter writes a stream of contents. What it was given is on its way
// after Close. Its first error sticks: callers may look at Close's alone, or
// stop early. It is not safe for concurrent use.
type ContentsWriter struct {
	w     *bufio.Writer
	err   error
	count uint32
}

// NewContentsWriter begins a stream.
func NewContentsWriter(w io.Writer) *ContentsWriter {
	c := &ContentsWriter{w: bufio.NewWriterSize(w, 64<<10)}
	c.write([]byte(contentsMagic))
	return c
}

// Content begins the record of what was asked for at index; v.Size bytes follow
// by Part, or Fail.
func (c *ContentsWriter) Content(index int, v api.Version) error {
	b := make([]byte, 0, 1+contentHeader)
	b = binary.BigEndian.AppendUint32(append(b, tagContent), uint32(index))
	b = append(append(b, v.ID[:]...), v.SHA256[:]...)
	c.write(binary.BigEndian.AppendUint64(b, uint64(v.Size)))
	c.count++
	return c.err
}

// Part is the next 1 to [MaxSize] bytes of the content.
func (c *ContentsWriter) Part(data []byte) error {
	c.write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
	c.write(data)
	return c.err
}

// Fail ends the content at index, which has begun and is not whole, with an error.
func (c *ContentsWriter) Fail(kind api.Kind, message string) error {
	c.write(make([]byte, 4))
	c.failure(kind, message)
	return c.err
}

// Failed answers index with an error instead of content.
func (c *ContentsWriter) Failed(index int, kind api.Kind, message string) error {
	c.write(binary.BigEndian.AppendUint32([]byte{tagFailed}, uint32(index)))
	c.failure(kind, message)
	c.count++
	return c.err
}

func (c *ContentsWriter) failure(kind api.Kind, message string) {
	kind, message = kind[:min(len(kind), math.MaxUint8)], message[:min(len(message), math.MaxUint16)]
	c.write(append([]byte{byte(len(kind))}, kind...))
	c.write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
}

// Close ends the stream. Without it a reader takes the stream for torn.
func (c *ContentsWriter) Close() error {
	c.write(binary.BigEndian.AppendUint32([]byte{tagEnd}, c.count))
	if c.err == nil {
		c.err = c.w.Flush()
	}
	return c.err
}

func (c *ContentsWriter) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}
