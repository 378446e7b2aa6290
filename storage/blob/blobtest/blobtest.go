// Package blobtest is the conformance suite of [blob.Store]: a store's own
// test calls [Run] and no more.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"satchel/api"
	"satchel/storage/blob"
)

// Run tests stores that open makes; each call must give an empty one.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, blob.Store)
	}{
		{"what is put is got", putGet},
		{"ranges", ranges},
		{"missing objects", missing},
		{"keys that no store can hold", badKeys},
		{"a reader that fails leaves nothing", failingReader},
		{"a cancelled put leaves nothing", cancelled},
		{"delete", deleted},
		{"list", listed},
		{"many at once", concurrent},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func key(n int) string { return fmt.Sprintf("0192aaaa-0000-7000-8000-%012x", n) }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func put(t *testing.T, s blob.Store, key string, content []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, bytes.NewReader(content)); err != nil {
		t.Fatalf("Put %s: %v", key, err)
	}
}

func get(ctx context.Context, s blob.Store, key string, off, n int64) ([]byte, error) {
	r, err := s.Get(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func putGet(t *testing.T, s blob.Store) {
	for i, size := range []int{0, 1, 4096, 9 << 20} {
		content := random(size)
		put(t, s, key(i), content)
		got, err := get(t.Context(), s, key(i), 0, -1)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("of %d bytes got %d, %v", size, len(got), err)
		}
	}
	content := random(100_000)
	if err := s.Put(t.Context(), key(99), iotest.HalfReader(bytes.NewReader(content))); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t.Context(), s, key(99), 0, -1); err != nil || !bytes.Equal(got, content) {
		t.Errorf("from a reader of odd pieces: got %d bytes, %v", len(got), err)
	}
}

func ranges(t *testing.T, s blob.Store) {
	content := random(3 << 20)
	put(t, s, key(1), content)
	size := int64(len(content))
	for _, r := range []struct{ off, n, want int64 }{
		{0, 0, 0}, {0, 1, 1}, {0, size, size}, {7, 1000, 1000}, {size - 1, 1, 1}, {size - 10, 100, 10}, {1 << 20, -1, 2 << 20},
	} {
		got, err := get(t.Context(), s, key(1), r.off, r.n)
		if err != nil || !bytes.Equal(got, content[r.off:r.off+r.want]) {
			t.Errorf("%d bytes from %d: got %d, %v", r.n, r.off, len(got), err)
		}
	}
	if _, err := get(t.Context(), s, key(1), size+1, 1); api.KindOf(err) != api.NotFound {
		t.Errorf("a range after the end: %v", err)
	}
}

func missing(t *testing.T, s blob.Store) {
	if _, err := get(t.Context(), s, key(1), 0, -1); api.KindOf(err) != api.NotFound {
		t.Errorf("Get of a missing object: %v", err)
	}
	if err := s.Delete(t.Context(), key(1)); err != nil {
		t.Errorf("Delete of a missing object: %v", err)
	}
}

func badKeys(t *testing.T, s blob.Store) {
	for _, k := range []string{"", "a", "../x", "a/b", "A1", "a\x00", string(make([]byte, blob.MaxKey+1))} {
		if err := s.Put(t.Context(), k, bytes.NewReader(nil)); api.KindOf(err) != api.Invalid {
			t.Errorf("Put %q: %v", k, err)
		}
		if _, err := s.Get(t.Context(), k, 0, -1); api.KindOf(err) != api.Invalid {
			t.Errorf("Get %q: %v", k, err)
		}
	}
}

func nothing(t *testing.T, s blob.Store) {
	t.Helper()
	for info, err := range s.List(t.Context()) {
		t.Errorf("the store has %v, %v", info, err)
	}
}

func failingReader(t *testing.T, s blob.Store) {
	broken := errors.New("the line broke")
	err := s.Put(t.Context(), key(1), io.MultiReader(bytes.NewReader(random(6<<20)), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("Put from a reader that fails: %v", err)
	}
	if _, err := get(t.Context(), s, key(1), 0, -1); api.KindOf(err) != api.NotFound {
		t.Errorf("Get afterwards: %v", err)
	}
	nothing(t, s)
}

func cancelled(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		w.Write(random(1 << 20))
		cancel()
		w.Write(random(1 << 20))
		w.Close()
	}()
	if err := s.Put(ctx, key(1), r); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Put: %v", err)
	}
	r.Close()
	nothing(t, s)
}

func deleted(t *testing.T, s blob.Store) {
	put(t, s, key(1), random(10))
	put(t, s, key(2), random(10))
	if err := s.Delete(t.Context(), key(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), s, key(1), 0, -1); api.KindOf(err) != api.NotFound {
		t.Errorf("Get of a deleted object: %v", err)
	}
	if _, err := get(t.Context(), s, key(2), 0, -1); err != nil {
		t.Errorf("Get of its neighbour: %v", err)
	}
}

func listed(t *testing.T, s blob.Store) {
	nothing(t, s)
	want := map[string]int64{}
	for i := range 300 {
		put(t, s, key(i), random(i))
		want[key(i)] = int64(i)
	}
	for info, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if size, ok := want[info.Key]; !ok || size != info.Size || info.Modified.IsZero() {
			t.Errorf("listed %+v", info)
		}
		delete(want, info.Key)
	}
	if len(want) > 0 {
		t.Errorf("%d objects were not listed", len(want))
	}
	for range s.List(t.Context()) {
		break // must be possible
	}
}

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
