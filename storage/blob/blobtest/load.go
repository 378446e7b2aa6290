package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	mathrand "math/rand/v2"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"satchel/storage/blob"
)

func concurrent(t *testing.T, s blob.Store) {
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			content := slices.Repeat([]byte{byte(i)}, 100_000+i)
			if err := s.Put(t.Context(), key(i), bytes.NewReader(content)); err != nil {
				t.Errorf("Put: %v", err)
			}
			for range 4 {
				if got, err := get(t.Context(), s, key(i), 50_000, -1); err != nil || !bytes.Equal(got, content[50_000:]) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			}
		})
	}
	all.Wait()
}

// mixed puts, reads, lists and deletes the same few objects from many sides.
// A reader gets all of an object, or an error.
func mixed(t *testing.T, s blob.Store) {
	content := func(k int) []byte { return slices.Repeat([]byte{byte(k + 1)}, 1<<20+k) }
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			random := mathrand.New(mathrand.NewPCG(1, uint64(worker)))
			for range 30 {
				k := random.IntN(4)
				switch random.IntN(4) {
				case 0:
					if err := s.Put(t.Context(), key(k), bytes.NewReader(content(k))); err != nil {
						t.Errorf("Put: %v", err)
					}
				case 1:
					if err := s.Delete(t.Context(), key(k)); err != nil {
						t.Errorf("Delete: %v", err)
					}
				case 2:
					for info, err := range s.List(t.Context()) {
						if err != nil || info.Size < 1<<20 {
							t.Errorf("List: %+v, %v", info, err)
						}
					}
				default:
					if got, err := get(t.Context(), s, key(k), 0, -1); err == nil && !bytes.Equal(got, content(k)) {
						t.Errorf("Get without an error, but %d bytes", len(got))
					}
				}
			}
		})
	}
	all.Wait()
}

const (
	largeSize   = 200 << 20
	largeMemory = 110 << 20 // of the heap beyond what it had, garbage included
)

func large(t *testing.T, s blob.Store) {
	sum := sha256.New()
	start := time.Now()
	used := heap(func() {
		stream := io.LimitReader(mathrand.NewChaCha8([32]byte{}), largeSize)
		if err := s.Put(t.Context(), key(1), io.TeeReader(stream, sum)); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("put %3.0f MB/s, %d MiB of memory", largeSize/1e6/time.Since(start).Seconds(), used>>20)
	if used > largeMemory {
		t.Errorf("Put used %d MiB", used>>20)
	}
	want := sum.Sum(nil)
	sum.Reset()
	start = time.Now()
	used = heap(func() {
		r, err := s.Get(t.Context(), key(1), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := io.Copy(sum, r); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("get %3.0f MB/s, %d MiB of memory", largeSize/1e6/time.Since(start).Seconds(), used>>20)
	if used > largeMemory {
		t.Errorf("Get used %d MiB", used>>20)
	}
	if !bytes.Equal(sum.Sum(nil), want) {
		t.Error("other bytes came back")
	}
}

// heap is how many bytes the heap grew by, at most, while fn ran.
func heap(fn func()) uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	before := read()
	most := before
	ctx, stop := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for ctx.Err() == nil {
			most = max(most, read())
			time.Sleep(5 * time.Millisecond)
		}
	})
	defer watcher.Wait()
	defer stop()
	fn()
	stop()
	watcher.Wait()
	return most - before
}
