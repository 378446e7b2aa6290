package storage

import (
	"testing"

	"satchel/api"
)

func TestUsage(t *testing.T) {
	w := newWorld(t)
	d, stranger := w.home(t, w.user(t, "editor")), w.home(t, w.user(t, "editor"))
	a, empty := createDir(d.Root(), "a"), createDir(d.Root(), "empty")
	b := createDir(a.Node, "b")
	one, two := d.createFile(t, a.Node, "one", "1"), d.createFile(t, b.Node, "two", "22")
	link := api.Mutation{Op: api.OpLink, Node: two.Node, Parent: a.Node, Name: "link", Time: 1}
	d.commit(t, a, empty, b, one, two, link)
	for name, test := range map[string]struct {
		dir  api.ID
		want api.Usage
	}{
		"all":   {d.Root(), api.Usage{Files: 3, Directories: 3, Bytes: 5}},
		"some":  {b.Node, api.Usage{Files: 1, Bytes: 2}},
		"empty": {empty.Node, api.Usage{}},
	} {
		if got, err := d.Usage(t.Context(), test.dir); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := d.Usage(t.Context(), one.Node); api.KindOf(err) != api.NotDirectory {
		t.Errorf("of a file: %v", err)
	}
	if _, err := d.Usage(t.Context(), stranger.Root()); api.KindOf(err) != api.NotFound {
		t.Errorf("of another's directory: %v", err)
	}
}
