package storage

import (
	"context"
	"slices"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage/postgres"
)

const allRights = "read list write mkdir delete rename copy"

// verdictsOf sends a batch as the next one of a new life of a guest's device, and is the statuses, or the kinds of what was refused.
func verdictsOf(t *testing.T, d *Drive, batch ...api.Mutation) (all []string) {
	t.Helper()
	c, err := d.Commit(t.Context(), api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: batch})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range c.Outcomes {
		if o.Status == api.Refused {
			all = append(all, string(o.Kind))
		} else {
			all = append(all, string(o.Status))
		}
	}
	return all
}

// Another name of a file, or another place, gives nobody more than he had by the one that it has.
func TestAnotherNameGivesNoRights(t *testing.T) {
	for _, c := range []struct {
		from                   string // what he holds where the files are
		link, move, exchange   string
		within, withinExchange string // another name, or place, in the same folder
	}{
		{"read list copy rename", "permission", "permission", "permission", "permission", "applied"},
		{"list write copy rename", "permission", "permission", "permission", "permission", "applied"},
		{"read write copy rename", "applied", "applied", "applied", "applied", "applied"},
		{"read write rename", "permission", "applied", "applied", "permission", "applied"},
		{allRights, "applied", "applied", "applied", "applied", "applied"},
	} {
		t.Run(c.from, func(t *testing.T) {
			g := newGuestDevice(t, strings.Fields(c.from)...)
			home := g.s.home
			g.s.grant(t, "shared2", g.s.bob.User.String(), strings.Fields(allRights)...)
			to, four := home.lookup(t, "shared2").ID, home.lookup(t, "shared2/four").ID
			file := func(name string) api.ID {
				g.s.put(t, home.Drive, "shared/"+name, "the owner's")
				return home.lookup(t, "shared/"+name).ID
			}
			a, b, x, w := file("a"), file("b"), file("x"), file("w")
			was := home.lookup(t, "shared/a").Version
			for _, step := range []struct {
				what, want string
				m          api.Mutation
			}{
				{"a link in the same folder", c.within, api.Mutation{Op: api.OpLink, Node: w, Parent: g.shared, Name: "w2", Time: 1}},
				{"an exchange in the same folder", c.withinExchange, api.Mutation{Op: api.OpExchange, Node: x, Parent: g.shared, Name: "x", Replaces: w, ToParent: g.shared, ToName: "w", Time: 1}},
				{"a rename in the same folder", "applied", api.Mutation{Op: api.OpRename, Node: b, Parent: g.shared, Name: "b", ToParent: g.shared, ToName: "c", Time: 1}},
				{"a link", c.link, api.Mutation{Op: api.OpLink, Node: a, Parent: to, Name: "a", Time: 1}},
				{"a move", c.move, api.Mutation{Op: api.OpRename, Node: b, Parent: g.shared, Name: "c", ToParent: to, ToName: "b", Time: 1}},
				{"an exchange", c.exchange, api.Mutation{Op: api.OpExchange, Node: four, Parent: to, Name: "four", Replaces: x, ToParent: g.shared, ToName: "w", Time: 1}},
			} {
				if got := verdictsOf(t, g.Drive, step.m); got[0] != step.want {
					t.Errorf("%s: %s, not %s", step.what, got[0], step.want)
				}
			}
			verdictsOf(t, g.Drive, api.Mutation{Op: api.OpWrite, Node: a, Parent: to, Name: "a", Base: was, Version: g.content(t, "the guest's"), Time: 2})
			may := slices.Contains(strings.Fields(c.from), "write")
			if got := home.read(t, "shared/a"); (got == "the guest's") != may {
				t.Errorf("the file has %q", got)
			}
			g.s.verify(t, home.ID())
		})
	}
}

