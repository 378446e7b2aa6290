package cache

import (
	"bytes"
	"io"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A trickle is a body that gives 4 KiB at once, as one at a bounded rate does.
type trickle struct {
	io.Closer
	from io.Reader
}

func (r *trickle) Read(p []byte) (int, error) { return r.from.Read(p[:min(len(p), crumb)]) }

// A putCounter counts how often it writes.
type putCounter struct {
	*bufferedBody
	puts *atomic.Int64
}

func (b putCounter) Put(f *os.File, off int64) (int, error) {
	b.puts.Add(1)
	return b.bufferedBody.Put(f, off)
}

// What comes in small pieces is written block by block, and no reader waits for more than its block.
func TestPartialInSmallPieces(t *testing.T) {
	s := newShelf()
	data := noise(8<<20 + 12345)
	s.add(api.ID{}, "film", data)
	var puts atomic.Int64
	s.dress = func(body io.ReadCloser) io.ReadCloser {
		return putCounter{&bufferedBody{ReadCloser: &trickle{body, body}}, &puts}
	}
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "film")
	open(t, d, fid, unix.O_RDONLY)
	for off := 0; off < len(data); off += 128 << 10 {
		want := data[off:min(off+128<<10, len(data))]
		got, err := readAt(d, fid, int64(off), len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("at %d: %d bytes, %v", off, len(got), err)
		}
	}
	d.Release(fid, unix.O_RDONLY)
	if blocks := blocksOf(int64(len(data))); puts.Load() != blocks {
		t.Errorf("%d blocks were written %d times", blocks, puts.Load())
	}
}
