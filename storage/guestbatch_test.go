package storage

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"satchel/api"
	"satchel/storage/postgres/pgtest"
)

// What a guest's batch says to create, and that is there already, is not his to go on with; nor is what became of his own another one's
// by what the batch did with it.
func TestGuestsBatchMakesNothingThatIsThere(t *testing.T) {
	g := newGuestDevice(t, "read", "list", "write", "mkdir")
	s, home := g.s, g.s.home
	five := home.lookup(t, "private/five")
	for _, path := range []string{"shared/sub/f", "shared/sub/g", "shared/sub/h", "shared/given/f", "lent/e/f", "lent/a", "lent/b", "lent/c"} {
		home.store(t, path, "the owner's")
	}
	f, g2, h := home.lookup(t, "shared/sub/f").ID, home.lookup(t, "shared/sub/g").ID, home.lookup(t, "shared/sub/h").ID
	home.store(t, "private/thrown away", "in the trash")
	trashed := home.lookup(t, "private/thrown away")
	home.unlink(t, "private/thrown away")
	home.store(t, "all/sub/here", "his to do anything with")
	home.store(t, "all/top", "his to do anything with")
	top := home.lookup(t, "all/top").ID
	s.grant(t, "all", s.bob.User.String(), "read", "list", "write", "mkdir", "delete", "rename", "copy")
	all := home.lookup(t, "all").ID
	s.grant(t, "lent", s.bob.User.String(), "read", "list", "write", "rename")
	s.grant(t, "shared/given", s.bob.User.String(), "delete")
	home.store(t, "shelf/old", "the owner's")
	s.grant(t, "shelf/old", s.bob.User.String(), "write")
	s.grant(t, "shelf", s.bob.User.String(), "read", "list", "mkdir", "rename")
	home.store(t, "box/secret", "the owner's")
	s.grant(t, "box", s.bob.User.String(), "list", "write", "rename")
	home.store(t, "stall/F", "the owner's")
	s.grant(t, "stall", s.bob.User.String(), "read", "list", "write", "mkdir", "rename")
	stall, stallF := home.lookup(t, "stall").ID, home.lookup(t, "stall/F")
	shelf, old, box := home.lookup(t, "shelf").ID, home.lookup(t, "shelf/old").ID, home.lookup(t, "box").ID

	as := func(id api.ID, parent api.ID, name api.Name) api.Mutation {
		m := createDir(parent, name)
		m.Node = id
		return m
	}
	z := func(id api.ID) api.Mutation { return as(id, g.shared, "z") }
	asFile := g.createFile(t, g.shared, "z", "mine")
	asFile.Node = five.ID
	sub := func() api.Mutation { return createDir(g.shared, "sub") }
	link := func(node api.ID) api.Mutation {
		return api.Mutation{Op: api.OpLink, Node: node, Parent: g.shared, Name: "got", Time: 1}
	}
	unlink := func(node, parent api.ID, name api.Name) api.Mutation {
		return api.Mutation{Op: api.OpUnlink, Node: node, Parent: parent, Name: name, Time: 1}
	}
	rmdir := func(m api.Mutation) api.Mutation {
		return api.Mutation{Op: api.OpRmdir, Node: m.Node, Parent: m.Parent, Name: m.Name, Time: 1}
	}
	move := func(path string, to api.ID, name api.Name) api.Mutation {
		at := names(t, path)
		return api.Mutation{
			Op: api.OpRename, Node: home.lookup(t, path).ID, Parent: home.lookup(t, string(names(t, path)[0])).ID, Name: at[len(at)-1], ToParent: to, ToName: name, Time: 1,
		}
	}
	s1, s2, s3, s4, s5, s6 := sub(), sub(), sub(), sub(), sub(), sub()
	deep := createDir(s3.Node, "deep")
	mine := g.createFile(t, g.shared, "mine", "guest's")
	late := api.Mutation{Op: api.OpWrite, Node: mine.Node, Parent: g.shared, Name: "mine", Base: api.NewID(), Version: g.content(t, "late"), Conflict: s5.Node, Time: 1}
	sub6 := createDir(all, "sub")
	sub6.Node = s6.Node
	mkP, mkQ, mkR, mkS := createDir(all, "P"), createDir(all, "Q"), createDir(g.shared, "R"), createDir(shelf, "S")
	x := createDir(mkP.Node, "x")
	given := createDir(g.shared, "given")
	gone := createDir(all, "gone")
	tmp := g.createFile(t, mkS.Node, "tmp", "the guest's")
	replace := api.Mutation{Op: api.OpRename, Node: tmp.Node, Parent: mkS.Node, Name: "tmp", ToParent: mkS.Node, ToName: "c", Replaces: home.lookup(t, "lent/c").ID, Time: 2}
	over, copied := g.createFile(t, box, "over", "the guest's"), api.NewID()
	hides := api.Mutation{Op: api.OpRename, Node: over.Node, Parent: box, Name: "over", ToParent: box, ToName: "secret", Replaces: home.lookup(t, "box/secret").ID, Base: api.NewID(), Conflict: copied, Time: 2}

	mkD := createDir(stall, "D")
	heir := g.createFile(t, mkD.Node, "t", "the guest's")
	away := func(from, to api.ID, name, toName api.Name, replaces api.ID) api.Mutation {
		return api.Mutation{Op: api.OpRename, Node: heir.Node, Parent: from, Name: name, ToParent: to, ToName: toName, Replaces: replaces, Time: 2}
	}
	home.store(t, "stall/G", "the owner's")
	stallG, stallLink, stallDir := home.lookup(t, "stall/G").ID, createOther(stall, "l", api.Symlink), createDir(stall, "empty")
	home.commit(t, stallLink, stallDir)
	mkK, mkN, pipe, plain := createDir(stall, "K"), createDir(stall, "N"), createOther(stall, "pipe", api.FIFO), g.createFile(t, stall, "plain", "the guest's")
	special, own, link2 := createOther(mkK.Node, "l", api.Symlink), g.createFile(t, stall, "own", "the guest's"), createOther(stall, "l2", api.Symlink)
	onto := func(from api.ID, name api.Name, node, to api.ID, toName api.Name, replaces api.ID) api.Mutation {
		return api.Mutation{Op: api.OpRename, Node: node, Parent: from, Name: name, ToParent: to, ToName: toName, Replaces: replaces, Time: 2}
	}
	mkE := createDir(stall, "E")
	brief, mkDE := g.createFile(t, mkE.Node, "t", "the guest's"), createDir(mkE.Node, "d")

	for _, tt := range []struct {
		name  string
		batch []api.Mutation
		want  []string
	}{
		{"a name for what he may not see", []api.Mutation{z(five.ID), link(five.ID)}, []string{"exists", "not_found"}},
		{"the same of the trash", []api.Mutation{z(trashed.ID), link(trashed.ID)}, []string{"exists", "not_found"}},
		{"as a file", []api.Mutation{asFile, link(five.ID)}, []string{"exists", "not_found"}},
		{"a write of it", []api.Mutation{z(five.ID), {Op: api.OpWrite, Node: five.ID, Parent: g.shared, Name: "z", Base: five.Version, Version: g.content(t, "stolen"), Time: 1}}, []string{"exists", "not_found"}},
		{"a removal from a folder that was there", []api.Mutation{s1, unlink(f, s1.Node, "f")}, []string{"adjusted", "permission"}},
		{"a move out of it", []api.Mutation{s2, {Op: api.OpRename, Node: f, Parent: s2.Node, Name: "f", ToParent: g.shared, ToName: "f", Time: 1}}, []string{"adjusted", "permission"}},
		{"a file in it", []api.Mutation{s3, g.createFile(t, s3.Node, "new", "x"), deep, g.createFile(t, deep.Node, "newer", "y")}, []string{"adjusted", "adjusted", "adjusted", "adjusted"}},
		{"his own", []api.Mutation{mine}, []string{"applied"}},
		{"his own once more", []api.Mutation{mine, {Op: api.OpSetattr, Node: mine.Node, Attr: &api.Attr{Mtime: new(int64)}, Time: 2}}, []string{"applied", "applied"}},

		{"a removal, and the folder made afterwards", []api.Mutation{s4, unlink(f, s4.Node, "f"), as(s4.Node, g.shared, "anything")}, []string{"adjusted", "permission", "exists"}},
		{"a removal, and a conflict copy with the folder's id", []api.Mutation{s5, unlink(g2, s5.Node, "g"), late}, []string{"adjusted", "permission", "adjusted"}},
		{"a removal by what he may do in another folder", []api.Mutation{sub6, as(s6.Node, g.shared, "sub"), unlink(h, s6.Node, "h"), unlink(top, all, "top")}, []string{"adjusted", "exists", "dropped", "applied"}},
		{"a removal from what took the place of his own", []api.Mutation{mkP, x, rmdir(x), move("lent/e", mkP.Node, "x"), g.createFile(t, x.Node, "new", "x"), unlink(home.lookup(t, "lent/e/f").ID, x.Node, "f")},
			[]string{"applied", "applied", "applied", "applied", "not_found", "not_found"}},
		{"a removal by what he may do in that folder itself", []api.Mutation{given, unlink(home.lookup(t, "shared/given/f").ID, given.Node, "f")}, []string{"adjusted", "adjusted"}},
		{"a removal from his own, where he may remove", []api.Mutation{mkQ, move("lent/a", mkQ.Node, "a"), unlink(home.lookup(t, "lent/a").ID, mkQ.Node, "a")}, []string{"applied", "applied", "applied"}},
		{"a removal from his own, where he may not", []api.Mutation{mkR, move("lent/b", mkR.Node, "b"), unlink(home.lookup(t, "lent/b").ID, mkR.Node, "b")}, []string{"applied", "applied", "permission"}},
		{"a file in what he removed", []api.Mutation{gone, rmdir(gone), g.createFile(t, gone.Node, "new", "x")}, []string{"applied", "applied", "not_found"}},
		{"a file over another in his own, where he may not", []api.Mutation{mkS, move("lent/c", mkS.Node, "c"), tmp, replace}, []string{"applied", "applied", "applied", "permission"}},
		{"a removal of his own that took over what was there", []api.Mutation{mkD, heir, away(mkD.Node, stall, "t", "F", stallF.ID), away(stall, mkD.Node, "F", "u", api.ID{}), unlink(heir.Node, mkD.Node, "u")},
			[]string{"applied", "applied", "applied", "applied", "permission"}},
		{"something that is no file over another's, and away with it", []api.Mutation{mkK, special, onto(mkK.Node, "l", special.Node, stall, "G", stallG), onto(stall, "G", special.Node, mkK.Node, "u", api.ID{}), unlink(special.Node, mkK.Node, "u")},
			[]string{"applied", "applied", "permission", "not_found", "dropped"}},
		{"a pipe over a file", []api.Mutation{pipe, onto(stall, "pipe", pipe.Node, stall, "G", stallG)}, []string{"applied", "permission"}},
		{"a file over a symlink", []api.Mutation{plain, onto(stall, "plain", plain.Node, stall, "l", stallLink.Node)}, []string{"applied", "permission"}},
		{"a folder over another's, which is empty", []api.Mutation{mkN, onto(stall, "N", mkN.Node, stall, "empty", stallDir.Node)}, []string{"applied", "permission"}},
		{"a symlink over his own file", []api.Mutation{own, link2, onto(stall, "l2", link2.Node, stall, "own", own.Node)}, []string{"applied", "applied", "applied"}},
		{"a removal of his own", []api.Mutation{mkE, brief, mkDE, unlink(brief.Node, mkE.Node, "t"), rmdir(mkDE)}, []string{"applied", "applied", "applied", "applied", "applied"}},
		{"a name for the conflict copy of what he may not read", []api.Mutation{over, hides, link(copied)}, []string{"applied", "adjusted", "not_found"}},
		{"a conflict copy where he may not write", []api.Mutation{{Op: api.OpWrite, Node: old, Parent: old, Name: "copy", Base: api.NewID(), Version: g.content(t, "late"), Time: 1}}, []string{"not_a_directory"}},
	} {
		if got := verdictsOf(t, g.Drive, tt.batch...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, not %q", tt.name, got, tt.want)
		}
	}
	for path, want := range map[string]string{
		"private/five": "private/five", "shared/sub/f": "the owner's", "shared/sub/g": "the owner's", "shared/sub/h": "the owner's", "shared/sub/new": "x", "shared/sub/deep/newer": "y", "shared/mine": "guest's",
		"all/P/x/f": "the owner's", "shared/R/b": "the owner's", "shelf/S/c": "the owner's",
		"stall/D/u": "the guest's", "stall/G": "the owner's",
	} {
		if n, err := home.Lookup(t.Context(), names(t, path)); err != nil || n.Type != api.File {
			t.Errorf("%s: %v", path, err)
		} else if got := home.read(t, path); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}
	for _, path := range []string{"shared/got", "shared/z", "shared/f", "shared/anything", "shared/given/f", "all/Q/a", "all/top", "stall/E/t", "stall/E/d"} {
		home.gone(t, path)
	}
	s.verify(t, home.ID())
}

