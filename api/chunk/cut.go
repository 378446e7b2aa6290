package chunk

import (
	"errors"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	"github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc"
)

// cutter finds the cuts of the library's "fastcdc-v1.0.0" with the sizes of
// this package, in about three quarters of the time: what is decided once per chunk there is not
// asked for each byte, and eight bytes are one round. The gear table is the library's.
type cutter struct{}

const algorithm = "satchel"

func init() {
	if err := chunkers.Register(algorithm, func() chunkers.ChunkerImplementation { return cutter{} }); err != nil {
		panic(err) // the name is a constant
	}
}

// FastCDC's normalized chunking of level 2: a cut is two bits rarer than the
// average asks before AverageSize, and two bits more frequent after it.
const (
	averageBits = 20
	level       = 2
)

var rare, frequent = spread(averageBits + level), spread(averageBits - level)

// spread is a word with n bits, evenly spaced from its top.
func spread(n int) (mask uint64) {
	for i := range n {
		mask |= 1 << (63 - i*(64/n))
	}
	return mask
}

// Algorithm is the length of the chunk that data, n bytes, begins with.
func (cutter) Algorithm(_ *chunkers.ChunkerOpts, data []byte, n int) int {
	data = data[:min(n, MaxSize)]
	if len(data) <= MinSize {
		return len(data)
	}
	normal := min(AverageSize, len(data))
	at, gear, cut := roll(data[:normal], MinSize, 0, rare)
	if !cut {
		at, _, _ = roll(data, normal, gear, frequent)
	}
	return at
}

// roll takes the bytes of data from i on into the gear hash, and returns the first
// place at which it has none of the mask's bits, or data's end.
func roll(data []byte, i int, hash, mask uint64) (at int, _ uint64, cut bool) {
	g := &fastcdc.G
	for ; i+8 <= len(data); i += 8 {
		b := data[i : i+8 : i+8]
		if hash = hash<<1 + g[b[0]]; hash&mask == 0 {
			return i, hash, true
		}
		if hash = hash<<1 + g[b[1]]; hash&mask == 0 {
			return i + 1, hash, true
		}
		if hash = hash<<1 + g[b[2]]; hash&mask == 0 {
			return i + 2, hash, true
		}
		if hash = hash<<1 + g[b[3]]; hash&mask == 0 {
			return i + 3, hash, true
		}
		if hash = hash<<1 + g[b[4]]; hash&mask == 0 {
			return i + 4, hash, true
		}
		if hash = hash<<1 + g[b[5]]; hash&mask == 0 {
			return i + 5, hash, true
		}
		if hash = hash<<1 + g[b[6]]; hash&mask == 0 {
			return i + 6, hash, true
		}
		if hash = hash<<1 + g[b[7]]; hash&mask == 0 {
			return i + 7, hash, true
		}
	}
	for ; i < len(data); i++ {
		if hash = hash<<1 + g[data[i]]; hash&mask == 0 {
			return i, hash, true
		}
	}
	return i, hash, false
}

// DefaultOptions is part of the library's interface, as are Setup and Validate.
func (cutter) DefaultOptions() *chunkers.ChunkerOpts {
	return &chunkers.ChunkerOpts{MinSize: MinSize, NormalSize: AverageSize, MaxSize: MaxSize}
}

func (cutter) Setup(o *chunkers.ChunkerOpts) error { return cutter{}.Validate(o) }

func (cutter) Validate(o *chunkers.ChunkerOpts) error {
	if o.MinSize != MinSize || o.NormalSize != AverageSize || o.MaxSize != MaxSize || o.Key != nil {
		return errors.New("other sizes than this package's")
	}
	return nil
}
