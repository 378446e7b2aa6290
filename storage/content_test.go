package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/blob"
)

// nothing is empty content.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// watched is a store that counts, and fails on demand.
type watched struct {
	blob.Store
	mu   sync.Mutex
	gets map[string]int64 // bytes by key
	fail error
}

func (s *watched) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets[key] += n
	return s.Store.Get(ctx, key, off, n)
}

func (s *watched) Put(ctx context.Context, key string, r io.Reader) error {
	if s.fail != nil {
		io.CopyN(io.Discard, r, 100)
		return s.fail
	}
	return s.Store.Put(ctx, key, r)
}

func (w *world) watch() *watched {
	s := &watched{Store: w.blobs, gets: map[string]int64{}}
	w.blobs = s
	return s
}

func random(n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(n)})
	source.Read(b)
	return b
}

func TestContentRanges(t *testing.T) {
	w := newWorld(t)
	store := w.watch()
	d := w.home(t, w.user(t, "editor"))
	content := random(30 << 20)
	file, err := d.Store(t.Context(), []api.Name{"film"}, iotest.HalfReader(bytes.NewReader(content)), PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if file.Size != int64(len(content)) || file.Hash != api.Hash(sha256.Sum256(content)) {
		t.Fatalf("stored %+v", file)
	}
	n, err := d.Lookup(t.Context(), []api.Name{"film"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Content(t.Context(), n.ID, api.ID{})
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(content))
	ranges := [][2]int64{{0, size}, {0, -1}, {0, 0}, {size, 0}, {size, -1}, {size - 1, 100}, {7, 1}, {0, 1 << 20}, {12345678, 9_000_000}}
	for range 20 {
		off := rand.Int64N(size)
		ranges = append(ranges, [2]int64{off, rand.Int64N(size - off)})
	}
	for _, r := range ranges {
		off, end := r[0], r[0]+r[1]
		if r[1] < 0 || end > size {
			end = size
		}
		clear(store.gets)
		body, err := c.Open(t.Context(), r[0], r[1])
		if err != nil {
			t.Fatalf("range %v: %v", r, err)
		}
		got, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(got, content[off:end]) {
			t.Errorf("range %v has %d bytes, %v", r, len(got), err)
		}
		body.Close()
		read := int64(0)
		for _, n := range store.gets {
			read += n
		}
		if extra := read - (end - off); extra > 200*36+2*chunk.MaxSize { // the first and the last chunk whole, to compare their hashes
			t.Errorf("range %v read %d bytes too many", r, extra)
		}
	}
	for _, bad := range []int64{-1, size + 1} {
		if _, err := c.Open(t.Context(), bad, 1); api.KindOf(err) != api.Invalid {
			t.Errorf("offset %d: %v", bad, err)
		}
	}
	body, err := c.Open(t.Context(), 0, -1) // closed in the middle
	if err != nil {
		t.Fatal(err)
	}
	io.CopyN(io.Discard, body, 1000)
	body.Close()
	if _, err := body.Read(make([]byte, 1)); err == nil {
		t.Error("a closed reader reads")
	}
}

func TestOldVersionsStayReadable(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d := w.home(t, me)
	file, other := d.createFile(t, d.Root(), "a", "one"), d.createFile(t, d.Root(), "b", "other")
	d.commit(t, file, other)
	write := api.Mutation{Op: api.OpWrite, Node: file.Node, Parent: d.Root(), Name: "a", Base: file.Version.ID, Version: d.content(t, "two"), Time: 1}
	tmp := d.createFile(t, d.Root(), ".tmp", "three")
	d.commit(t, write, tmp, api.Mutation{
		Op: api.OpRename, Node: tmp.Node, Parent: d.Root(), Name: ".tmp", ToParent: d.Root(), ToName: "a",
		Replaces: file.Node, Base: write.Version.ID, Time: 2,
	})
	for _, test := range []struct {
		name          string
		node, version api.ID
		want          string
	}{
		{"the current one", tmp.Node, api.ID{}, "three"},
		{"an old one of the document", tmp.Node, file.Version.ID, "one"},
		{"through an old handle", file.Node, write.Version.ID, "two"},
		{"through an old handle, as written to it", file.Node, file.Version.ID, "one"},
		{"of another file", other.Node, file.Version.ID, ""},
		{"that never was", tmp.Node, api.NewID(), ""},
	} {
		c, err := d.Content(t.Context(), test.node, test.version)
		if test.want == "" {
			if api.KindOf(err) != api.NotFound {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil || c.SHA256 != api.Hash(sha256.Sum256([]byte(test.want))) {
			t.Errorf("%s: %+v, %v", test.name, c, err)
		}
	}
	if _, err := d.Content(t.Context(), d.Root(), api.ID{}); api.KindOf(err) != api.IsDirectory {
		t.Errorf("a directory's content: %v", err)
	}
}

func TestPutPack(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	stranger := w.home(t, w.user(t, "editor"))
	var pack chunk.PackWriter
	var hashes []api.Hash
	for _, text := range []string{"one", "two", "one"} {
		h := api.Hash(sha256.Sum256([]byte(text)))
		hashes = append(hashes, h)
		if err := pack.Add(h, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	blobs := func() (n int) {
		for _, err := range w.blobs.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	wrong := bytes.Clone(pack.Bytes())
	wrong[len(wrong)-1]++
	for name, body := range map[string]io.Reader{
		"a wrong chunk":        bytes.NewReader(wrong),
		"a cut pack":           bytes.NewReader(wrong[:len(wrong)-1]),
		"no pack":              strings.NewReader("hello, this is not a pack"),
		"nothing":              nothing{},
		"one that is too long": io.MultiReader(bytes.NewReader(pack.Bytes()), io.LimitReader(zeros{}, chunk.MaxPack)),
	} {
		if _, _, err := d.PutPack(t.Context(), body); api.KindOf(err) != api.Invalid && api.KindOf(err) != api.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("the line broke")
	if _, _, err := d.PutPack(t.Context(), io.MultiReader(bytes.NewReader(pack.Bytes()), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a broken line: %v", err)
	}
	if n := blobs(); n != 0 {
		t.Errorf("%d refused packs are stored", n)
	}
	if missing, err := d.Missing(t.Context(), hashes); err != nil || len(missing) != 2 {
		t.Errorf("before, %d are missing, %v", len(missing), err)
	}
	for range 2 {
		if _, n, err := d.PutPack(t.Context(), bytes.NewReader(pack.Bytes())); err != nil || n != 3 {
			t.Errorf("stored %d chunks, %v", n, err)
		}
	}
	if missing, err := d.Missing(t.Context(), hashes); err != nil || len(missing) != 0 {
		t.Errorf("afterwards, %d are missing, %v", len(missing), err)
	}
	if missing, err := stranger.Missing(t.Context(), hashes); err != nil || len(missing) != 2 {
		t.Errorf("a stranger lacks %d, %v", len(missing), err)
	}
	if _, err := d.Missing(t.Context(), make([]api.Hash, api.MaxMissing+1)); api.KindOf(err) != api.TooLarge {
		t.Errorf("too many hashes: %v", err)
	}

	store := w.watch()
	store.fail = api.Errorf(api.NoSpace, "the disk is full")
	if _, _, err := d.PutPack(t.Context(), bytes.NewReader(pack.Bytes())); api.KindOf(err) != api.NoSpace {
		t.Errorf("a full disk: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
