package chunk

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"

	"satchel/api"
)

// noise is n bytes that do not compress and are the same in every run.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

func split(t testing.TB, r io.Reader) (chunks []api.Chunk) {
	t.Helper()
	if err := Split(r, func(data []byte) error {
		chunks = append(chunks, api.Chunk{Hash: sha256.Sum256(data), Size: uint32(len(data))})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return chunks
}

func TestSplitSizes(t *testing.T) {
	content := noise(12 << 20)
	for _, n := range []int{0, 1, 4095, MinSize - 1, MinSize, MinSize + 1, AverageSize, MaxSize - 1, MaxSize, MaxSize + 1, 12 << 20} {
		var got []byte
		var sizes []int
		if err := Split(bytes.NewReader(content[:n]), func(data []byte) error {
			got = append(got, data...)
			sizes = append(sizes, len(data))
			return nil
		}); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if !bytes.Equal(got, content[:n]) {
			t.Errorf("%d bytes: the chunks do not add up to the content", n)
		}
		for i, size := range sizes {
			if size == 0 || size > MaxSize || size < MinSize && i < len(sizes)-1 {
				t.Errorf("%d bytes: chunk %d of %d has %d bytes", n, i, len(sizes), size)
			}
		}
		if n > 0 && n <= MinSize && len(sizes) != 1 {
			t.Errorf("%d bytes: %d chunks, want one", n, len(sizes))
		}
	}
}

// The average decides how much is sent again after a small edit, and how many
// rows a file costs.
func TestSplitAverage(t *testing.T) {
	chunks := split(t, bytes.NewReader(noise(64<<20)))
	if n := len(chunks); n < 32 || n > 128 {
		t.Errorf("64 MiB gave %d chunks, want about 64", n)
	}
	zeros := split(t, bytes.NewReader(make([]byte, 16<<20)))
	for _, c := range zeros[1:] {
		if c != zeros[0] && c != zeros[len(zeros)-1] {
			t.Errorf("zeros were cut unevenly: %v", zeros)
		}
	}
}

func TestSplitDependsOnBytesOnly(t *testing.T) {
	content := noise(9<<20 + 17)
	want := split(t, bytes.NewReader(content))
	readers := map[string]io.Reader{
		"half reads":      iotest.HalfReader(bytes.NewReader(content)),
		"data with error": iotest.DataErrReader(bytes.NewReader(content)),
		"odd reads":       &stepReader{content, 65537},
		"a reused window": bytes.NewReader(content),
	}
	for name, r := range readers {
		if got := split(t, r); !slices.Equal(got, want) {
			t.Errorf("%s: %d chunks, want the same %d", name, len(got), len(want))
		}
	}
	small := content[:MinSize+100]
	if !slices.Equal(split(t, iotest.OneByteReader(bytes.NewReader(small))), split(t, bytes.NewReader(small))) {
		t.Error("single bytes were cut differently")
	}
}

type stepReader struct {
	b []byte
	n int
}

func (r *stepReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.n)], r.b)
	r.b = r.b[n:]
	return n, nil
}

// Cuts made with one release must be found again by the next: this fails when
// the library or the sizes change them.
func TestSplitIsStable(t *testing.T) {
	var sizes []uint32
	for _, c := range split(t, bytes.NewReader(noise(6<<20))) {
		sizes = append(sizes, c.Size)
	}
	want := []uint32{400058, 1479165, 389407, 1144749, 1489226, 785889, 602962}
	if !slices.Equal(sizes, want) {
		t.Errorf("cuts are %v, were %v", sizes, want)
	}
}

func TestInsertionChangesFewChunks(t *testing.T) {
	content := noise(64 << 20)
	before := split(t, bytes.NewReader(content))
	known := map[api.Hash]bool{}
	for _, c := range before {
		known[c.Hash] = true
	}
	for _, at := range []int{0, 1, 20 << 20, 40<<20 + 12345, len(content)} {
		edited := slices.Concat(content[:at], []byte{'!'}, content[at:])
		changed := 0
		for _, c := range split(t, bytes.NewReader(edited)) {
			if !known[c.Hash] {
				changed++
			}
		}
		if changed == 0 || changed > 4 {
			t.Errorf("one byte at %d changed %d of %d chunks", at, changed, len(before))
		}
	}
}

