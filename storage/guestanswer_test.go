package storage

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"satchel/api"
)

// What a guest's batch is answered names no place that he does not see: nothing above what is shared with him, and not where
// what he knows went, or is besides.
func TestAnswersTellGuestsNoPlaces(t *testing.T) {
	s := newSharing(t)
	home := s.home
	for _, path := range []string{"a/b/c/one", "a/b/c/sub/two", "a/b/c/three", "a/b/c/four"} {
		home.store(t, path, "the owner's")
	}
	a, b, c, sub, private := home.lookup(t, "a").ID, home.lookup(t, "a/b").ID, home.lookup(t, "a/b/c").ID, home.lookup(t, "a/b/c/sub").ID, home.lookup(t, "private").ID
	one, two, three, four := home.lookup(t, "a/b/c/one"), home.lookup(t, "a/b/c/sub/two"), home.lookup(t, "a/b/c/three"), home.lookup(t, "a/b/c/four")
	s.grant(t, "a/b/c", s.bob.User.String(), "read", "list", "mkdir", "rename")
	g := &drive{Drive: s.open(t, s.bob)}

	setattr := func(node api.ID) api.Mutation {
		return api.Mutation{Op: api.OpSetattr, Node: node, Attr: &api.Attr{Mtime: new(int64)}, Time: 1}
	}
	moves := func(from, to string) {
		t.Helper()
		if _, err := home.Move(t.Context(), names(t, from), names(t, to), MoveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	const secret = "Dismissal of Bob"
	// answered checks what is told of a mutation for which another one, that he may make, has the batch looked at.
	answered := func(what string, m api.Mutation, want string, told ...api.EntryState) (o api.Outcome) {
		t.Helper()
		batch := api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{createDir(c, api.Name("for "+what)), m}}
		for _, when := range []string{"", ", sent again"} {
			got, err := g.Commit(t.Context(), batch)
			if err != nil {
				t.Fatal(err)
			}
			o = got.Outcomes[1]
			if is := string(o.Status); is != want && string(o.Kind) != want {
				t.Errorf("%s%s: %+v", what, when, o)
			}
			for _, e := range got.Entries {
				if e.Parent != c && e.Parent != sub {
					t.Errorf("%s%s: he is told of %q in %s", what, when, e.Name, e.Parent)
				}
			}
			for _, e := range told {
				if !slices.Contains(got.Entries, e) {
					t.Errorf("%s%s: he is not told of %+v, but of %+v", what, when, e, got.Entries)
				}
			}
			is, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			for _, no := range []string{home.Root().String(), a.String(), private.String(), secret} {
				if strings.Contains(string(is), no) {
					t.Errorf("%s%s: he is told %q: %s", what, when, no, is)
				}
			}
		}
		return o
	}
	answered("a folder that is there", createDir(c, "sub"), "adjusted", api.EntryState{Parent: c, Name: "sub", Node: sub})
	answered("a move", api.Mutation{Op: api.OpRename, Node: one.ID, Parent: c, Name: "one", ToParent: sub, ToName: "1", Time: 1}, "permission",
		api.EntryState{Parent: c, Name: "one", Node: one.ID}, api.EntryState{Parent: sub, Name: "1"})
	answered("a folder above", setattr(b), "not_found")
	home.commit(t, api.Mutation{Op: api.OpLink, Node: two.ID, Parent: private, Name: secret, Time: 1})
	answered("what has another name", setattr(two.ID), "permission", api.EntryState{Parent: sub, Name: "two", Node: two.ID})
	moves("a/b/c/one", "private/"+secret+" 1")
	answered("what was moved away", setattr(one.ID), "not_found")

	s.grant(t, "a/b/c", s.bob.User.String(), "write")
	write := func(n api.Node, name api.Name, v *api.Version) api.Mutation {
		return api.Mutation{Op: api.OpWrite, Node: n.ID, Parent: c, Name: name, Base: n.Version, Version: v, Time: 1}
	}
	v := g.content(t, "the guest's")
	answered("a write", write(three, "three", v), "applied")
	moves("a/b/c/three", "private/"+secret+" 3")
	if o := answered("a write that another file has", write(four, "four", v), "adjusted", api.EntryState{Parent: c, Name: "four", Node: four.ID}); o.Conflict != three.ID || o.Name != "four" {
		t.Errorf("he is told %+v", o)
	}
	s.verify(t, home.ID())
}
