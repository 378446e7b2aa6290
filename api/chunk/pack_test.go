package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"satchel/api"
)

func pack(t testing.TB, chunks ...[]byte) []byte {
	t.Helper()
	var w PackWriter
	for _, c := range chunks {
		if err := w.Add(sha256.Sum256(c), c); err != nil {
			t.Fatal(err)
		}
	}
	if w.Count() != len(chunks) || w.Size() != len(w.Bytes()) {
		t.Fatalf("%d chunks, %d bytes counted; want %d, %d", w.Count(), w.Size(), len(chunks), len(w.Bytes()))
	}
	return slices.Clone(w.Bytes())
}

func TestPackRoundTrip(t *testing.T) {
	want := [][]byte{{1}, noise(300), noise(MinSize), noise(MaxSize), []byte("the last")}
	p := pack(t, want...)
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(p), "in halves": iotest.HalfReader(bytes.NewReader(p))} {
		i := 0
		err := ReadPack(r, func(h api.Hash, off int64, data []byte) error {
			if !bytes.Equal(data, want[i]) || h != sha256.Sum256(want[i]) {
				t.Errorf("%s: chunk %d came back changed", name, i)
			}
			if !bytes.Equal(p[off:off+int64(len(data))], want[i]) {
				t.Errorf("%s: chunk %d is not at offset %d", name, i, off)
			}
			i++
			return nil
		})
		if err != nil || i != len(want) {
			t.Errorf("%s: %d chunks, error %v", name, i, err)
		}
	}
}

func TestPackWriterReset(t *testing.T) {
	var w PackWriter
	for range 3 {
		if err := w.Add(sha256.Sum256([]byte("x")), []byte("x")); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if n, err := w.WriteTo(&out); err != nil || n != int64(w.Size()) || !bytes.Equal(out.Bytes(), pack(t, []byte("x"))) {
			t.Fatalf("wrote %x, %v", out.Bytes(), err)
		}
		w.Reset()
		if w.Size() != 0 || w.Count() != 0 || w.Full() {
			t.Fatal("not empty after Reset")
		}
	}
}

func TestPackWriterBounds(t *testing.T) {
	var w PackWriter
	if err := w.Add(api.Hash{}, nil); api.KindOf(err) != api.Invalid {
		t.Errorf("an empty chunk: %v", err)
	}
	big := make([]byte, MaxSize+1)
	if err := w.Add(api.Hash{}, big); api.KindOf(err) != api.Invalid {
		t.Errorf("a chunk of 4 MiB + 1: %v", err)
	}
	h := api.Hash(sha256.Sum256(big[:MaxSize]))
	for w.Fits(MaxSize) {
		if w.Count() == 8 && !w.Full() {
			t.Error("not full with 32 MiB")
		}
		if err := w.Add(h, big[:MaxSize]); err != nil {
			t.Fatal(err)
		}
	}
	// Fill it to the last byte.
	last := big[:MaxPack-w.Size()-header]
	before := w.Count()
	if err := w.Add(h, big[:len(last)+1]); api.KindOf(err) != api.TooLarge || w.Count() != before {
		t.Errorf("one byte too many: %v, %d chunks", err, w.Count())
	}
	if err := w.Add(sha256.Sum256(last), last); err != nil || w.Size() != MaxPack {
		t.Fatalf("the last chunk: %v, size %d", err, w.Size())
	}
	n := 0
	if err := ReadPack(bytes.NewReader(w.Bytes()), func(api.Hash, int64, []byte) error { n++; return nil }); err != nil || n != w.Count() {
		t.Errorf("reading a pack of exactly %d bytes: %d chunks, %v", MaxPack, n, err)
	}
	over := append(slices.Clone(w.Bytes()), 0)
	if err := ReadPack(bytes.NewReader(over), func(api.Hash, int64, []byte) error { return nil }); api.KindOf(err) != api.TooLarge {
		t.Errorf("reading one byte more: %v", err)
	}
}

func TestReadPackRefuses(t *testing.T) {
	good := pack(t, []byte("hello"), []byte("world"))
	edit := func(at int, b byte) []byte {
		p := slices.Clone(good)
		p[at] ^= b
		return p
	}
	sized := func(n uint32) []byte {
		p := slices.Clone(good)
		binary.BigEndian.PutUint32(p[len(magic)+sha256.Size:], n)
		return p
	}
	for name, tt := range map[string]struct {
		pack []byte
		kind api.Kind
	}{
		"nothing":               {nil, api.Invalid},
		"half a magic":          {good[:2], api.Invalid},
		"another magic":         {edit(0, 1), api.Invalid},
		"no chunks":             {good[:len(magic)], api.Invalid},
		"half a header":         {good[:len(magic)+10], api.Invalid},
		"header without data":   {good[:len(magic)+header], api.Invalid},
		"torn data":             {good[:len(good)-1], api.Invalid},
		"a flipped bit":         {edit(len(good)-1, 4), api.Invalid},
		"a flipped hash":        {edit(len(magic)+3, 4), api.Invalid},
		"length 0":              {sized(0), api.Invalid},
		"length 6 of 5":         {sized(6), api.Invalid},
		"length over 4 MiB":     {sized(MaxSize + 1), api.Invalid},
		"length 4 GiB":          {sized(1<<32 - 1), api.Invalid},
		"rubbish after the end": {append(slices.Clone(good), 'x'), api.Invalid},
	} {
		if err := ReadPack(bytes.NewReader(tt.pack), func(api.Hash, int64, []byte) error { return nil }); api.KindOf(err) != tt.kind {
			t.Errorf("%s: %v, want kind %s", name, err, tt.kind)
		}
	}
}

func TestReadPackPassesErrorsOn(t *testing.T) {
	p := pack(t, []byte("hello"), []byte("world"))
	stop := errors.New("enough")
	if err := ReadPack(bytes.NewReader(p), func(api.Hash, int64, []byte) error { return stop }); err != stop {
		t.Errorf("fn's error became %v", err)
	}
	cut := errors.New("line cut")
	r := io.MultiReader(bytes.NewReader(p[:50]), iotest.ErrReader(cut))
	if err := ReadPack(r, func(api.Hash, int64, []byte) error { return nil }); !errors.Is(err, cut) {
		t.Errorf("the reader's error became %v", err)
	}
}

func FuzzReadPack(f *testing.F) {
	f.Add(pack(f, []byte("hello"), []byte("world")))
	f.Add(pack(f, make([]byte, 70000)))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again PackWriter
		err := ReadPack(bytes.NewReader(b), func(h api.Hash, off int64, data []byte) error {
			if h != sha256.Sum256(data) || !bytes.Equal(b[off:off+int64(len(data))], data) {
				t.Error("a chunk was handed out that the pack does not hold")
			}
			return again.Add(h, data)
		})
		if err == nil && !bytes.Equal(again.Bytes(), b) {
			t.Error("an accepted pack is not what its chunks make")
		}
		if err != nil && api.KindOf(err) != api.Invalid {
			t.Errorf("refused with kind %s: %v", api.KindOf(err), err)
		}
	})
}

func BenchmarkReadPack(b *testing.B) {
	for name, size := range map[string]int{"4KiB": 4 << 10, "1MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			var w PackWriter
			data := noise(size)
			for !w.Full() {
				if err := w.Add(sha256.Sum256(data), data); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(w.Size()))
			b.ReportAllocs()
			for b.Loop() {
				if err := ReadPack(bytes.NewReader(w.Bytes()), func(api.Hash, int64, []byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
