package storage

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"satchel/api"
)

// guestDevice is a device of somebody who is a guest in a drive.
type guestDevice struct {
	*drive
	s      *sharing
	shared api.ID // the directory that is shared with him
	seq    int64
	epoch  api.ID
}

func newGuestDevice(t *testing.T, permissions ...string) *guestDevice {
	t.Helper()
	return newSharing(t).guestDevice(t, permissions...)
}

func (s *sharing) guestDevice(t *testing.T, permissions ...string) *guestDevice {
	t.Helper()
	s.grant(t, "shared", s.bob.User.String(), permissions...)
	g := &guestDevice{drive: &drive{Drive: s.open(t, s.bob)}, s: s}
	g.shared = s.home.lookup(t, "shared").ID
	g.listed(t)
	return g
}

// listed notes where the drive stands, as a device does that lists it.
func (g *guestDevice) listed(t *testing.T) {
	t.Helper()
	info, err := g.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.epoch, g.seq = info.Epoch, info.Seq
	if info.Quota != 0 || info.Used != 0 || info.Stored != 0 || info.Files != 0 {
		t.Errorf("a guest is told the owner's figures: %+v", info)
	}
	if !info.Root.IsZero() { // by which devices know the owner's server again
		t.Errorf("a guest is told the root: %+v", info)
	}
}

