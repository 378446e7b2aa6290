package storage

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/blob"
)

// ledger is a store that writes down what is read of it. If open is set a read
// is answered only when so many wait at the same time; if damage is, it is what
// becomes of what is read.
type ledger struct {
	blob.Store
	open   int
	damage func(key string, r io.ReadCloser) (io.ReadCloser, error)

	mu      sync.Mutex
	gets    []get
	waiting chan struct{}
}

type get struct {
	key    string
	off, n int64
}

func (l *ledger) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	l.mu.Lock()
	l.gets = append(l.gets, get{key, off, n})
	if l.waiting == nil {
		l.waiting = make(chan struct{})
	}
	waiting := l.waiting
	if l.open > 0 && len(l.gets) == l.open {
		close(waiting)
	}
	l.mu.Unlock()
	if l.open > 0 {
		select {
		case <-waiting:
		case <-time.After(time.Minute):
			return nil, errors.New("nobody else reads")
		}
	}
	r, err := l.Store.Get(ctx, key, off, n)
	if err == nil && l.damage != nil {
		return l.damage(key, r)
	}
	return r, err
}

// taken is what was read since the last call.
func (l *ledger) taken() []get {
	l.mu.Lock()
	defer l.mu.Unlock()
	gets := l.gets
	l.gets, l.waiting = nil, nil
	return gets
}

func (w *world) ledger() *ledger {
	l := &ledger{Store: w.blobs}
	w.blobs = l
	return l
}

// storedChunk is a chunk and its place.
type storedChunk struct {
	chunk api.Chunk
	data  []byte
	pack  string
	off   int64
}

// packOf stores chunks of these sizes in one pack.
func (d *drive) packOf(t testing.TB, sizes ...int) []storedChunk {
	t.Helper()
	var pack chunk.PackWriter
	var chunks []storedChunk
	for _, size := range sizes {
		data := make([]byte, size)
		crand.Read(data)
		c := storedChunk{chunk: api.Chunk{Hash: sha256.Sum256(data), Size: uint32(size)}, data: data}
		if err := pack.Add(c.chunk.Hash, data); err != nil {
			t.Fatal(err)
		}
		c.off = int64(pack.Size() - size)
		chunks = append(chunks, c)
	}
	id, _, err := d.PutPack(t.Context(), bytes.NewReader(pack.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range chunks {
		chunks[i].pack = id.String()
	}
	return chunks
}

// fileOf makes a file of chunks that are stored.
func (d *drive) fileOf(t testing.TB, name string, chunks ...storedChunk) (node api.ID, content []byte) {
	t.Helper()
	v := &api.Version{ID: api.NewID()}
	for _, c := range chunks {
		content = append(content, c.data...)
		v.Chunks = append(v.Chunks, c.chunk)
	}
	v.Size, v.SHA256 = int64(len(content)), sha256.Sum256(content)
	m := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: d.Root(), Name: api.Name(name), Attr: &api.Attr{Type: api.File}, Version: v, Time: 1}
	if c := d.commit(t, m); c.Outcomes[0].Status != api.Applied {
		t.Fatal(c.Outcomes[0])
	}
	return m.Node, content
}

// A range touches the chunks that have bytes of it and no others, whole, each
// stretch of them in a pack is read at once, and nothing is read twice.
func TestRangesTouchOnlyTheirPacks(t *testing.T) {
	w := newWorld(t)
	store := w.ledger()
	d := w.home(t, w.user(t, "editor"))
	a := d.packOf(t, 300_000, 400_000, 500_000, 70_000, 200_000)
	b := d.packOf(t, 1_000_000, 300_000)
	c := d.packOf(t, 100_000)
	// a's last chunk is over a gap (70,000 bytes) too wide to be read along.
	chunks := []storedChunk{a[0], a[1], a[2], b[0], b[1], a[4], c[0], b[0], a[3]}
	node, content := d.fileOf(t, "film", chunks...)
	film, err := d.Content(t.Context(), node, api.ID{})
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(content))
	ranges := [][2]int64{{0, size}, {0, 1}, {size - 1, 1}, {300_000, 1}, {299_999, 2}, {1_200_000, 1_000_000}}
	for range 50 {
		off := rand.Int64N(size)
		ranges = append(ranges, [2]int64{off, 1 + rand.Int64N(size-off)})
	}
	for _, r := range ranges {
		off, end := r[0], r[0]+r[1]
		var want []get // stretches of one pack, in order
		start := int64(0)
		for _, ch := range chunks {
			from, to := max(off, start), min(end, start+int64(len(ch.data)))
			if from < to {
				g := get{ch.pack, ch.off, int64(len(ch.data))}
				if last := len(want) - 1; last >= 0 && want[last].key == g.key && g.off-(want[last].off+want[last].n) == 36 {
					want[last].n = g.off + g.n - want[last].off
				} else {
					want = append(want, g)
				}
			}
			start += int64(len(ch.data))
		}
		store.taken()
		body, err := film.Open(t.Context(), off, end-off)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || !bytes.Equal(got, content[off:end]) {
			t.Fatalf("bytes %d to %d: %d bytes, %v", off, end, len(got), err)
		}
		if gets := store.taken(); !same(gets, want) {
			t.Errorf("bytes %d to %d read %v, not %v", off, end, gets, want)
		}
	}
}

