package mirror

import (
	"crypto/sha256"
	"hash"
	"io"
)

// sum hashes and counts what is read through it.
type sum struct {
	r io.Reader
	h hash.Hash
	n int64
}

func (s *sum) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if s.h == nil {
		s.h = sha256.New()
	}
	s.h.Write(b[:n])
	s.n += int64(n)
	return n, err
}

func (s *sum) sum() (total [sha256.Size]byte) {
	if s.h != nil {
		s.h.Sum(total[:0])
	}
	return total
}