// The database looks at each name that a guest's transaction makes, whatever the program asked for.
func TestNamesOfGuestsAreCheckedAgain(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "read", "list", "copy", "rename", "delete")
	s.grant(t, "shared2", s.bob.User.String(), strings.Fields(allRights)...)
	from, to := s.home.lookup(t, "shared").ID, s.home.lookup(t, "shared2").ID
	one, sub, four := s.home.lookup(t, "shared/one").ID, s.home.lookup(t, "shared/sub").ID, s.home.lookup(t, "shared2/four").ID
	link := api.Mutation{Op: api.OpLink, Node: one, Parent: to, Name: "one", Time: 1}
	made := createDir(to, "made")
	d := s.open(t, s.bob)
	for _, c := range []struct {
		what    string
		batch   []api.Mutation
		refused bool
	}{
		{"a link", []api.Mutation{link}, true},
		{"a link that gets another name", []api.Mutation{link, {Op: api.OpRename, Node: one, Parent: to, Name: "one", ToParent: to, ToName: "1", Time: 1}}, true},
		{"a link and the end of the other name", []api.Mutation{link, {Op: api.OpUnlink, Node: one, Parent: from, Name: "one", Time: 1}}, true},
		{"a move", []api.Mutation{{Op: api.OpRename, Node: one, Parent: from, Name: "one", ToParent: to, ToName: "one", Time: 1}}, true},
		{"a move over another file", []api.Mutation{{Op: api.OpRename, Node: one, Parent: from, Name: "one", ToParent: to, ToName: "four", Replaces: four, Time: 1}}, true},
		{"a move of a folder into a new one", []api.Mutation{made, {Op: api.OpRename, Node: sub, Parent: from, Name: "sub", ToParent: made.Node, ToName: "sub", Time: 1}}, true},
		{"an exchange", []api.Mutation{{Op: api.OpExchange, Node: one, Parent: from, Name: "one", Replaces: four, ToParent: to, ToName: "four", Time: 1}}, true},
		{"a move to where he may do less", []api.Mutation{{Op: api.OpRename, Node: four, Parent: to, Name: "four", ToParent: from, ToName: "four", Time: 1}}, false},
		{"another name in the same folder", []api.Mutation{{Op: api.OpRename, Node: one, Parent: from, Name: "one", ToParent: from, ToName: "1", Time: 1}}, false},
		{"another place in the same share", []api.Mutation{{Op: api.OpRename, Node: one, Parent: from, Name: "1", ToParent: sub, ToName: "1", Time: 1}}, false},
	} {
		err := d.as(t.Context(), func(ctx context.Context, tx *postgres.Tx) error {
			by := postgres.Author{Device: s.bob.Device}
			locked, err := tx.Lock(ctx, d.id, d.owner, by, nil)
			if err == nil {
				err = tx.Act(ctx, &locked, []postgres.Need{{Node: to, AnyOf: api.PermWrite}}, nil) // it is enough, says a fault of the program
			}
			if err != nil {
				return err
			}
			_, answer, err := d.apply(ctx, tx, locked, by, 0, c.batch)
			for _, o := range answer.Outcomes {
				if err == nil && o.Status != api.Applied {
					t.Errorf("%s: %+v", c.what, o)
				}
			}
			return err
		})
		if refused := err != nil && strings.Contains(err.Error(), "more than he has"); refused != c.refused || err != nil && !refused {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	s.verify(t, s.home.ID())
}

// What a guest's device wrote into a file that was moved meanwhile is written where the file is.
func TestGuestWritesWhatHasMoved(t *testing.T) {
	for _, c := range []struct {
		what  string
		moved func(t *testing.T, g *guestDevice)
	}{
		{"to another folder", func(t *testing.T, g *guestDevice) {}},
		{"and the folder was removed", func(t *testing.T, g *guestDevice) {
			if err := g.s.home.Remove(t.Context(), names(t, "shared/sub")); err != nil {
				t.Fatal(err)
			}
		}},
		{"and the folder went out of the share", func(t *testing.T, g *guestDevice) {
			if _, err := g.s.home.Move(t.Context(), names(t, "shared/sub"), names(t, "private/sub"), MoveOptions{}); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := newGuestDevice(t, "read", "list", "write")
			home := g.s.home
			sub, two := home.lookup(t, "shared/sub").ID, home.lookup(t, "shared/sub/two")
			if _, err := home.Move(t.Context(), names(t, "shared/sub/two"), names(t, "shared/2"), MoveOptions{}); err != nil {
				t.Fatal(err)
			}
			c.moved(t, g)
			write := func(content string) api.Mutation {
				return api.Mutation{Op: api.OpWrite, Node: two.ID, Parent: sub, Name: "two", Base: two.Version, Version: g.content(t, content), Time: 1}
			}
			if got := verdictsOf(t, g.Drive, write("the guest's")); got[0] != "applied" || home.read(t, "shared/2") != "the guest's" {
				t.Errorf("%s: %q", got, home.read(t, "shared/2"))
			}
			// And what lost against another's is kept.
			if got := verdictsOf(t, g.Drive, write("too late")); got[0] != "adjusted" || home.read(t, "shared/2") != "the guest's" {
				t.Errorf("%s: %q", got, home.read(t, "shared/2"))
			}
			g.s.verify(t, home.ID())
		})
	}
}
