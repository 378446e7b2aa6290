package chunk

import (
	"bytes"
	"math/rand/v2"
	"testing"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	"github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc"
)

// What is stored was cut by the library: other cuts would not recognise it.
func TestCutsAreTheLibrarys(t *testing.T) {
	options := cutter{}.DefaultOptions()
	library, err := chunkers.NewChunker("fastcdc-v1.0.0", nil, options)
	if err != nil {
		t.Fatal(err)
	}
	content := noise(48 << 20)
	// Letters alone: the gear hash of text is another one than that of noise.
	text := make([]byte, 16<<20)
	for i := range text {
		text[i] = 'a' + content[i]%26
	}
	zeros := make([]byte, MaxSize+9)
	cuts := map[string]int{}
	check := func(what string, data []byte) int {
		library.Reset(bytes.NewReader(data))
		want, _ := library.Next()
		got := cutter{}.Algorithm(options, data, len(data))
		if got != len(want) {
			t.Fatalf("%s of %d bytes: cut after %d bytes, the library after %d", what, len(data), got, len(want))
		}
		switch {
		case got == len(data):
			cuts["end"]++
		case got == MaxSize:
			cuts["largest"]++
		case got < AverageSize:
			cuts["rare"]++
		case got > AverageSize:
			cuts["frequent"]++
		}
		return got
	}
	for what, data := range map[string][]byte{"noise": content, "text": text, "zeros": zeros} {
		for len(data) > 0 {
			data = data[check(what, data):]
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 { // ends anywhere
		off := rng.IntN(len(content) - 2*MaxSize)
		check("a piece", content[off:off+1+rng.IntN(MaxSize+MinSize)])
	}
	for _, n := range []int{1, MinSize - 1, MinSize, MinSize + 1, MinSize + 7, MinSize + 9, AverageSize - 1, AverageSize, AverageSize + 1, MaxSize - 1, MaxSize, MaxSize + 1} {
		check("zeros", zeros[:n])
		check("noise", content[:n])
	}
	for _, kind := range []string{"end", "largest", "rare", "frequent"} {
		if cuts[kind] == 0 {
			t.Errorf("no cut of the kind %q was compared: %v", kind, cuts)
		}
	}
}

func BenchmarkCut(b *testing.B) {
	content := noise(16 << 20)
	options := cutter{}.DefaultOptions()
	library := &fastcdc.FastCDC{}
	if err := library.Setup(options); err != nil {
		b.Fatal(err)
	}
	for name, alg := range map[string]chunkers.ChunkerImplementation{"here": cutter{}, "library": library} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				for d := content; len(d) > 0; {
					d = d[alg.Algorithm(options, d, len(d)):]
				}
			}
		})
	}
}
