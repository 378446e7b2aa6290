package storage

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/fsck"
	"satchel/storage/gc"
	"satchel/storage/postgres"
	"satchel/storage/postgres/pgtest"
)

// kept is a world whose store is checked and collected.
type kept struct {
	*world
	owner string // the database's address for satchel_owner
}

func newKept(t *testing.T) *kept {
	database := pgtest.New(t)
	return &kept{worldBy(t, database, database.App), database.Owner}
}

func (k *kept) keep(t *testing.T, run func(*postgres.Keeper) error) {
	t.Helper()
	keeper, err := postgres.OpenKeeper(t.Context(), k.owner)
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	if err := run(keeper); err != nil {
		t.Fatal(err)
	}
}

func (k *kept) fsck(t *testing.T, deep bool) (r fsck.Report) {
	t.Helper()
	k.keep(t, func(keeper *postgres.Keeper) (err error) {
		r, err = fsck.Run(t.Context(), keeper, k.blobs, fsck.Options{Deep: deep, Grace: gc.DefaultGrace})
		return err
	})
	return r
}

// gc collects what is garbage now as if that had been found long ago.
func (k *kept) gc(t *testing.T) (r gc.Report) {
	t.Helper()
	k.keep(t, func(keeper *postgres.Keeper) error {
		owners, err := keeper.Owners(t.Context())
		if err != nil {
			return err
		}
		for _, owner := range owners {
			mark, err := keeper.Mark(t.Context(), owner)
			if err != nil {
				return err
			}
			if _, err := keeper.Condemn(t.Context(), mark, time.Now().Add(time.Minute), func() {}); err != nil {
				return err
			}
		}
		r, err = gc.Run(t.Context(), keeper, k.blobs, gc.Options{Grace: -time.Minute, Changes: gc.DefaultChanges}, slog.New(slog.DiscardHandler))
		return err
	})
	return r
}

// spoil makes something else of an object; nil makes nothing of it.
func (k *kept) spoil(t *testing.T, key string, change func([]byte) []byte) (was []byte) {
	t.Helper()
	body, err := k.blobs.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if was, err = io.ReadAll(body); err != nil {
		t.Fatal(err)
	}
	if change == nil {
		err = k.blobs.Delete(t.Context(), key)
	} else {
		err = k.blobs.Put(t.Context(), key, bytes.NewReader(change(bytes.Clone(was))))
	}
	if err != nil {
		t.Fatal(err)
	}
	return was
}

