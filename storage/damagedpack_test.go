package storage

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/blob"
	"satchel/storage/blob/pg"
	"satchel/storage/postgres/pgtest"
)

// Of a damaged pack garbage collection moves what is whole, once; the rest waits until it comes again, and then the pack
// goes.
func TestRepackTakesWhatIsWhole(t *testing.T) {
	k := newKept(t)
	d := k.home(t, k.user(t, "editor"))
	chunks := d.packOf(t, 3<<20, 1000, 2000)
	d.fileOf(t, "there", chunks[1])
	_, content := d.fileOf(t, "lost", chunks[2])
	k.spoil(t, chunks[2].pack, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	for i, want := range []int{1, 0} {
		if r := k.gc(t); len(r.Damaged) != want || int(r.Repacked) != want || r.Packs != 0 {
			t.Errorf("run %d: %+v", i, r)
		}
	}
	missing, err := d.Missing(t.Context(), []api.Hash{chunks[1].chunk.Hash, chunks[2].chunk.Hash})
	if err != nil || !slices.Equal(missing, []api.Hash{chunks[2].chunk.Hash}) {
		t.Errorf("asked for is %v, %v", missing, err)
	}
	d.store(t, "again", string(content))
	if r := k.gc(t); len(r.Damaged) != 0 || r.Repacked != 0 || r.Packs != 1 || r.Deleted != 1 {
		t.Errorf("when it has come again: %+v", r)
	}
	if got := d.read(t, "lost") + d.read(t, "there"); got != string(content)+string(chunks[1].data) {
		t.Errorf("%d bytes are left of %d", len(got), len(content)+1000)
	}
	if r := k.fsck(t, true); !r.Clean() {
		t.Errorf("%+v", r.Faults)
	}
}

// What the kernel can't send to its end is asked for; what a receiver does not take is not.
func TestSendToMarksWhatIsCut(t *testing.T) {
	k := newKept(t)
	d := k.home(t, k.user(t, "editor"))
	chunks := d.packOf(t, 70_000, 80_000)
	node, content := d.fileOf(t, "film", chunks...)
	film, err := d.Content(t.Context(), node, api.ID{})
	if err != nil {
		t.Fatal(err)
	}
	send := func(w io.Writer) (int64, error) {
		r := film.Reader(t.Context())
		defer r.Close()
		return r.SendTo(w, int64(len(content)))
	}
	asked := func() []api.Hash {
		missing, err := d.Missing(t.Context(), []api.Hash{chunks[0].chunk.Hash, chunks[1].chunk.Hash})
		if err != nil {
			t.Fatal(err)
		}
		return missing
	}
	if sent, err := send(&full{room: 100_000}); sent > 100_000 || err == nil || len(asked()) > 0 {
		t.Errorf("to one who took 100,000 bytes: %d, %v, asked for is %v", sent, err, asked())
	}
	k.spoil(t, chunks[0].pack, func(b []byte) []byte { return b[:len(b)-1000] })
	if sent, err := send(io.Discard); sent >= int64(len(content)) || err == nil || !slices.Equal(asked(), []api.Hash{chunks[1].chunk.Hash}) {
		t.Errorf("of a cut object: %d, %v, asked for is %v", sent, err, asked())
	}
}

// full is a writer with so much room.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	if f.room -= n; n < len(b) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// A part of the disk that can't be read costs what is there, and nothing behind it.
func TestBadSector(t *testing.T) {
	k := newKept(t)
	d := k.home(t, k.user(t, "editor"))
	chunks := d.packOf(t, 1000, 2000, 3000)
	d.fileOf(t, "before", chunks[0])
	node, content := d.fileOf(t, "there", chunks[1])
	d.fileOf(t, "behind", chunks[2])
	k.blobs = &sick{Store: k.blobs, key: chunks[1].pack, from: chunks[1].off + 100, to: chunks[1].off + 200}
	if _, err := d.once(t, node, api.ID{}); err == nil {
		t.Error("what can't be read was read")
	}
	if n := d.missing(t, versionOf(t, content)); n != 1 {
		t.Errorf("%d chunks are asked for", n)
	}
	if r := k.fsck(t, true); r.Lost != 1 || r.Clean() {
		t.Errorf("%+v", r)
	}
	d.store(t, "again", string(content))
	if r := k.gc(t); r.Repacked != 1 || r.Deleted != 1 || len(r.Damaged) != 0 {
		t.Errorf("%+v", r)
	}
	if got := d.read(t, "before") + d.read(t, "there") + d.read(t, "behind"); len(got) != 6000 {
		t.Errorf("%d bytes are left", len(got))
	}
	if r := k.fsck(t, true); !r.Clean() {
		t.Errorf("%+v", r.Faults)
	}
}

// keptInDatabase is a world whose content is in its database.
func keptInDatabase(t *testing.T) *kept {
	database := pgtest.New(t)
	blobs, err := pg.Open(t.Context(), database.App)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(blobs.Close)
	k := &kept{worldBy(t, database, database.App), database.Owner}
	k.blobs = blobs
	return k
}

func (k *kept) losePart(t *testing.T, number int) {
	t.Helper()
	if tag, err := k.admin.Exec(t.Context(), `DELETE FROM satchel.blob_parts WHERE part = $1`, number); err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
}

// What the database has lost of the content in it costs what was there, and nothing beside it.
func TestLostPartInTheDatabase(t *testing.T) {
	k := keptInDatabase(t)
	d := k.home(t, k.user(t, "editor"))
	chunks := d.packOf(t, 1<<19, 1<<20, 1<<18, 1<<19, 1<<19) // of the second MiB are the ones in the middle
	files := []string{"before", "into", "within", "out of", "behind"}
	lost := &api.Version{}
	for i, name := range files {
		d.fileOf(t, name, chunks[i])
		if i > 0 && i < 4 {
			lost.Chunks = append(lost.Chunks, chunks[i].chunk)
		}
	}
	k.losePart(t, 1)
	if _, err := d.once(t, d.lookup(t, "within").ID, api.ID{}); err == nil {
		t.Error("what is lost was read")
	}
	if n := d.missing(t, lost); n != 1 {
		t.Errorf("%d chunks are asked for", n)
	}
	if r := k.fsck(t, true); r.Lost != 3 || r.Clean() || d.missing(t, lost) != 3 {
		t.Errorf("%+v", r)
	}
	var again chunk.PackWriter
	for _, c := range chunks[1:4] {
		if err := again.Add(c.chunk.Hash, c.data); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := d.PutPack(t.Context(), bytes.NewReader(again.Bytes())); err != nil {
		t.Fatal(err)
	}
	if r := k.gc(t); r.Repacked != 1 || r.Deleted != 1 || len(r.Damaged) != 0 {
		t.Errorf("%+v", r)
	}
	for i, name := range files {
		if got := d.read(t, name); got != string(chunks[i].data) {
			t.Errorf("%s has %d bytes", name, len(got))
		}
	}
	if r := k.fsck(t, true); !r.Clean() {
		t.Errorf("%+v", r.Faults)
	}
}

// Garbage collection that meets such a loss tells of it, and goes on.
func TestRepackMeetsALostPart(t *testing.T) {
	k := keptInDatabase(t)
	d := k.home(t, k.user(t, "editor"))
	chunks := d.packOf(t, 3<<20, 1<<20-1000, 2000)
	d.fileOf(t, "there", chunks[1])
	d.fileOf(t, "lost", chunks[2])
	k.losePart(t, 4)
	for i, want := range []int{1, 0} {
		if r := k.gc(t); len(r.Damaged) != want || int(r.Repacked) != want {
			t.Errorf("run %d: %+v", i, r)
		}
	}
	if n := d.missing(t, &api.Version{Chunks: []api.Chunk{chunks[1].chunk, chunks[2].chunk}}); n != 1 {
		t.Errorf("%d chunks are asked for", n)
	}
	if got := d.read(t, "there"); got != string(chunks[1].data) {
		t.Errorf("%d bytes are left", len(got))
	}
}

// sick is a store on a disk that can't read a part of an object.
type sick struct {
	blob.Store
	key      string
	from, to int64
}

func (s *sick) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := s.Store.Get(ctx, key, off, n)
	if err != nil || key != s.key {
		return r, err
	}
	return &sickBody{r, s, off}, nil
}

type sickBody struct {
	io.ReadCloser
	sick *sick
	at   int64
}

func (b *sickBody) Read(p []byte) (int, error) {
	if b.at >= b.sick.from && b.at < b.sick.to {
		return 0, &fs.PathError{Op: "read", Path: b.sick.key, Err: syscall.EIO}
	}
	if b.at < b.sick.from {
		p = p[:min(int64(len(p)), b.sick.from-b.at)]
	}
	n, err := b.ReadCloser.Read(p)
	b.at += int64(n)
	return n, err
}
