package storage

import (
	"slices"
	"strings"
	"testing"

	"satchel/api"
)

// Of two shared files, the one that is renamed over the other is shared as both were, by links too, however it comes to
// be there; and what keeps the other's content under another name is shared with nobody.
func TestSharesOfBothFilesStay(t *testing.T) {
	replace := func(d *drive, from, to string) api.Mutation {
		a, b := d.lookup(t, from), d.lookup(t, to)
		return api.Mutation{Op: api.OpRename, Node: a.ID, Parent: d.Root(), Name: api.Name(from), ToParent: d.Root(), ToName: api.Name(to),
			Replaces: b.ID, Base: b.Version, Conflict: api.NewID(), Time: 1}
	}
	for _, c := range []struct {
		name string
		move func(t *testing.T, s *sharing)
	}{
		{"a device's rename", func(t *testing.T, s *sharing) { s.home.commit(t, replace(s.home, "a", "b")) }},
		{"a move of the other APIs", func(t *testing.T, s *sharing) {
			if _, err := s.home.Move(t.Context(), names(t, "a"), names(t, "b"), MoveOptions{Replace: true}); err != nil {
				t.Fatal(err)
			}
		}},
		{"a save by rename in the same batch", func(t *testing.T, s *sharing) {
			first := replace(s.home, "a", "b")
			saved := s.home.createFile(t, s.home.Root(), "tmp", "a")
			s.home.commit(t, first, saved, api.Mutation{Op: api.OpRename, Node: saved.Node, Parent: s.home.Root(), Name: "tmp", ToParent: s.home.Root(), ToName: "b",
				Replaces: first.Node, Base: s.home.lookup(t, "a").Version, Conflict: api.NewID(), Time: 2})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSharing(t)
			carol := s.user(t, "editor")
			s.put(t, s.home.Drive, "a", "a")
			s.put(t, s.home.Drive, "b", "b")
			b := s.home.lookup(t, "b")
			s.home.commit(t, api.Mutation{Op: api.OpLink, Node: b.ID, ToParent: s.home.Root(), ToName: "other", Time: 1})
			s.grant(t, "/a", s.bob.User.String(), "read", "list")
			s.grant(t, "/b", s.bob.User.String(), "list", "write")
			s.grant(t, "/b", carol.User.String(), "read")
			tokens := map[string]string{}
			for _, name := range []string{"a", "b"} {
				l, err := s.home.AddLink(t.Context(), names(t, name), LinkOptions{})
				if err != nil {
					t.Fatal(err)
				}
				tokens[name] = l.Token
			}
			c.move(t, s)

			grants, err := s.home.Grants(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, g := range grants {
				if g.Path != "/b" {
					t.Errorf("shared is %s, with %s", g.Path, g.UserID)
				}
				got[g.UserID] = grantNames(g)
			}
			if len(got) != 2 || got[s.bob.User.String()] != "list read write" || got[carol.User.String()] != "read" {
				t.Errorf("shared as %v", got)
			}
			for _, who := range []Caller{s.bob, carol} {
				if text := s.read(t, who, "b"); text != "a" {
					t.Errorf("b reads as %q", text)
				}
				if text := s.read(t, who, "other"); text != string(api.NotFound) {
					t.Errorf("the other name of what was replaced reads as %q", text)
				}
			}
			for name, token := range tokens {
				l, err := s.ByLink(t.Context(), token)
				if err != nil || string(l.Name) != "b" {
					t.Errorf("the link to %s opens %q, %v", name, l.Name, err)
				}
			}
		})
	}
}

func grantNames(g api.Grant) string {
	all := g.Permissions.Names()
	slices.Sort(all)
	return strings.Join(all, " ")
}
