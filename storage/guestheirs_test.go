package storage

import (
	"slices"
	"strings"
	"testing"

	"satchel/api"
)

// What a guest lets take over the document of a shared file is not shared as that was, if he could not read and write it himself:
// else he made what he may not read readable, to himself or to all.
func TestDocumentsTakeNoRightsAlong(t *testing.T) {
	renamed := func(from, over api.Node, dir api.ID) api.Mutation {
		return api.Mutation{Op: api.OpRename, Node: from.ID, Parent: dir, Name: "secret", ToParent: dir, ToName: "F", Replaces: over.ID, Time: 1}
	}
	for _, c := range []struct {
		name, box, all string // what the guest holds in the two folders
		shared         string // the public file
		attack         func(secret, f api.Node, box, all api.ID) []api.Mutation
		is             string // where the secret is then
		want           []string
	}{
		{"a rename over it", "list write rename", "", "box/F", func(secret, f api.Node, box, _ api.ID) []api.Mutation {
			return []api.Mutation{renamed(secret, f, box)}
		}, "box/F", []string{"applied"}},
		{"a rename over it, with more", "list write rename delete", "", "box/F", func(secret, f api.Node, box, _ api.ID) []api.Mutation {
			return []api.Mutation{renamed(secret, f, box)}
		}, "box/F", []string{"applied"}},
		{"a rename over what was deleted", "list write rename delete", "", "box/F", func(secret, f api.Node, box, _ api.ID) []api.Mutation {
			return []api.Mutation{{Op: api.OpUnlink, Node: f.ID, Parent: box, Name: "F", Time: 1}, renamed(secret, f, box)}
		}, "box/F", []string{"applied", "applied"}},
		{"an heir", "list write", "delete", "all/F", func(secret, f api.Node, _, all api.ID) []api.Mutation {
			return []api.Mutation{{Op: api.OpUnlink, Node: f.ID, Parent: all, Name: "F", Heir: secret.ID, Time: 1}}
		}, "box/secret", []string{"applied"}},
		{"an heir that can be read", "read list", "delete write", "all/F", func(secret, f api.Node, _, all api.ID) []api.Mutation {
			return []api.Mutation{{Op: api.OpUnlink, Node: f.ID, Parent: all, Name: "F", Heir: secret.ID, Time: 1}}
		}, "box/secret", []string{"permission"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuestDevice(t, "list")
			home, bob := g.s.home, g.s.bob.User.String()
			home.store(t, "box/secret", "secret")
			home.store(t, "all/x", "x")
			home.store(t, c.shared, "public")
			g.s.grant(t, "box", bob, strings.Fields(c.box)...)
			if c.all != "" {
				g.s.grant(t, "all", bob, strings.Fields(c.all)...)
			}
			for _, who := range []string{api.Anonymous, bob} {
				g.s.grant(t, c.shared, who, "read", "write")
			}
			if got := g.s.read(t, Caller{}, c.shared); got != "public" {
				t.Fatalf("the public file reads as %q", got)
			}
			verdicts := verdictsOf(t, g.Drive, c.attack(home.lookup(t, "box/secret"), home.lookup(t, c.shared), home.lookup(t, "box").ID, home.lookup(t, "all").ID)...)
			if !slices.Equal(verdicts, c.want) {
				t.Errorf("the attack is %q, not %q", verdicts, c.want)
			}
			for _, path := range []string{c.is, "box/secret"} {
				for name, who := range map[string]Caller{"all": {}, "the guest": g.s.bob} {
					if got := g.s.read(t, who, path); got == "secret" && (name == "all" || !strings.Contains(c.box, "read")) {
						t.Errorf("after %q %s can read the secret, which is %s", verdicts, name, path)
					}
				}
			}
			g.s.verify(t, home.ID())
		})
	}
}

// A guest who may read and write both, or who made the file with the same change, saves by rename as the owner does: it stays shared.
func TestGuestsSavesStayShared(t *testing.T) {
	for _, c := range []struct {
		name, holds string
		together    bool // the new file and the rename come in one batch
	}{
		{"in two batches", "read list write rename", false},
		{"in one batch", "read list write rename", true},
		{"in one batch, by one who may not read", "list write rename", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuestDevice(t, strings.Fields(c.holds)...)
			old := g.s.home.lookup(t, "shared/one")
			g.s.grant(t, "shared/one", api.Anonymous, "read")
			tmp := g.createFile(t, g.shared, "tmp", "saved")
			save := api.Mutation{Op: api.OpRename, Node: tmp.Node, Parent: g.shared, Name: "tmp", ToParent: g.shared, ToName: "one", Replaces: old.ID, Base: old.Version, Time: 2}
			var got []string
			if c.together {
				got = verdictsOf(t, g.Drive, tmp, save)
			} else {
				got = append(verdictsOf(t, g.Drive, tmp), verdictsOf(t, g.Drive, save)...)
			}
			if !slices.Equal(got, []string{"applied", "applied"}) {
				t.Errorf("the save is %q", got)
			}
			if text := g.s.read(t, Caller{}, "shared/one"); text != "saved" {
				t.Errorf("the public file reads as %q", text)
			}
			g.s.verify(t, g.s.home.ID())
		})
	}
}

// A batch of a guest's that changes attributes of what it removes then is applied like any other.
func TestGuestRemovesWhatHeChanged(t *testing.T) {
	g := newGuestDevice(t, strings.Fields(allRights)...)
	home := g.s.home
	for _, path := range []string{"shared/a", "shared/b", "shared/c"} {
		g.s.put(t, home.Drive, path, path)
	}
	a, b, c, d := home.lookup(t, "shared/a"), home.lookup(t, "shared/b"), home.lookup(t, "shared/c"), createDir(g.shared, "d")
	if got := verdictsOf(t, g.Drive, d); got[0] != "applied" {
		t.Fatal(got)
	}
	chmod := func(id api.ID) api.Mutation {
		mode := uint32(0o600)
		return api.Mutation{Op: api.OpSetattr, Node: id, Attr: &api.Attr{Mode: &mode}, Time: 2}
	}
	brief := g.createFile(t, g.shared, "brief", "brief")
	for _, step := range []struct {
		what  string
		batch []api.Mutation
	}{
		{"removed", []api.Mutation{chmod(a.ID), {Op: api.OpUnlink, Node: a.ID, Parent: g.shared, Name: "a", Time: 3}}},
		{"replaced", []api.Mutation{chmod(b.ID), {Op: api.OpRename, Node: c.ID, Parent: g.shared, Name: "c", ToParent: g.shared, ToName: "b", Replaces: b.ID, Base: b.Version, Time: 3}}},
		{"a folder", []api.Mutation{chmod(d.Node), {Op: api.OpRmdir, Node: d.Node, Parent: g.shared, Name: "d", Time: 3}}},
		{"made by it", []api.Mutation{brief, chmod(brief.Node), {Op: api.OpUnlink, Node: brief.Node, Parent: g.shared, Name: "brief", Time: 3}}},
	} {
		for i, got := range verdictsOf(t, g.Drive, step.batch...) {
			if got != "applied" {
				t.Errorf("%s: mutation %d is %s", step.what, i, got)
			}
		}
	}
	if got := verdictsOf(t, g.Drive, chmod(home.lookup(t, "private/five").ID)); got[0] != "not_found" {
		t.Errorf("attributes of what he does not see: %s", got)
	}
	if got := home.read(t, "shared/b"); got != "shared/c" {
		t.Errorf("what was replaced is %q", got)
	}
	g.s.verify(t, home.ID())
}
