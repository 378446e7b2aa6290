package chunk

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding"
	"encoding/binary"
	"hash"
	"sync"

	"satchel/api"
)

// zeros is the chunk that holes are cut into: zeros never meet a cut, so their chunks are as large as a chunk can be.
var zeros [MaxSize]byte

var zerosHash = sync.OnceValue(func() api.Hash { return sha256.Sum256(zeros[:]) })

// isZeros tells whether data is the very variable: no look at the bytes.
func isZeros(data []byte) bool { return len(data) == MaxSize && &data[0] == &zeros[0] }

// IsZeros tells whether a chunk is one of those that holes and long runs of zeros are cut into: [MaxSize] zeros.
func IsZeros(c api.Chunk) bool { return c.Size == MaxSize && c.Hash == zerosHash() }

// A Whole is the SHA-256 of content from its first byte to its last. It is what [sha256.New] makes, but for zeros at
// the start: SHA-256 has no short cut, so a file of a terabyte that nobody has written to yet would take ten
// minutes and more. What SHA-256 has come to after so many zeros never changes, so it stands in a table.
// The zero value is ready. It is not safe for concurrent use.
type Whole struct {
	leading int64 // zeros at the start, not hashed yet
	h       hash.Hash
}

// Write takes the next bytes; it never fails.
func (w *Whole) Write(data []byte) (int, error) {
	if w.h == nil && w.leading < zeroTable() && allZeros(data) {
		w.leading += int64(len(data))
	} else {
		w.begin()
		w.h.Write(data)
	}
	return len(data), nil
}

// Zeros is Write of n zeros.
func (w *Whole) Zeros(n int64) {
	if w.h == nil {
		leading := min(n, max(zeroTable()-w.leading, 0))
		w.leading += leading
		if n -= leading; n == 0 {
			return
		}
		w.begin()
	}
	writeZeros(w.h, n)
}

// Sum is the SHA-256 of all that was written. More may follow.
func (w *Whole) Sum() (sum api.Hash) {
	if w.h != nil {
		w.h.Sum(sum[:0])
	} else {
		afterZeros(w.leading).Sum(sum[:0])
	}
	return sum
}

// begin hashes the zeros at the start, after which all is hashed as it comes.
func (w *Whole) begin() {
	if w.h == nil {
		w.h = afterZeros(w.leading)
	}
}

func allZeros(data []byte) bool {
	for len(data) > MaxSize {
		if !bytes.Equal(data[:MaxSize], zeros[:]) {
			return false
		}
		data = data[MaxSize:]
	}
	return bytes.Equal(data, zeros[:len(data)])
}

func writeZeros(h hash.Hash, n int64) {
	for ; n > MaxSize; n -= MaxSize {
		h.Write(zeros[:])
	}
	h.Write(zeros[:n])
}

// zeroStates is what SHA-256 has come to (its eight words, FIPS 180-4 section 6.2.2) after 1, 2, 3, … zeroStep
// zeros, up to 1 TiB. TestZeroStates computes any of them from the one before.
//
//go:embed zeros.bin
var zeroStates []byte

const zeroStep = 1 << 30

// zeroTable is how many zeros the table reaches to.
func zeroTable() int64 { return int64(len(zeroStates)/sha256.Size) * zeroStep }

// afterZeros is SHA-256 that has taken n zeros; no more than zeroStep of them are hashed up to the table's end.
func afterZeros(n int64) hash.Hash {
	h := sha256.New()
	k := min(n, zeroTable()) / zeroStep
	if k > 0 {
		setState(h, zeroStates[(k-1)*sha256.Size:k*sha256.Size], k*zeroStep)
	}
	writeZeros(h, n-k*zeroStep)
	return h
}

// setState makes h what it is after length bytes, a multiple of its blocks. The form is the standard library's, which
// reads what any version of it wrote (package hash): a name, the words, the block that has begun, the length.
func setState(h hash.Hash, words []byte, length int64) {
	b := append([]byte("sha\x03"), words...)
	b = append(b, make([]byte, sha256.BlockSize)...)
	b = binary.BigEndian.AppendUint64(b, uint64(length))
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(b); err != nil {
		panic(err) // the tests would have found it
	}
}
