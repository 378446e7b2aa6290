package storage

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"satchel/api"
	"satchel/api/chunk"
)

// batch reads and tells of each what came: its content, or the kind of failure.
func (d *drive) batch(t testing.TB, wanted ...api.ContentRef) []string {
	t.Helper()
	contents, err := d.Contents(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	w := chunk.NewContentsWriter(&stream)
	if err := contents.WriteTo(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := make([]string, len(wanted))
	err = chunk.ReadContents(&stream, len(wanted), func(i int, v api.Version, body io.Reader) error {
		b, err := io.ReadAll(body)
		if got[i] = string(b); err != nil {
			got[i] = string(api.KindOf(err))
		} else if v.SHA256 != sha256.Sum256(b) || v.ID.IsZero() {
			t.Errorf("content %d came as %+v", i, v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestContents(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d, stranger := w.home(t, me), w.home(t, w.user(t, "editor"))
	theirs := stranger.createFile(t, stranger.Root(), "theirs", "secret")
	stranger.commit(t, theirs)

	one, empty := d.createFile(t, d.Root(), "one", "1"), d.createFile(t, d.Root(), "empty", "")
	other, twin := d.createFile(t, d.Root(), "other", "2"), d.createFile(t, d.Root(), "twin", "1")
	d.commit(t, one, empty, other, twin)
	d.commit(t, api.Mutation{Op: api.OpWrite, Node: one.Node, Parent: d.Root(), Name: "one", Base: one.Version.ID, Version: d.content(t, "1b"), Time: 1})
	big, bigContent := d.fileOf(t, "big", d.packOf(t, 3_000_000, 2_000_000)...)

	wanted := []api.ContentRef{
		{Node: other.Node}, {Node: one.Node, Version: one.Version.ID}, {Node: theirs.Node}, {Node: d.Root()}, {Node: api.NewID()},
		{Node: one.Node}, {Node: empty.Node}, {Node: twin.Node}, {Node: one.Node, Version: other.Version.ID}, {Node: big}, {Node: other.Node},
		{Node: theirs.Node, Version: theirs.Version.ID}, {Node: other.Node, Version: theirs.Version.ID},
	}
	want := []string{"2", "1", "not_found", "is_a_directory", "not_found", "1b", "", "1", "not_found", string(bigContent), "2", "not_found", "not_found"}
	for range 5 {
		got := d.batch(t, wanted...)
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%d is %.20q, not %.20q", i, got[i], want[i])
			}
		}
		rand.Shuffle(len(want), func(i, j int) {
			wanted[i], wanted[j] = wanted[j], wanted[i]
			want[i], want[j] = want[j], want[i]
		})
	}
	if got := d.batch(t); len(got) != 0 {
		t.Errorf("nothing is %v", got)
	}
}

// Files that were stored together are read together, whatever the order they
// are asked for in: one read of each pack.
func TestContentsReadEachPackOnce(t *testing.T) {
	w := newWorld(t)
	store := w.ledger()
	d := w.home(t, w.user(t, "editor"))
	var wanted []api.ContentRef
	var want []string
	packs := map[string]bool{}
	for p := range 5 {
		sizes := make([]int, 100)
		for i := range sizes {
			sizes[i] = 1 + rand.IntN(4000)
		}
		for i, c := range d.packOf(t, sizes...) {
			node, content := d.fileOf(t, fmt.Sprint(p, ".", i), c)
			wanted, want = append(wanted, api.ContentRef{Node: node}), append(want, string(content))
			if i%10 == 0 { // the same again
				wanted, want = append(wanted, api.ContentRef{Node: node}), append(want, string(content))
			}
			packs[c.pack] = true
		}
	}
	rand.Shuffle(len(want), func(i, j int) {
		wanted[i], wanted[j] = wanted[j], wanted[i]
		want[i], want[j] = want[j], want[i]
	})
	store.taken()
	store.open = ahead // and at the same time
	got := d.batch(t, wanted...)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%d is %.20q, not %.20q", i, got[i], want[i])
		}
	}
	gets := store.taken()
	for _, g := range gets {
		delete(packs, g.key)
	}
	if len(gets) != 5 || len(packs) != 0 {
		t.Errorf("550 files in 5 packs took %d reads: %v", len(gets), gets)
	}
}

func TestContentsWithDamage(t *testing.T) {
	w := newWorld(t)
	store := w.ledger()
	d := w.home(t, w.user(t, "editor"))
	good, flipped, gone, away := d.packOf(t, 100, 200), d.packOf(t, 100), d.packOf(t, 100), d.packOf(t, 100)
	files := map[string][]storedChunk{
		"good": good[:1], "late": {good[1], flipped[0]}, "flipped": flipped, "gone": gone, "early": {gone[0], good[0]}, "away": away,
	}
	store.damage = func(key string, r io.ReadCloser) (io.ReadCloser, error) {
		switch key {
		case flipped[0].pack:
			b, err := io.ReadAll(r)
			r.Close()
			if len(b) > 0 {
				b[len(b)-1]++
			}
			return io.NopCloser(bytes.NewReader(b)), err
		case gone[0].pack:
			r.Close()
			return nil, api.Errorf(api.NotFound, "there is no object")
		case away[0].pack:
			r.Close()
			return nil, api.Errorf(api.Unavailable, "the store does not answer")
		}
		return r, nil
	}
	want := map[string]api.Kind{"late": api.Internal, "flipped": api.Internal, "gone": api.Internal, "early": api.Internal, "away": api.Unavailable}
	var wanted []api.ContentRef
	var names []string
	for name, chunks := range files {
		node, content := d.fileOf(t, name, chunks...)
		if want[name] == "" {
			want[name] = api.Kind(content)
		}
		wanted, names = append(wanted, api.ContentRef{Node: node}), append(names, name)
	}
	for i, got := range d.batch(t, wanted...) {
		if got != string(want[names[i]]) {
			t.Errorf("%s is %.20q, not %.20q", names[i], got, want[names[i]])
		}
	}
}

func TestContentsLimits(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	small := d.createFile(t, d.Root(), "small", "x")
	d.commit(t, small)
	ref := api.ContentRef{Node: small.Node}
	many := make([]api.ContentRef, api.MaxContents+1)
	for i := range many {
		many[i] = ref
	}
	if _, err := d.Contents(t.Context(), many); api.KindOf(err) != api.TooLarge {
		t.Errorf("too many: %v", err)
	}
	if got := d.batch(t, many[1:]...); strings.Join(got, "") != strings.Repeat("x", api.MaxContents) {
		t.Errorf("as many as allowed: %d", len(got))
	}
	var chunks []storedChunk
	for range 4 {
		chunks = append(chunks, d.packOf(t, chunk.MaxSize, chunk.MaxSize, chunk.MaxSize, chunk.MaxSize)...)
	}
	full, _ := d.fileOf(t, "full", chunks...)
	if _, err := d.Contents(t.Context(), []api.ContentRef{{Node: full}, ref}); api.KindOf(err) != api.TooLarge {
		t.Errorf("too many bytes: %v", err)
	}
	contents, err := d.Contents(t.Context(), []api.ContentRef{{Node: full}})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	stream := chunk.NewContentsWriter(io.Discard)
	if err := contents.WriteTo(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 3*chunk.MaxSize {
		t.Errorf("64 MiB took %d MiB of memory", used>>20)
	}
}