func TestSplitErrors(t *testing.T) {
	for _, broken := range []error{errors.New("disk on fire"), io.ErrUnexpectedEOF, fmt.Errorf("the connection: %w", io.EOF)} {
		for _, n := range []int{0, 10, MinSize + 1, 5 << 20} {
			r := io.MultiReader(bytes.NewReader(noise(n)), iotest.ErrReader(broken))
			total := 0
			err := Split(r, func(data []byte) error { total += len(data); return nil })
			if !errors.Is(err, broken) {
				t.Errorf("%v after %d bytes: error %v", broken, n, err)
			}
			if n > 0 && total >= n {
				t.Errorf("%v after %d bytes: the torn last chunk was handed out", broken, n)
			}
		}
	}
	stop := errors.New("enough")
	for _, n := range []int{10, 5 << 20} {
		calls := 0
		err := Split(bytes.NewReader(noise(n)), func([]byte) error { calls++; return stop })
		if err != stop || calls != 1 {
			t.Errorf("%d bytes: error %v after %d calls", n, err, calls)
		}
	}
}

func TestVersion(t *testing.T) {
	content := noise(10 << 20)
	for _, n := range []int{0, 1, MinSize, MinSize + 1, AverageSize, 10 << 20} {
		var got []byte
		v, err := Version(bytes.NewReader(content[:n]), func(c api.Chunk, data []byte) error {
			if c.Hash != sha256.Sum256(data) || int(c.Size) != len(data) {
				t.Errorf("%d bytes: chunk at %d is described wrongly", n, len(got))
			}
			got = append(got, data...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if v.Size != int64(n) || v.SHA256 != sha256.Sum256(content[:n]) || !bytes.Equal(got, content[:n]) {
			t.Errorf("%d bytes: version has size %d and sum %s", n, v.Size, v.SHA256)
		}
		if !slices.Equal(v.Chunks, split(t, bytes.NewReader(content[:n]))) {
			t.Errorf("%d bytes: version has other chunks than Split", n)
		}
		again, err := Version(bytes.NewReader(content[:n]), nil)
		if err != nil || again.SHA256 != v.SHA256 {
			t.Errorf("%d bytes: without fn: %v, %v", n, again.SHA256, err)
		}
	}
	stop := errors.New("enough")
	if _, err := Version(bytes.NewReader(content), func(api.Chunk, []byte) error { return stop }); err != stop {
		t.Errorf("error of fn became %v", err)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte{}, uint32(0), uint16(1))
	f.Add([]byte("seed"), uint32(5<<20), uint16(4096))
	f.Fuzz(func(t *testing.T, pattern []byte, size uint32, step uint16) {
		content := make([]byte, size%(6<<20))
		for i := 0; len(pattern) > 0 && i < len(content); {
			i += copy(content[i:], pattern)
			pattern = append(pattern[1:], pattern[0]^byte(i))
		}
		want := split(t, bytes.NewReader(content))
		got := split(t, &stepReader{content, max(int(step), 256)})
		var total int64
		for _, c := range got {
			total += int64(c.Size)
		}
		if total != int64(len(content)) || !slices.Equal(got, want) {
			t.Errorf("%d bytes in steps of %d: %d bytes in %d chunks, want %d chunks", len(content), step, total, len(got), len(want))
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	content := noise(64 << 20)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Split(bytes.NewReader(content), func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVersion(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1KiB", 1 << 10}, {"100KiB", 100 << 10}, {"1MiB", 1 << 20}, {"64MiB", 64 << 20}} {
		b.Run(size.name, func(b *testing.B) {
			content := noise(size.bytes)
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Version(bytes.NewReader(content), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The holes of a file are cut as the zeros that they are, wherever they lie, without being read.
func TestSplitHoles(t *testing.T) {
	noise := noise(10 << 20)
	for name, parts := range map[string][]struct{ at, n int64 }{
		"all hole":          {},
		"data at the start": {{0, 9 << 20}},
		"data at the end":   {{30 << 20, 10 << 20}},
		"data in between":   {{0, 5 << 20}, {13<<20 + 4096, 2 << 20}, {31 << 20, 4096}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			const size = 40<<20 + 17
			whole := make([]byte, size)
			for _, p := range parts {
				copy(whole[p.at:p.at+p.n], noise)
				if _, err := f.WriteAt(noise[:p.n], p.at); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Truncate(size); err != nil {
				t.Fatal(err)
			}
			want, err := Version(bytes.NewReader(whole), nil)
			if err != nil {
				t.Fatal(err)
			}
			if want.SHA256 != sha256.Sum256(whole) {
				t.Error("the SHA-256 of the bytes is wrong")
			}
			var got []byte
			skipped := 0
			v, err := Version(f, func(c api.Chunk, data []byte) error {
				if isZeros(data) {
					skipped++
				}
				got = append(got, data...)
				return nil
			})
			if err != nil || v.SHA256 != want.SHA256 || v.Size != size || !slices.Equal(v.Chunks, want.Chunks) || !bytes.Equal(got, whole) {
				t.Errorf("%d chunks of %d bytes, not %d (%v)", len(v.Chunks), v.Size, len(want.Chunks), err)
			}
			if skipped < 3 {
				t.Errorf("only %d chunks were not read", skipped)
			}
		})
	}
}