func createOther(parent api.ID, name api.Name, is api.Type) api.Mutation {
	m := createDir(parent, name)
	m.Attr = &api.Attr{Type: is}
	if is == api.Symlink {
		m.Attr.Target = "anywhere"
	}
	return m
}

// asking counts what a service asks its database, and is answered.
type asking struct{ times atomic.Int64 }

func (a *asking) sharing(t *testing.T) *sharing {
	t.Helper()
	database := pgtest.New(t)
	return sharingOf(t, worldBy(t, database, wayTo(t, database.App, func() (asked, answered func([]byte) bool) {
		return func([]byte) bool { return true }, func(b []byte) bool {
			a.times.Add(int64(bytes.Count(b, []byte("Z\x00\x00\x00\x05")))) // ready for the next query
			return true
		}
	})))
}

// during is how often it asks in some work.
func (a *asking) during(work func()) int {
	before := a.times.Load()
	work()
	return int(a.times.Load() - before)
}

// However many directories of a guest's batch turn out to be there, the batch is gone through once: each costs what it takes to see
// what that is and what he may do there.
func TestGuestsBatchIsAppliedOnce(t *testing.T) {
	const n = 200
	a := &asking{}
	g := a.sharing(t).guestDevice(t, "read", "list", "mkdir")
	var chain, batch []api.Mutation
	for i, parent := 0, g.shared; i < n; i++ {
		name := api.Name("x")
		if i == 0 {
			name = "a"
		}
		chain = append(chain, createDir(parent, name))
		parent = chain[i].Node
	}
	if got := verdictsOf(t, g.Drive, chain...); slices.Contains(got, "permission") {
		t.Fatal(got)
	}
	want := []string{}
	for i, parent := 0, g.shared; i+1 < n; i++ {
		m := createDir(parent, chain[i].Name)
		parent = m.Node
		batch = append(batch, m, api.Mutation{Op: api.OpRename, Node: chain[i+1].Node, Parent: parent, Name: "x", ToParent: parent, ToName: "y", Time: 1})
		want = append(want, "adjusted", "permission")
	}
	var got []string
	if asked := a.during(func() { got = verdictsOf(t, g.Drive, batch...) }); asked > 3*n {
		t.Errorf("it asked %d times for %d directories", asked, n)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// What a guest's batch asks of the database does not grow with it.
func TestGuestsBatchAsksOnce(t *testing.T) {
	a := &asking{}
	g := a.sharing(t).guestDevice(t, "read", "list", "write", "mkdir", "rename")
	batch := func(name api.Name, files int) (batch []api.Mutation) {
		dir := createDir(g.shared, name)
		batch = append(batch, dir)
		for i := range files {
			f := g.createFile(t, dir.Node, api.Name(fmt.Sprint(i)), "the same")
			batch = append(batch, f,
				api.Mutation{Op: api.OpRename, Node: f.Node, Parent: dir.Node, Name: f.Name, ToParent: dir.Node, ToName: f.Name + "'", Time: 1},
				api.Mutation{Op: api.OpSetattr, Node: f.Node, Attr: &api.Attr{Mtime: new(int64)}, Time: 2})
		}
		return batch
	}
	asked := func(all []api.Mutation) int {
		return a.during(func() {
			if got := verdictsOf(t, g.Drive, all...); slices.ContainsFunc(got, func(s string) bool { return s != "applied" }) {
				t.Errorf("%q", got)
			}
		})
	}
	asked(batch("first", 1)) // statements are prepared
	one, many := batch("few", 1), batch("many", 100)
	if a, b := asked(one), asked(many); a != b || a > 10 {
		t.Errorf("it asked %d times for one file and %d times for many", a, b)
	}
}
