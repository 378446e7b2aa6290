package cache

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A trickle is a body that gives 4 KiB at once, as one at a bounded rate does, each after a pause.
type trickle struct {
	io.Closer
	from  io.Reader
	pause time.Duration
}

func (r *trickle) Read(p []byte) (int, error) {
	time.Sleep(r.pause)
	return r.from.Read(p[:min(len(p), 4<<10)])
}

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
		return putCounter{&bufferedBody{ReadCloser: &trickle{Closer: body, from: body}}, &puts}
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

// Patience is for what arrives, not for a block: at the slowest rate, several requests share it, and one's block takes longer.
func TestPatienceIsNotForABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := noise(blockSize)
		ctx, cancel := context.WithCancel(t.Context())
		from := &trickle{Closer: io.NopCloser(nil), from: bytes.NewReader(data), pause: patience - time.Second}
		body := &patientBody{taking(from), cancel, time.AfterFunc(time.Hour, cancel)}
		defer body.Close()
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		must(t, err)
		defer f.Close()
		if n, err := body.move(f, 0, blockSize, blockSize); err != nil || n != blockSize || ctx.Err() != nil {
			t.Errorf("moved %d bytes: %v; given up: %v", n, err, ctx.Err())
		}
		got, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("the file has %d bytes, or others: %v", len(got), err)
		}
	})
}
