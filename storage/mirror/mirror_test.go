package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/blob"
	"satchel/storage/blob/local"
	"satchel/storage/blob/pg"
	"satchel/storage/blob/s3"
	"satchel/storage/blob/s3/s3test"
	"satchel/storage/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func key(i int) string { return fmt.Sprintf("0192bbbb-0000-7000-8000-%012x", i) }

// pack is a whole pack, another one for each i.
func pack(i int) []byte {
	data := bytes.Repeat([]byte{byte(i), 1, 2, 3}, 3000+i)
	var p chunk.PackWriter
	p.Add(api.Hash(sha256.Sum256(data)), data)
	return p.Bytes()
}

func put(t *testing.T, s blob.Store, key string, b []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
}

// same fails unless a store has the n packs, as they are.
func same(t *testing.T, s blob.Store, n int) {
	t.Helper()
	for i := range n {
		r, err := s.Get(t.Context(), key(i), 0, -1)
		if err != nil {
			t.Fatalf("pack %d: %v", i, err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(b, pack(i)) {
			t.Errorf("pack %d is another one (%v)", i, err)
		}
	}
}

func files(t *testing.T) *local.Store {
	t.Helper()
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func filled(t *testing.T, n int) *local.Store {
	t.Helper()
	s := files(t)
	for i := range n {
		put(t, s, key(i), pack(i))
	}
	return s
}

func TestCopyThroughEveryStore(t *testing.T) {
	t.Cleanup(s3test.Stop)
	location, err := s3.Parse(s3test.Bucket(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := s3.Open(t.Context(), location, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	database, err := pg.Open(t.Context(), pgtest.New(t).App)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	const n = 12
	from := blob.Store(filled(t, n))
	for _, to := range []blob.Store{bucket, database, files(t)} {
		r, err := Copy(t.Context(), from, to, Options{Parallel: 4})
		if err != nil || r.Copied != n || r.Objects != n || len(r.Damaged) > 0 {
			t.Fatalf("to %T: %+v %v", to, r, err)
		}
		same(t, to, n)
		from = to
	}
}

// A copy that was broken off goes on where it was, and does nothing when all is there.
func TestCopyGoesOn(t *testing.T) {
	const n = 40
	from, to := filled(t, n), files(t)
	ctx, stop := context.WithCancel(t.Context())
	done := 0
	if r, err := Copy(ctx, from, to, Options{Parallel: 1, Each: func() {
		if done++; done == 10 {
			stop()
		}
	}}); !errors.Is(err, context.Canceled) && api.KindOf(err) != api.Cancelled {
		t.Fatalf("broken off: %+v %v", r, err)
	}
	r, err := Copy(t.Context(), from, to, Options{Parallel: 3})
	if err != nil || r.Skipped < 10 || r.Skipped+r.Copied != n {
		t.Fatalf("going on: %+v %v", r, err)
	}
	same(t, to, n)
	if r, err := Copy(t.Context(), from, to, Options{Parallel: 3}); err != nil || r.Copied != 0 || r.Skipped != n {
		t.Errorf("once more: %+v %v", r, err)
	}
}

// What is at the destination under a pack's key is compared, not believed.
func TestCopyReplacesWhatIsWrong(t *testing.T) {
	const n = 5
	from, to := filled(t, n), files(t)
	put(t, to, key(1), pack(1)[:100]) // torn
	wrong := pack(2)
	wrong[len(wrong)/2]++
	put(t, to, key(2), wrong)
	if r, err := Copy(t.Context(), from, to, Options{Parallel: 2, Quick: func(string) bool { return true }}); err != nil || r.Replaced != 1 || r.Skipped != 1 {
		t.Errorf("quick: %+v %v", r, err)
	}
	if r, err := Copy(t.Context(), from, to, Options{Parallel: 2}); err != nil || r.Replaced != 1 || r.Copied != 1 || r.Skipped != n-1 {
		t.Errorf("%+v %v", r, err)
	}
	same(t, to, n)
}

func TestCopyTellsOfDamage(t *testing.T) {
	from, to := filled(t, 3), files(t)
	bad := pack(7)
	bad[len(bad)-5]++
	put(t, from, key(7), bad)
	r, err := Copy(t.Context(), from, to, Options{})
	if err != nil || len(r.Damaged) != 1 || r.Damaged[0] != key(7) {
		t.Errorf("%+v %v", r, err)
	}
}

// What is whole at the destination outlives a source that has rotted, and so does what is not whole: it may be all
// that there is.
func TestCopyKeepsWhatIsBetter(t *testing.T) {
	flipped := pack(1)
	flipped[len(flipped)-5]++
	other := pack(1)
	other[len(other)-9]++
	var two chunk.PackWriter
	for _, data := range [][]byte{[]byte("the first chunk"), []byte("the second")} {
		two.Add(api.Hash(sha256.Sum256(data)), data)
	}
	first := two.Bytes()[:len(two.Bytes())-chunk.RecordHeader-len("the second")] // a pack of its own
	for name, test := range map[string]struct {
		from, to, want []byte
		size           int64 // that is known; 0 for none
		damaged        bool
	}{
		"a source that rotted":             {from: flipped, to: pack(1), want: pack(1)},
		"a source that was cut":            {from: pack(1)[:100], to: pack(1), want: pack(1)},
		"a source cut between two chunks":  {from: first, to: two.Bytes(), want: two.Bytes()},
		"a copy cut between two chunks":    {from: two.Bytes(), to: first, want: two.Bytes()},
		"both cut between two chunks":      {from: first, to: first, want: first, size: int64(two.Size()), damaged: true},
		"both rotted":                      {from: other, to: flipped, want: flipped, damaged: true},
		"a copy that rotted":               {from: pack(1), to: flipped, want: pack(1)},
		"a source that is no pack at all":  {from: []byte("hello"), to: flipped, want: flipped, damaged: true},
		"a source without what it is said": {from: first, want: first, size: int64(two.Size()), damaged: true},
	} {
		from, to := files(t), files(t)
		put(t, from, key(1), test.from)
		if test.to != nil {
			put(t, to, key(1), test.to)
		}
		o := Options{}
		if test.size > 0 {
			o.Only = map[string]int64{key(1): test.size}
		}
		r, err := Copy(t.Context(), from, to, o)
		if err != nil || (len(r.Damaged) > 0) != test.damaged {
			t.Errorf("%s: %+v %v", name, r, err)
		}
		body, err := to.Get(t.Context(), key(1), 0, -1)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("%s: what is there now is another one, %v", name, err)
		}
		body.Close()
	}
}

// A destination that gives back other bytes than it got ends the copy, and what it keeps is not left there.
func TestCopyToALiar(t *testing.T) {
	to := &liar{Store: files(t)}
	if r, err := Copy(t.Context(), filled(t, 1), to, Options{}); err == nil {
		t.Fatalf("it was believed: %+v", r)
	}
	for range to.List(t.Context()) {
		t.Error("the wrong copy is still there")
	}
}

type liar struct{ blob.Store }

func (l *liar) Put(ctx context.Context, key string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	b[len(b)/2]++
	return l.Store.Put(ctx, key, bytes.NewReader(b))
}