// hears is the entries that changed since, by name; a name that leads nowhere
// any more ends with "-".
func (g *guestDevice) hears(t *testing.T) (names []string) {
	t.Helper()
	c, err := g.Changes(t.Context(), api.ID{}, g.epoch, g.seq, 0)
	if err != nil {
		t.Fatalf("the feed: %v", err)
	}
	g.seq = c.Seq
	for _, e := range c.Entries {
		name := string(e.Name)
		if e.Node.IsZero() {
			name += "-"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (g *guestDevice) hearsThat(t *testing.T, want ...string) {
	t.Helper()
	if got := g.hears(t); !slices.Equal(got, want) {
		t.Errorf("the guest hears of %q, not %q", got, want)
	}
}

func (g *guestDevice) resyncs(t *testing.T, why string) {
	t.Helper()
	if c, err := g.Changes(t.Context(), api.ID{}, g.epoch, g.seq, 0); api.KindOf(err) != api.Resync {
		t.Errorf("after %s: %+v %v", why, c, err)
	}
	g.listed(t)
}

// A guest's device hears of what he may see, and of nothing else.
func TestGuestsFeed(t *testing.T) {
	g := newGuestDevice(t, "read", "list")
	s, home := g.s, g.s.home
	s.put(t, home.Drive, "private/new", "x")
	s.put(t, home.Drive, "shared/new", "x")
	s.put(t, home.Drive, "shared2/new2", "x")
	g.hearsThat(t, "new")
	rename := func(from, to string) {
		t.Helper()
		if _, err := home.Move(t.Context(), names(t, from), names(t, to), MoveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	rename("shared/new", "private/hidden")
	g.hearsThat(t, "new-") // and not where it went
	rename("private/five", "shared/five")
	g.hearsThat(t, "five") // and not where it was
	rename("shared/sub/two", "shared/two")
	g.hearsThat(t, "two", "two-")
	if err := home.Remove(t.Context(), names(t, "shared/sub")); err != nil {
		t.Fatal(err)
	}
	if got := g.hears(t); !slices.Contains(got, "sub-") {
		t.Errorf("a removed directory: %q", got)
	}
	rename("private", "shared/was private")
	g.resyncs(t, "a directory of which he knows nothing came in")
	rename("shared/was private", "private")
	g.hearsThat(t, "was private-")

	s.grant(t, "shared2", s.admin.User.String(), "read")
	g.hearsThat(t) // another's rights are not his affair
	s.grant(t, "shared2", s.bob.User.String(), "read")
	g.resyncs(t, "he may see more")
	p, _ := api.ParsePermissions([]string{"read"})
	revoke := func(path string) {
		t.Helper()
		if err := home.Revoke(t.Context(), api.Grant{Path: path, UserID: s.bob.User.String(), Permissions: api.AllPermissions}); err != nil {
			t.Fatal(err)
		}
	}
	if err := home.Grant(t.Context(), api.Grant{Path: "private", UserID: api.Authenticated, Permissions: p}); err != nil {
		t.Fatal(err)
	}
	g.resyncs(t, "everybody may see more")
	revoke("shared2")
	g.resyncs(t, "he may see less")
	revoke("shared")
	if err := home.Revoke(t.Context(), api.Grant{Path: "private", UserID: api.Authenticated, Permissions: p}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Changes(t.Context(), api.ID{}, g.epoch, g.seq, 0); api.KindOf(err) != api.NotFound {
		t.Errorf("when he may see nothing any more: %v", err)
	}
}

// A guest's batch is applied as far as the grants go, and what is refused is
// refused alone.
func TestGuestsBatch(t *testing.T) {
	g := newGuestDevice(t, "read", "list", "write")
	s, home := g.s, g.s.home
	one := home.lookup(t, "shared/one")
	private := home.lookup(t, "private")
	five := home.lookup(t, "private/five")

	life := api.NewID()
	number := uint64(0)
	commit := func(batch ...api.Mutation) (statuses []string) {
		t.Helper()
		number++
		c, err := g.Commit(t.Context(), api.Batch{Incarnation: life, Number: number, Mutations: batch})
		if err != nil {
			t.Fatal(err)
		}
		again, err := g.Commit(t.Context(), api.Batch{Incarnation: life, Number: number, Mutations: batch})
		if err != nil || !slices.Equal(again.Outcomes, c.Outcomes) {
			t.Errorf("sent again it is answered %+v %v, not %+v", again.Outcomes, err, c.Outcomes)
		}
		for i, o := range c.Outcomes {
			if o.Status == api.Refused {
				statuses = append(statuses, string(o.Kind))
				if batch[i].Node == five.ID || batch[i].Parent == private.ID {
					for _, n := range c.Nodes {
						if n.ID == five.ID || n.ID == private.ID {
							t.Errorf("a guest is told of %+v", n)
						}
					}
				}
				continue
			}
			statuses = append(statuses, string(o.Status))
		}
		return statuses
	}
	file := g.createFile(t, g.shared, "by bob", "hello")
	dir := createDir(g.shared, "new dir")
	within := g.createFile(t, dir.Node, "within", "x")
	got := commit(
		file,
		dir, within, // no mkdir
		api.Mutation{Op: api.OpWrite, Node: one.ID, Parent: g.shared, Name: "one", Base: one.Version, Version: g.content(t, "changed"), Time: 1},
		api.Mutation{Op: api.OpUnlink, Node: one.ID, Parent: g.shared, Name: "one", Time: 2},                         // no delete
		api.Mutation{Op: api.OpRename, Node: one.ID, Parent: g.shared, Name: "one", ToParent: g.shared, ToName: "x"}, // no rename
		api.Mutation{Op: api.OpWrite, Node: five.ID, Parent: private.ID, Name: "five", Base: five.Version, Version: g.content(t, "stolen"), Time: 1},
		api.Mutation{Op: api.OpWrite, Node: one.ID, Parent: private.ID, Name: "one", Version: g.content(t, "aside"), Time: 1}, // the conflict copy does not go there
		api.Mutation{Op: api.OpUnlink, Node: five.ID, Parent: g.shared, Name: "five", Time: 2, Heir: five.ID},
		api.Mutation{Op: api.OpSetattr, Node: api.NewID(), Attr: &api.Attr{}, Time: 1},
	)
	want := []string{"applied", "permission", "not_found", "applied", "permission", "permission", "not_found", "adjusted", "permission", "not_found"}
	if !slices.Equal(got, want) {
		t.Errorf("outcomes\n%q, not\n%q", got, want)
	}
	if home.read(t, "shared/by bob") != "hello" || home.read(t, "shared/one") != "changed" || home.read(t, "private/five") != "private/five" {
		t.Error("the owner's files are not what they should be")
	}
	// The owner's devices hear of it, and the guest's own do not, but for an echo.
	if c := home.changesAfter(t, g.seq, 0); len(c.Entries) != 3 || slices.ContainsFunc(c.Entries, func(e api.EntryState) bool { return e.Parent != g.shared }) {
		t.Errorf("the owner hears of %+v", c.Entries)
	}
	g.hearsThat(t)

	// What the owner has is not the guest's to name by its hash.
	secret := home.content(t, "a secret")
	stolen := file
	stolen.Node, stolen.Name, stolen.Version = api.NewID(), "stolen", secret
	if _, err := g.Commit(t.Context(), api.Batch{Incarnation: life, Number: number + 1, Mutations: []api.Mutation{stolen}}); api.KindOf(err) != api.MissingChunks {
		t.Errorf("a chunk that the guest has not sent: %v", err)
	}
	hashes := []api.Hash{secret.Chunks[0].Hash, file.Version.Chunks[0].Hash}
	if missing, err := g.Missing(t.Context(), hashes); err != nil || !slices.Equal(missing, hashes[:1]) {
		t.Errorf("the guest is told that %v are missing, %v", missing, err)
	}

	s.grant(t, "shared", s.bob.User.String(), "mkdir", "delete", "rename")
	number++ // of the refused one
	dir, within = createDir(g.shared, "new dir"), api.Mutation{}
	within = g.createFile(t, dir.Node, "within", "x")
	got = commit(dir, within,
		api.Mutation{Op: api.OpRename, Node: within.Node, Parent: dir.Node, Name: "within", ToParent: g.shared, ToName: "out", Time: 1},
		api.Mutation{Op: api.OpRmdir, Node: dir.Node, Parent: g.shared, Name: "new dir", Time: 2},
		api.Mutation{Op: api.OpRename, Node: within.Node, Parent: g.shared, Name: "out", ToParent: private.ID, ToName: "in", Time: 3})
	if want := []string{"applied", "applied", "applied", "applied", "not_found"}; !slices.Equal(got, want) {
		t.Errorf("outcomes %q, not %q", got, want)
	}
	if home.read(t, "shared/out") != "x" {
		t.Error("the renamed file is not there")
	}

	// When he may change nothing any more a batch is refused, and does not block what comes.
	if err := home.Revoke(t.Context(), api.Grant{Path: "shared", UserID: s.bob.User.String(), Permissions: api.AllPermissions &^ (api.PermRead | api.PermList)}); err != nil {
		t.Fatal(err)
	}
	if got := commit(createDir(g.shared, "late")); !slices.Equal(got, []string{"permission"}) {
		t.Errorf("outcomes %q", got)
	}
}

// A page of changes of which none is the guest's to see does not hold up those behind it.
func TestGuestHearsBehindHiddenChanges(t *testing.T) {
	defer func(was int) { feedPage = was }(feedPage)
	feedPage = 3
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "read", "list")
	d := s.open(t, s.bob)
	info, err := d.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		s.put(t, s.home.Drive, "private/five", fmt.Sprint("hidden ", i))
	}
	s.put(t, s.home.Drive, "shared/one", "seen")
	one := s.home.lookup(t, "shared/one").ID
	// Nothing wakes it: without the rest it would wait for a minute each time.
	ctx, cancel := context.WithTimeout(t.Context(), MaxWait/2)
	defer cancel()
	for at := info.Seq; ; {
		c, err := d.Changes(ctx, api.ID{}, info.Epoch, at, MaxWait)
		if err != nil {
			t.Fatal(err)
		}
		if contains(c.Nodes, one) {
			break
		}
		if !c.More || c.Seq <= at {
			t.Fatalf("after %d comes %+v", at, c)
		}
		at = c.Seq
	}
}
