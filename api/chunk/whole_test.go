package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"flag"
	"io"
	"math/rand/v2"
	"testing"

	"satchel/api"
)

var stateTests = flag.Int("zero-states", 2, "how many entries of zeros.bin TestZeroStates computes anew, from a random one on; 1024: all")

// Each entry is what SHA-256 comes to a gigabyte of zeros after the one before, the first after the start.
func TestZeroStates(t *testing.T) {
	const all = 1024
	if len(zeroStates) != all*sha256.Size {
		t.Fatalf("zeros.bin has %d bytes", len(zeroStates))
	}
	state := func(k int) []byte { return zeroStates[(k-1)*sha256.Size : k*sha256.Size] }
	check := func(k int) { // computes entry k
		h := sha256.New()
		if k > 1 {
			setState(h, state(k-1), int64(k-1)*zeroStep)
		}
		writeZeros(h, zeroStep)
		b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil || !bytes.Equal(b[4:4+sha256.Size], state(k)) {
			t.Errorf("entry %d is %x, not %x (%v)", k, state(k), b[4:4+sha256.Size], err)
		}
	}
	check(1)
	from := rand.IntN(all)
	for i := 1; i < *stateTests; i++ {
		check(1 + (from+i)%all)
	}
}

// Whole is SHA-256, however the bytes come.
func TestWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		var w Whole
		want := sha256.New()
		for range r.IntN(6) {
			n := r.IntN(3 * MaxSize / 2)
			switch r.IntN(4) {
			case 0:
				w.Zeros(int64(n))
				writeZeros(want, int64(n))
			case 1:
				b := make([]byte, n)
				w.Write(b)
				want.Write(b)
			case 2: // nearly
				b := make([]byte, 1+n)
				b[r.IntN(len(b))] = 1
				w.Write(b)
				want.Write(b)
			default:
				b := noise(1 + n/16)
				w.Write(b)
				want.Write(b)
			}
			if got := w.Sum(); got != api.Hash(want.Sum(nil)) {
				t.Fatalf("%v, not %x", got, want.Sum(nil))
			}
		}
	}
}

// A hole of the table's whole length and a little more costs the little.
func TestWholeOfATerabyte(t *testing.T) {
	var w, longer Whole
	w.Zeros(zeroTable())
	longer.Zeros(zeroTable() + 5)
	if w.Sum() == longer.Sum() {
		t.Error("five more zeros make no difference")
	}
	io.WriteString(&w, "\x00\x00\x00\x00\x00")
	if w.Sum() != longer.Sum() {
		t.Error("five more zeros do make a difference")
	}
	io.WriteString(&w, "data")
	longer.Write([]byte("data"))
	if w.Sum() != longer.Sum() {
		t.Error("what follows is lost")
	}
}
