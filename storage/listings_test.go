package storage

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"satchel/api"
)

// listingsText is what an answer says, in short.
func listingsText(all []api.Listed) string {
	var words []string
	for _, l := range all {
		word := string(l.Problem)
		for _, e := range l.Entries {
			word += string(e.Name)
		}
		if l.More {
			word += "…"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// The first pages of many directories come in the order of the question, from one moment, each as it comes alone; what there
// is no room for is cut, or missing at the end.
func TestListings(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	three, none, five, gone := createDir(d.Root(), "three"), createDir(d.Root(), "none"), createDir(d.Root(), "five"), createDir(d.Root(), "gone")
	batch := []api.Mutation{three, none, five, gone}
	for _, n := range []api.Name{"c", "a"} {
		batch = append(batch, createDir(three.Node, n))
	}
	for _, n := range []api.Name{"v", "w", "x", "y", "z"} {
		batch = append(batch, createDir(five.Node, n))
	}
	file := d.createFile(t, three.Node, "b", "x")
	link := api.Mutation{Op: api.OpLink, Node: file.Node, Parent: none.Node, Name: "l", Time: 1}
	unlink := api.Mutation{Op: api.OpUnlink, Node: file.Node, Parent: none.Node, Name: "l", Time: 2}
	d.commit(t, append(batch, file, link, unlink, api.Mutation{Op: api.OpRmdir, Node: gone.Node, Parent: d.Root(), Name: "gone", Time: 3})...)

	question := []api.ID{three.Node, none.Node, five.Node, gone.Node, file.Node, api.NewID(), three.Node}
	for limit, want := range map[int]string{
		0:  "abc  vwxyz not_found not_a_directory not_found abc",
		-1: "abc  vwxyz not_found not_a_directory not_found abc",
		99: "abc  vwxyz not_found not_a_directory not_found abc",
		9:  "abc  vwxyz not_found not_a_directory not_found a…",
		8:  "abc  vwxyz",
		5:  "abc  vw…",
		3:  "abc",
		2:  "ab…",
		1:  "a…",
	} {
		all, err := d.Listings(t.Context(), question, limit)
		if err != nil {
			t.Fatal(err)
		}
		if got := listingsText(all); got != want {
			t.Errorf("at most %d: %q, not %q", limit, got, want)
		}
		for i, l := range all {
			if l.Seq != d.info(t).Seq || l.Epoch != d.info(t).Epoch {
				t.Errorf("at most %d: page %d is of %d in %s", limit, i, l.Seq, l.Epoch)
			}
			if l.Problem != "" || l.More {
				continue
			}
			alone, err := d.Mirrored(t.Context(), question[i], "", 0)
			if err != nil || fmt.Sprint(l.Listing) != fmt.Sprint(alone) {
				t.Errorf("together it is\n%+v, alone\n%+v %v", l.Listing, alone, err)
			}
		}
	}
	if all, err := d.Listings(t.Context(), nil, 0); err != nil || len(all) != 0 {
		t.Errorf("of none: %v, %v", all, err)
	}
	if all, err := d.Listings(t.Context(), make([]api.ID, api.MaxListings), 0); err != nil || len(all) != api.MaxListings {
		t.Errorf("of as many as there can be: %d, %v", len(all), err)
	}
	if _, err := d.Listings(t.Context(), make([]api.ID, api.MaxListings+1), 0); api.KindOf(err) != api.TooLarge {
		t.Errorf("of more: %v", err)
	}
}

// A guest gets of each directory what he gets of it alone.
func TestListingsForGuests(t *testing.T) {
	for permissions, want := range map[string]string{
		"read": "onesub deepfourtwo not_found not_found not_found", "list": "onesub deepfourtwo not_found not_found not_found",
		"write mkdir delete": "permission permission not_found not_found not_found",
	} {
		g := newGuestDevice(t, strings.Fields(permissions)...)
		home := g.s.home
		question := []api.ID{g.shared, home.lookup(t, "shared/sub").ID, home.lookup(t, "private").ID, home.Root(), api.NewID()}
		g.s.put(t, home.Drive, "shared/sub/four", "x")
		all, err := g.Listings(t.Context(), question, 0)
		if got := listingsText(all); err != nil || got != want {
			t.Errorf("who may %s is told %q, not %q; %v", permissions, got, want, err)
		}
		for i, id := range question {
			alone, err := g.Mirrored(t.Context(), id, "", 0)
			if all[i].Problem != api.KindOf(err) || !slices.Equal(all[i].Entries, alone.Entries) || len(all[i].Nodes) != len(alone.Nodes) {
				t.Errorf("who may %s is told %+v together, and alone %+v %v", permissions, all[i], alone, err)
			}
		}
		his := g.s.world.home(t, g.s.bob)
		if all, err := his.Listings(t.Context(), question[:1], 0); err != nil || listingsText(all) != "not_found" {
			t.Errorf("in his own drive hers is %q, %v", listingsText(all), err)
		}
	}
}

// In a directory that shows another's nothing is listed, and what it shows is listed in that one's drive.
func TestListingsOfABind(t *testing.T) {
	s := newSharing(t)
	d := s.world.home(t, s.bob)
	s.grant(t, "shared", s.bob.User.String(), "read", "list")
	shared := s.home.lookup(t, "shared").ID
	if _, err := s.BindShared(t.Context(), s.bob, s.home.ID(), shared, names(t, "box")); err != nil {
		t.Fatal(err)
	}
	all, err := d.Listings(t.Context(), []api.ID{d.Root(), d.lookup(t, "box").ID, shared}, 0)
	if got := listingsText(all); err != nil || got != "box  not_found" {
		t.Errorf("his drive says %q, %v", got, err)
	}
	all, err = s.open(t, s.bob).Listings(t.Context(), []api.ID{shared}, 0)
	if got := listingsText(all); err != nil || got != "onesub" {
		t.Errorf("hers says %q, %v", got, err)
	}
}
