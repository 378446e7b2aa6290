// Package blobtest is the conformance suite of [blob.Store]. A store's own test
// calls [Run]; [Faults] with a seam at which its operations can be made to
// fail; and [Killed], with [Child] in its TestMain.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"testing"
	"testing/iotest"

	"golang.org/x/sync/errgroup"

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
		{"put again", again},
		{"other bytes take the place of the old", replaced},
		{"readers that are left early", early},
		{"reading that is cancelled", cancelledGet},
		{"list", listed},
		{"many at once", concurrent},
		{"all calls at once", mixed},
		{"large objects in flat memory", large},
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
	content := random(5<<20 + 12345)
	put(t, s, key(1), content)
	put(t, s, key(2), nil)
	size := int64(len(content))
	type span struct{ off, n int64 }
	spans := []span{{0, 0}, {0, 1}, {0, size}, {0, size + 1}, {7, 1000}, {size - 1, 1}, {size - 10, 100}, {1 << 20, -1}, {1<<20 - 1, 2}, {size, 0}, {size, 1}, {size, -1}, {3, 0}}
	for range 20 {
		off := mathrand.Int64N(size)
		spans = append(spans, span{off, mathrand.Int64N(size)})
	}
	for _, r := range spans {
		want := content[r.off:]
		if r.n >= 0 {
			want = want[:min(r.n, int64(len(want)))]
		}
		got, err := get(t.Context(), s, key(1), r.off, r.n)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes from %d: got %d, %v", r.n, r.off, len(got), err)
		}
	}
	for _, n := range []int64{-1, 0, 1} {
		if got, err := get(t.Context(), s, key(2), 0, n); err != nil || len(got) > 0 {
			t.Errorf("%d bytes of an empty object: got %d, %v", n, len(got), err)
		}
		for _, r := range []span{{size + 1, n}, {-1, n}} {
			if _, err := get(t.Context(), s, key(1), r.off, r.n); api.KindOf(err) != api.NotFound {
				t.Errorf("%d bytes from %d of %d: %v", r.n, r.off, size, err)
			}
		}
	}
}

func missing(t *testing.T, s blob.Store) {
	for _, n := range []int64{-1, 0, 1} {
		if _, err := get(t.Context(), s, key(1), 0, n); api.KindOf(err) != api.NotFound {
			t.Errorf("Get of %d bytes of a missing object: %v", n, err)
		}
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
	for _, broken := range []error{api.Errorf(api.Invalid, "the line broke"), io.ErrUnexpectedEOF} {
		for _, after := range []int{0, 1, 6 << 20, 30 << 20} {
			err := s.Put(t.Context(), key(1), io.MultiReader(bytes.NewReader(random(after)), iotest.ErrReader(broken)))
			if !errors.Is(err, broken) || api.KindOf(err) != api.KindOf(broken) {
				t.Errorf("Put from a reader that fails after %d bytes: %v", after, err)
			}
			if _, err := get(t.Context(), s, key(1), 0, -1); api.KindOf(err) != api.NotFound {
				t.Errorf("Get afterwards: %v", err)
			}
		}
	}
	nothing(t, s)
}

func cancelled(t *testing.T, s blob.Store) {
	for _, before := range []int{1 << 20, 30 << 20} {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		go func() {
			w.Write(random(before))
			cancel()
			w.Write(random(1 << 20))
			w.Close()
		}()
		if err := s.Put(ctx, key(1), r); !errors.Is(err, context.Canceled) {
			t.Errorf("a Put cancelled after %d bytes: %v", before, err)
		}
		r.Close()
	}
	nothing(t, s)
}

func again(t *testing.T, s blob.Store) {
	content := random(3 << 20)
	for range 2 {
		put(t, s, key(1), content)
		if got, err := get(t.Context(), s, key(1), 0, -1); err != nil || !bytes.Equal(got, content) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
	n := 0
	for range s.List(t.Context()) {
		n++
	}
	if n != 1 {
		t.Errorf("%d objects are listed", n)
	}
}

func replaced(t *testing.T, s blob.Store) {
	is := func(want []byte) {
		t.Helper()
		if got, err := get(t.Context(), s, key(1), 0, -1); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes of %d, %v", len(got), len(want), err)
		}
	}
	first, second := random(20<<20), random(3<<20)
	put(t, s, key(1), first)
	broken := errors.New("the line broke")
	if err := s.Put(t.Context(), key(1), io.MultiReader(bytes.NewReader(second), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("Put from a reader that fails: %v", err)
	}
	is(first)
	put(t, s, key(1), second)
	is(second)
}

func early(t *testing.T, s blob.Store) {
	put(t, s, key(1), random(9<<20))
	for range 40 { // more than a store has connections
		r, err := s.Get(t.Context(), key(1), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if n, err := r.Read(make([]byte, 1)); n > 0 || err == nil || err == io.EOF {
			t.Errorf("Read after Close = %d, %v", n, err)
		}
	}
}

func cancelledGet(t *testing.T, s blob.Store) {
	put(t, s, key(1), random(20<<20))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Get(ctx, key(1), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes were read on, %v", n, err)
	}
	for _, err := range s.List(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled List: %v", err)
		}
	}
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
	var all errgroup.Group
	all.SetLimit(8)
	for i := range 2100 { // over two pages of S3's
		want[key(i)] = int64(i % 100)
		all.Go(func() error { return s.Put(t.Context(), key(i), bytes.NewReader(make([]byte, i%100))) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
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