// same compares without order: reads begin at the same time.
func same(a, b []get) bool {
	count := map[get]int{}
	for _, g := range a {
		count[g]++
	}
	for _, g := range b {
		count[g]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// Packs are opened at the same time, and no more of them than needed ahead.
func TestPacksAreReadInParallel(t *testing.T) {
	w := newWorld(t)
	store := w.ledger()
	d := w.home(t, w.user(t, "editor"))
	var chunks []storedChunk
	for range 3 * ahead {
		chunks = append(chunks, d.packOf(t, 1000)...)
	}
	node, content := d.fileOf(t, "film", chunks...)
	film, err := d.Content(t.Context(), node, api.ID{})
	if err != nil {
		t.Fatal(err)
	}
	store.taken()
	store.open = ahead // the first is not answered before so many are asked for
	body, err := film.Open(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got := make([]byte, 1000)
	if _, err := io.ReadFull(body, got); err != nil {
		t.Fatal(err)
	}
	store.mu.Lock()
	if n := len(store.gets); n > ahead+2 {
		t.Errorf("%d packs are open for the first chunk", n)
	}
	store.mu.Unlock()
	rest, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(append(got, rest...), content) {
		t.Errorf("%d bytes, %v", len(got)+len(rest), err)
	}
}

// What a store does wrong is an error of the reader, with the pack's name, and
// nothing of the chunk is yielded, whatever the range: only what is right before it.
func TestBrokenPacks(t *testing.T) {
	const size = 600
	for name, test := range map[string]struct {
		damage func(stored []byte) []byte // what is read of the two chunks, and the header between them
		gone   bool
		kind   api.Kind
		says   string
	}{
		"cut":           {damage: func(b []byte) []byte { return b[:len(b)-200] }, kind: api.Internal, says: "EOF"},
		"one bit":       {damage: func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, kind: api.Internal, says: "damaged"},
		"other content": {damage: func(b []byte) []byte { crand.Read(b[len(b)-size:]); return b }, kind: api.Internal, says: "damaged"},
		"zeros":         {damage: func(b []byte) []byte { clear(b[len(b)-size:]); return b }, kind: api.Internal, says: "damaged"},
		"gone":          {gone: true, kind: api.Internal, says: "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			store := w.ledger()
			d := w.home(t, w.user(t, "editor"))
			chunks := d.packOf(t, size, size)
			node, content := d.fileOf(t, "film", chunks...)
			film, err := d.Content(t.Context(), node, api.ID{})
			if err != nil {
				t.Fatal(err)
			}
			store.damage = func(_ string, r io.ReadCloser) (io.ReadCloser, error) {
				defer r.Close()
				if test.gone {
					return nil, api.Errorf(api.NotFound, "gone")
				}
				b, err := io.ReadAll(r)
				if err != nil {
					return nil, err
				}
				return io.NopCloser(bytes.NewReader(test.damage(b))), nil
			}
			for _, r := range [][2]int64{{0, -1}, {10, 2*size - 20}, {size, size}, {size + 5, 1}} {
				body, err := film.Open(t.Context(), r[0], r[1])
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(body)
				if api.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), chunks[0].pack) || !strings.Contains(fmt.Sprint(err), test.says) {
					t.Errorf("%v: %s, %v", r, api.KindOf(err), err)
				}
				if right := content[min(r[0], size):size]; !bytes.HasPrefix(right, got) || test.gone && len(got) > 0 {
					t.Errorf("%v: %d bytes, where only %d are right", r, len(got), len(right))
				}
				body.Close()
				if _, err := body.Read(make([]byte, 1)); err == nil {
					t.Errorf("%v: a closed reader reads", r)
				}
			}
		})
	}
}

