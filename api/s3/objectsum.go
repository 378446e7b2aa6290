package s3

import (
	"bytes"
	"encoding/base64"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"satchel/storage"
)

// What x-amz-checksum-type says that an object's sum is of. Where nothing is said it may be either.
const (
	fullObject = "FULL_OBJECT" // the content
	composite  = "COMPOSITE"   // the sums of the parts
)

// objectSum is a sum that CompleteMultipartUpload announces of the whole object. It is written to part by part.
type objectSum struct {
	name    string // the header
	want    []byte
	of      string    // fullObject, composite, or "" for either
	content hash.Hash // of all parts
	part    hash.Hash // of the one that is being written
	parts   hash.Hash // of the sums of those before it
}

func (s *objectSum) Write(p []byte) (int, error) {
	s.content.Write(p)
	return s.part.Write(p)
}

func (s *objectSum) endPart() {
	s.parts.Write(s.part.Sum(nil))
	s.part.Reset()
}

func (s *objectSum) holds() bool {
	return s.of != composite && bytes.Equal(s.content.Sum(nil), s.want) || s.of != fullObject && bytes.Equal(s.parts.Sum(nil), s.want)
}

// objectSums are the sums that the request announces of an object of these parts, which must
// have the size that it announces. A sum of the parts' sums may have their number behind it.
func (q *request) objectSums(parts []storage.Part) (all []*objectSum, err error) {
	size := int64(0)
	for _, p := range parts {
		size += p.Size
	}
	if want := q.r.Header.Get("X-Amz-Mp-Object-Size"); want != "" && want != strconv.FormatInt(size, 10) {
		return nil, refuse(http.StatusBadRequest, "InvalidRequest", "the object has %d bytes, and not the X-Amz-Mp-Object-Size", size)
	}
	of := q.r.Header.Get("X-Amz-Checksum-Type")
	if of != "" && of != fullObject && of != composite {
		return nil, refuse(http.StatusBadRequest, "InvalidRequest", "X-Amz-Checksum-Type is neither %s nor %s", fullObject, composite)
	}
	for name, sum := range sums {
		text := q.r.Header.Get(name)
		if text == "" {
			continue
		}
		s := &objectSum{name: name, of: of, content: sum(), part: sum(), parts: sum()}
		text, number, numbered := strings.Cut(text, "-")
		if numbered {
			s.of = composite
		}
		s.want, err = base64.StdEncoding.DecodeString(text)
		if err != nil || numbered && (of == fullObject || number != strconv.Itoa(len(parts))) {
			return nil, errObjectSum(name)
		}
		all = append(all, s)
	}
	return all, nil
}

func errObjectSum(name string) error {
	return refuse(http.StatusBadRequest, "BadDigest", "the object's %s is not the one that was announced", name)
}

// holding reads the content of an object, of which these are the parts, and is an error unless
// its sums hold; it is nil if there are none.
func holding(announced []*objectSum, parts []storage.Part) func(io.Reader) error {
	if len(announced) == 0 {
		return nil
	}
	var writers []io.Writer
	for _, s := range announced {
		writers = append(writers, s)
	}
	all := io.MultiWriter(writers...)
	return func(r io.Reader) error {
		for _, p := range parts {
			if _, err := io.CopyN(all, r, p.Size); err != nil {
				return err
			}
			for _, s := range announced {
				s.endPart()
			}
		}
		for _, s := range announced {
			if !s.holds() {
				return errObjectSum(s.name)
			}
		}
		return nil
	}
}