// versionOf is a version of some content, of which nothing is sent.
func versionOf(t *testing.T, content []byte) *api.Version {
	t.Helper()
	v, err := chunk.Version(bytes.NewReader(content), func(api.Chunk, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	v.ID = api.NewID()
	return &v
}

func (d *drive) missing(t *testing.T, v *api.Version) int {
	t.Helper()
	missing, err := d.Missing(t.Context(), named([]api.Mutation{{Version: v}}))
	if err != nil {
		t.Fatal(err)
	}
	return len(missing)
}

// once reads a version to its end.
func (d *drive) once(t *testing.T, node, version api.ID) ([]byte, error) {
	t.Helper()
	c, err := d.Content(t.Context(), node, version)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Reader(t.Context())
	defer r.Close()
	return io.ReadAll(r)
}

// Content that a check has found lost is asked for, by whatever way it comes again, and then all that ever had it is
// whole.
func TestLostContentComesAgain(t *testing.T) {
	film := random(5 << 20)
	whole := versionOf(t, film)
	losses := []struct {
		name string
		deep bool // only a deep check finds it
		lose func([]byte) []byte
		lost int // chunks; 0: some, but not all
	}{
		{"the object is missing", false, nil, len(whole.Chunks)},
		{"the object was cut", false, func(b []byte) []byte { return b[:len(b)/2] }, 0},
		{"a bit is another one", true, func(b []byte) []byte { b[100_000] ^= 1; return b }, 1},
	}
	ways := map[string]func(t *testing.T, k *kept, d *drive){
		"by a device": func(t *testing.T, _ *kept, d *drive) { d.content(t, string(film)) },
		"as a whole": func(t *testing.T, k *kept, d *drive) {
			if grew := k.objects(t, func() { d.store(t, "again", string(film)) }); grew != 1 {
				t.Errorf("%d objects came", grew)
			}
		},
		"by a guest": func(t *testing.T, k *kept, d *drive) {
			bob := k.user(t, "editor")
			p, _ := api.ParsePermissions([]string{"read", "list", "write"})
			if err := d.Grant(t.Context(), api.Grant{Path: "/", UserID: bob.User.String(), Permissions: p}); err != nil {
				t.Fatal(err)
			}
			his, err := k.Drive(t.Context(), bob, d.ID())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := his.Store(t.Context(), names(t, "again"), bytes.NewReader(film), PutOptions{}); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, loss := range losses {
		for way, send := range ways {
			t.Run(loss.name+"/"+way, func(t *testing.T) {
				k := newKept(t)
				d := k.home(t, k.user(t, "editor"))
				d.store(t, "film", string(film))
				old := d.lookup(t, "film")
				d.store(t, "film", "another film")
				pack, _ := d.spoil(t, k, old, loss.lose)

				found := k.fsck(t, loss.deep)
				if found.Clean() || found.Lost == 0 || loss.lost > 0 && int(found.Lost) != loss.lost || loss.lost == 0 && int(found.Lost) >= len(whole.Chunks) {
					t.Errorf("%d of %d chunks were found lost: %+v", found.Lost, len(whole.Chunks), found.Faults)
				}
				if n := d.missing(t, whole); n != int(found.Lost) {
					t.Errorf("%d chunks are asked for", n)
				}
				d.number++
				_, err := d.Commit(t.Context(), api.Batch{Incarnation: d.incarnation, Number: d.number, Mutations: []api.Mutation{
					{Op: api.OpCreate, Node: api.NewID(), Parent: d.Root(), Name: "named", Attr: &api.Attr{Type: api.File}, Version: whole, Time: 1}}})
				if api.KindOf(err) != api.MissingChunks {
					t.Errorf("a version of lost chunks: %v", err)
				}

				send(t, k, d)
				if n := d.missing(t, whole); n != 0 {
					t.Errorf("%d chunks are asked for yet", n)
				}
				if got, err := d.once(t, old.ID, old.Version); err != nil || !bytes.Equal(got, film) {
					t.Errorf("the version from before: %d bytes, %v", len(got), err)
				}
				if again := k.fsck(t, true); !again.Clean() || again.Lost != 0 {
					t.Errorf("%d chunks are lost: %+v", again.Lost, again.Faults)
				}
				k.gc(t)
				if again := k.fsck(t, true); !again.Clean() {
					t.Errorf("after gc: %+v", again.Faults)
				}
				if _, err := k.blobs.Get(t.Context(), pack, 0, -1); api.KindOf(err) != api.NotFound {
					t.Errorf("the damaged object: %v", err)
				}
				k.verify(t, d.ID())
			})
		}
	}
}

// spoil does it to the pack of a file's first chunk.
func (d *drive) spoil(t *testing.T, k *kept, n api.Node, change func([]byte) []byte) (pack string, was []byte) {
	t.Helper()
	c, err := d.Content(t.Context(), n.ID, n.Version)
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.locate(t.Context(), []api.Hash{c.chunks[0].Hash})
	if err != nil {
		t.Fatal(err)
	}
	pack = found[c.chunks[0].Hash].Pack.String()
	return pack, k.spoil(t, pack, change)
}

// objects is how many objects come into the store.
func (k *kept) objects(t *testing.T, do func()) (grew int) {
	t.Helper()
	count := func() (n int) {
		for _, err := range k.blobs.List(t.Context()) {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	before := count()
	do()
	return count() - before
}

// A copy is of what is there already, be it lost; when that comes again so does the copy.
func TestCopyOfLostContent(t *testing.T) {
	k := newKept(t)
	d := k.home(t, k.user(t, "editor"))
	d.store(t, "folder/lost", "what was lost")
	d.store(t, "folder/there", "what is there")
	d.spoil(t, k, d.lookup(t, "folder/lost"), nil)
	k.fsck(t, false)
	if _, err := d.Copy(t.Context(), names(t, "folder"), names(t, "copy"), CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := d.read(t, "copy/there"); got != "what is there" {
		t.Errorf("beside the lost one: %q", got)
	}
	d.store(t, "again", "what was lost")
	if got := d.read(t, "copy/lost"); got != "what was lost" {
		t.Errorf("the copy is %q", got)
	}
}

// Whoever reads and finds a chunk gone, on a second look too, has it asked for; whoever just can't read has not.
func TestReaderMarksWhatIsLost(t *testing.T) {
	read := func(t *testing.T, d *Drive, n api.Node) error {
		c, err := d.Content(t.Context(), n.ID, api.ID{})
		if err != nil {
			t.Fatal(err)
		}
		r := c.Reader(t.Context())
		defer r.Close()
		_, err = io.ReadAll(r)
		return err
	}
	wrong := func(r io.ReadCloser) (io.ReadCloser, error) {
		b, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		b[len(b)-1] ^= 1
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	gone := func(io.ReadCloser) (io.ReadCloser, error) { return nil, api.Errorf(api.NotFound, "gone") }
	away := func(io.ReadCloser) (io.ReadCloser, error) { return nil, api.Errorf(api.Unavailable, "away") }
	right := func(r io.ReadCloser) (io.ReadCloser, error) { return r, nil }
	for name, test := range map[string]struct {
		looks []func(io.ReadCloser) (io.ReadCloser, error) // at the object, one after another
		read  func(t *testing.T, d *Drive, n api.Node) error
		fails bool
		lost  bool
	}{
		"gone":                      {looks: []func(io.ReadCloser) (io.ReadCloser, error){gone, gone}, read: read, fails: true, lost: true},
		"wrong":                     {looks: []func(io.ReadCloser) (io.ReadCloser, error){wrong, wrong}, read: read, fails: true, lost: true},
		"gone, to the kernel":       {looks: []func(io.ReadCloser) (io.ReadCloser, error){gone, gone}, read: sendTo, fails: true, lost: true},
		"gone, in a batch":          {looks: []func(io.ReadCloser) (io.ReadCloser, error){gone, gone}, read: readBatch, lost: true},
		"gone, and there again":     {looks: []func(io.ReadCloser) (io.ReadCloser, error){gone, right}, read: read, fails: true},
		"wrong, and right":          {looks: []func(io.ReadCloser) (io.ReadCloser, error){wrong, right}, read: read, fails: true},
		"gone, and out of reach":    {looks: []func(io.ReadCloser) (io.ReadCloser, error){gone, away}, read: read, fails: true},
		"out of reach, then gone":   {looks: []func(io.ReadCloser) (io.ReadCloser, error){away}, read: read, fails: true},
		"nothing is wrong with all": {looks: []func(io.ReadCloser) (io.ReadCloser, error){right}, read: read},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSharing(t)
			s.grant(t, "shared", s.bob.User.String(), "read", "list")
			store := s.ledger()
			for who, d := range map[string]*Drive{"shared/one": s.home.Drive, "shared/sub/two": s.open(t, s.bob)} {
				looks := test.looks
				store.damage = func(_ string, r io.ReadCloser) (io.ReadCloser, error) {
					if len(looks) == 0 {
						t.Errorf("%s: one look too many", who)
						return nil, api.Errorf(api.Unavailable, "enough")
					}
					look := looks[0]
					looks = looks[1:]
					return look(r)
				}
				if err := test.read(t, d, s.home.lookup(t, who)); (err != nil) != test.fails {
					t.Errorf("%s: %v", who, err)
				}
				if n := s.home.missing(t, versionOf(t, []byte(who))); len(looks) > 0 || (n > 0) != test.lost {
					t.Errorf("%s: %d chunks are asked for, after %d of %d looks", who, n, len(test.looks)-len(looks), len(test.looks))
				}
			}
		})
	}
}

// sendTo reads as the answer to a device is sent.
func sendTo(t *testing.T, d *Drive, n api.Node) error {
	c, err := d.Content(t.Context(), n.ID, api.ID{})
	if err != nil {
		t.Fatal(err)
	}
	r := c.Reader(t.Context())
	defer r.Close()
	_, err = r.SendTo(io.Discard, n.Size)
	return err
}

// readBatch reads one of many files.
func readBatch(t *testing.T, d *Drive, n api.Node) error {
	contents, err := d.Contents(t.Context(), []api.ContentRef{{Node: n.ID}})
	if err != nil {
		t.Fatal(err)
	}
	w := chunk.NewContentsWriter(io.Discard)
	return contents.WriteTo(t.Context(), w)
}

// What garbage collection has moved since a reader found it is not lost.
func TestReaderLeavesWhatWasMoved(t *testing.T) {
	k := newKept(t)
	d := k.home(t, k.user(t, "editor"))
	chunks := d.packOf(t, 3<<20, 1000)
	node, content := d.fileOf(t, "film", chunks[1])
	c, err := d.Content(t.Context(), node, api.ID{})
	if err != nil {
		t.Fatal(err)
	}
	if c.located, err = c.locate(t.Context(), []api.Hash{chunks[1].chunk.Hash}); err != nil {
		t.Fatal(err)
	}
	if r := k.gc(t); r.Repacked != 1 || r.Deleted != 1 {
		t.Fatalf("%+v", r)
	}
	was := locatedFor
	t.Cleanup(func() { locatedFor = was })
	locatedFor = time.Hour
	if _, err := io.ReadAll(c.Reader(t.Context())); err == nil {
		t.Error("a pack that was deleted was read")
	}
	if missing, err := d.Missing(t.Context(), []api.Hash{chunks[1].chunk.Hash}); err != nil || len(missing) > 0 {
		t.Errorf("it is asked for: %v", err)
	}
	if got, err := d.once(t, node, api.ID{}); err != nil || !bytes.Equal(got, content) {
		t.Errorf("where it is now: %d bytes, %v", len(got), err)
	}
}

// An object that comes back, with the disk that was not there, is found by a deep check, and by no other.
func TestDeepCheckFindsAgain(t *testing.T) {
	k := newKept(t)
	d := k.home(t, k.user(t, "editor"))
	film := random(5 << 20)
	d.store(t, "film", string(film))
	n := d.lookup(t, "film")
	pack, was := d.spoil(t, k, n, nil)
	k.fsck(t, false)
	if err := k.blobs.Put(t.Context(), pack, bytes.NewReader(was)); err != nil {
		t.Fatal(err)
	}
	if got, err := d.once(t, n.ID, api.ID{}); err != nil || !bytes.Equal(got, film) {
		t.Errorf("a mark keeps from reading: %d bytes, %v", len(got), err)
	}
	whole := versionOf(t, film)
	if r := k.fsck(t, false); int(r.Lost) != len(whole.Chunks) || r.LostBytes != int64(len(film)) || r.Clean() || len(r.Faults[len(r.Faults)-1].Files) != 1 {
		t.Errorf("without hashes: %+v", r)
	}
	if r := k.fsck(t, true); r.Lost != 0 || !r.Clean() {
		t.Errorf("with hashes: %+v", r)
	}
	if n := d.missing(t, whole); n != 0 {
		t.Errorf("%d chunks are asked for", n)
	}
}

// A guest who has sent a chunk himself is asked for it when it is lost, as the owner is.
func TestGuestIsAskedForWhatIsLost(t *testing.T) {
	g := newGuestDevice(t, "read", "list", "write")
	v := g.content(t, "what the guest has")
	missing := func() int { return g.missing(t, v) }
	if n := missing(); n != 0 {
		t.Fatalf("he is asked for %d chunks that he has sent", n)
	}
	if _, err := g.s.world.admin.Exec(t.Context(), `UPDATE satchel.chunks SET lost = now() WHERE sha256 = $1`, v.Chunks[0].Hash[:]); err != nil {
		t.Fatal(err)
	}
	if n := missing(); n != 1 {
		t.Errorf("he is asked for %d chunks", n)
	}
	named := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: g.shared, Name: "his", Attr: &api.Attr{Type: api.File}, Version: v, Time: 1}
	g.number++
	batch := api.Batch{Incarnation: api.NewID(), Number: g.number, Mutations: []api.Mutation{named}}
	if _, err := g.Commit(context.Background(), batch); api.KindOf(err) != api.MissingChunks {
		t.Errorf("a version of what is lost: %v", err)
	}
	g.content(t, "what the guest has")
	if c, err := g.Commit(t.Context(), batch); err != nil || c.Outcomes[0].Status != api.Applied || missing() != 0 {
		t.Errorf("when he has sent it again: %+v %v", c, err)
	}
	if got := g.s.read(t, g.s.alice, "shared/his"); !strings.Contains(got, "what the guest has") {
		t.Errorf("its owner reads %q", got)
	}
}