// What the kernel may send is the same as what is read, wherever it begins and ends, also where chunks repeat; and
// what can't be sent from a file is verified.
func TestSendTo(t *testing.T) {
	w := newWorld(t)
	store := w.ledger()
	d := w.home(t, w.user(t, "editor"))
	a, b := d.packOf(t, 3000, 400, 500), d.packOf(t, 70_000)
	node, content := d.fileOf(t, "film", a[0], a[0], a[0], b[0], a[0], a[2], a[1], a[1], b[0])
	film, err := d.Content(t.Context(), node, api.ID{})
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(content))
	send := func(off, n int64) ([]byte, error) {
		r := film.Reader(t.Context())
		defer r.Close()
		r.Seek(off, io.SeekStart)
		var got bytes.Buffer
		sent, err := r.SendTo(&got, n)
		if sent != int64(got.Len()) || err != r.Err() {
			t.Errorf("%d bytes from %d: %d told, %d sent; %v told, %v kept", n, off, sent, got.Len(), err, r.Err())
		}
		return got.Bytes(), err
	}
	for i := range 200 {
		off := rand.Int64N(size)
		n := rand.Int64N(size - off + 1)
		if i == 0 {
			off, n = 0, size
		}
		if got, err := send(off, n); err != nil || !bytes.Equal(got, content[off:off+n]) {
			t.Fatalf("%d bytes from %d: %d, %v", n, off, len(got), err)
		}
	}
	for _, wrong := range []bool{false, true} {
		store.damage = func(_ string, r io.ReadCloser) (io.ReadCloser, error) { // a store without files
			defer r.Close()
			b, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			if wrong {
				b[len(b)-1] ^= 1
			}
			return io.NopCloser(bytes.NewReader(b)), nil
		}
		got, err := send(10, size-10)
		if !wrong && (err != nil || !bytes.Equal(got, content[10:])) || wrong && (api.KindOf(err) != api.Internal || len(got) > 0) {
			t.Errorf("wrong: %v: %d bytes, %v", wrong, len(got), err)
		}
	}
}

// A reader that is closed while somebody still reads ends with an error, and not the process with it: net/http reads
// several ranges in a goroutine of its own, which may outlive the answer.
func TestClosedWhileRead(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	node, content := d.fileOf(t, "film", d.packOf(t, 3000, 400, 500, 70_000)...)
	film, err := d.Content(t.Context(), node, api.ID{})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		r := film.Reader(t.Context())
		begun, ended := make(chan struct{}), make(chan error)
		go func() {
			var b [100]byte
			for n := 0; ; n++ {
				r.Seek(rand.Int64N(int64(len(content))), io.SeekStart)
				if _, err := r.Read(b[:]); err != nil && err != io.EOF {
					ended <- err
					return
				}
				if n == 1 {
					close(begun)
				}
			}
		}()
		<-begun
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, fs.ErrClosed) {
			t.Fatal(err)
		}
	}
}
