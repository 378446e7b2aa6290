package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/fault"
)

func names(t testing.TB, path string) []api.Name {
	t.Helper()
	n, err := api.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// all is the paths of everything in the drive, directories with a slash.
func (d *drive) all(t testing.TB) string {
	t.Helper()
	var paths []string
	var walk func(dir api.ID, prefix string)
	walk = func(dir api.ID, prefix string) {
		l, err := d.Children(t.Context(), dir, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		types := map[api.ID]api.Type{}
		for _, n := range l.Nodes {
			types[n.ID] = n.Type
		}
		for _, e := range l.Entries {
			if types[e.Node] != api.Directory {
				paths = append(paths, prefix+string(e.Name))
				continue
			}
			paths = append(paths, prefix+string(e.Name)+"/")
			walk(e.Node, prefix+string(e.Name)+"/")
		}
	}
	walk(d.Root(), "")
	return strings.Join(paths, " ")
}

// stored is the number of chunks, which a copy must not add to.
func (w *world) stored(t testing.TB) (n int) {
	t.Helper()
	if err := w.admin.QueryRow(t.Context(), `SELECT count(*) FROM satchel.chunks`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTreesByPath(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	var do = func(what string, err error, want api.Kind) {
		t.Helper()
		if api.KindOf(err) != want {
			t.Errorf("%s: %v, wanted kind %q", what, err, want)
		}
	}
	mkdir := func(path string, parents bool) error {
		_, err := d.Mkdir(t.Context(), names(t, path), parents)
		return err
	}
	do("mkdir", mkdir("a", false), "")
	do("mkdir again", mkdir("a", false), api.Exists)
	do("mkdir of the root", mkdir("", false), api.IsDirectory)
	do("mkdir under nothing", mkdir("x/y", false), api.NotFound)
	do("mkdir with parents", mkdir("x/y", true), "")
	d.store(t, "a/one.txt", "one")
	d.store(t, "a/b/two.txt", "two")
	do("mkdir under a file", mkdir("a/one.txt/c", true), api.NotDirectory)

	before := w.stored(t)
	copied := func(from, to string, o CopyOptions) error {
		_, err := d.Copy(t.Context(), names(t, from), names(t, to), o)
		return err
	}
	do("copy a tree", copied("a", "c", CopyOptions{}), "")
	do("copy onto something", copied("a", "c", CopyOptions{}), api.Exists)
	do("copy under nothing", copied("a", "no/c", CopyOptions{}), api.NotFound)
	do("copy of nothing", copied("no", "d", CopyOptions{}), api.NotFound)
	do("copy into itself", copied("a", "a/b/c", CopyOptions{}), api.Invalid)
	do("copy over what it is in", copied("a/b", "a", CopyOptions{MoveOptions: MoveOptions{Replace: true}}), api.Invalid)
	do("copy of a directory alone", copied("a", "e", CopyOptions{Shallow: true}), "")
	do("copy over a file", copied("a/one.txt", "c/b/two.txt", CopyOptions{MoveOptions: MoveOptions{Replace: true}}), "")
	if got := d.all(t); got != "a/ a/b/ a/b/two.txt a/one.txt c/ c/b/ c/b/two.txt c/one.txt e/ x/ x/y/" {
		t.Errorf("after copying: %s", got)
	}
	if d.read(t, "c/b/two.txt") != "one" || d.read(t, "a/b/two.txt") != "two" {
		t.Error("the copy has other content")
	}
	if n := w.stored(t); n != before {
		t.Errorf("copying stored %d chunks", n-before)
	}

	move := func(from, to string, o MoveOptions) error {
		_, err := d.Move(t.Context(), names(t, from), names(t, to), o)
		return err
	}
	do("move into itself", move("a", "a/b/a", MoveOptions{}), api.Invalid)
	do("move onto something", move("a", "c", MoveOptions{}), api.Exists)
	do("move over what it is in", move("a/b", "a", MoveOptions{Replace: true}), api.Invalid)
	do("move with parents", move("c/b", "x/z/b", MoveOptions{Parents: true}), "")
	do("move over a directory", move("a", "x", MoveOptions{Replace: true}), "")
	do("move a file over a directory", move("c/one.txt", "e", MoveOptions{Replace: true}), "")
	if got := d.all(t); got != "c/ e x/ x/b/ x/b/two.txt x/one.txt" {
		t.Errorf("after moving: %s", got)
	}

	do("remove the root", d.Remove(t.Context(), nil), api.Permission)
	do("remove nothing", d.Remove(t.Context(), names(t, "no/x")), api.NotFound)
	do("remove a tree", d.Remove(t.Context(), names(t, "x")), "")
	if got := d.all(t); got != "c/ e" {
		t.Errorf("after removing: %s", got)
	}
}

// More than one batch may have is still one transaction.
func TestLargeTree(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	top := createDir(d.Root(), "big")
	d.commit(t, top)
	for part := range slices.Chunk(make([]int, api.MaxBatch+100), api.MaxBatch/2) {
		batch := make([]api.Mutation, len(part))
		for i := range batch {
			batch[i] = createDir(top.Node, api.Name(fmt.Sprint(d.number, "-", i)))
		}
		d.commit(t, batch...)
	}
	info, err := d.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Copy(t.Context(), names(t, "big"), names(t, "copy"), CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(t.Context(), names(t, "big")); err != nil {
		t.Fatal(err)
	}
	after, err := d.Info(t.Context())
	if err != nil || after.Seq != info.Seq+2*(api.MaxBatch+101) {
		t.Errorf("seq %d after %d: %v", after.Seq, info.Seq, err)
	}
	n, err := d.Lookup(t.Context(), names(t, "copy"))
	if err != nil || n.Nlink != api.MaxBatch+102 {
		t.Errorf("the copy: %+v %v", n, err)
	}
}

// thinned makes a folder that is removed in steps, removes it by a handle of the drive, and does something after the first step.
func (d *drive) thinned(t *testing.T, by *Drive, between func()) error {
	t.Helper()
	steps := 0
	defer func(was int) { maxTree = was }(maxTree)
	maxTree = 3
	for i := range 10 {
		d.store(t, fmt.Sprint("dir/", i), "content")
	}
	defer fault.Arm(func(s fault.Step) {
		if s == fault.TreeThinned {
			if steps++; steps == 1 {
				between()
			}
		}
	})()
	return by.Remove(t.Context(), names(t, "dir"))
}

// A removal in steps removes what was at the path when it began.
func TestRemoveInSteps(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	if err := d.thinned(t, d.Drive, func() {}); err != nil || d.all(t) != "" {
		t.Fatalf("left is %q: %v", d.all(t), err)
	}
	err := d.thinned(t, d.Drive, func() {
		if _, err := d.Move(t.Context(), names(t, "dir"), names(t, "away"), MoveOptions{}); err != nil {
			t.Error(err)
		}
		for i := range 10 {
			d.store(t, fmt.Sprint("dir/", i), "another's")
		}
	})
	if api.KindOf(err) != api.Conflict {
		t.Errorf("another folder is at the path: %v", err)
	}
	if got := d.read(t, "dir/9"); got != "another's" {
		t.Errorf("it has %q", got)
	}
}

// What holds a removal is asked at each of its steps.
func TestRemoveInStepsIsHeld(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	locked := api.Errorf(api.Conflict, "somebody locked it meanwhile")
	var begun []bool
	held := d.If(d.Drive, func(now Moment) error {
		if begun = append(begun, now.Begun); len(now.Locks) > 0 {
			return locked
		}
		return nil
	})
	err := d.thinned(t, held, func() {
		if err := d.AddDAVLock(t.Context(), DAVLock{Token: api.NewID(), Path: "dir", Deep: true, Expires: time.Now().Add(time.Hour)}, func([]DAVLock) error { return nil }); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, locked) || !slices.Equal(begun, []bool{false, true}) {
		t.Errorf("begun at the steps: %v; %v", begun, err)
	}
	if _, err := d.Lookup(t.Context(), names(t, "dir")); err != nil {
		t.Error(err)
	}
}

func TestRemoveCopied(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	d.store(t, "dir/a", "copied")
	copied := map[api.ID]api.ID{}
	for _, path := range []string{"dir", "dir/a"} {
		n, err := d.Lookup(t.Context(), names(t, path))
		if err != nil {
			t.Fatal(err)
		}
		copied[n.ID] = n.Version
	}
	conflict := func(what string) {
		t.Helper()
		if err := d.RemoveCopied(t.Context(), names(t, "dir"), copied); api.KindOf(err) != api.Conflict {
			t.Errorf("%s: %v", what, err)
		}
	}
	d.store(t, "dir/late", "not copied")
	conflict("another file")
	if err := d.Remove(t.Context(), names(t, "dir/late")); err != nil {
		t.Fatal(err)
	}
	d.store(t, "dir/a", "a later version")
	conflict("another version")
	if got := d.read(t, "dir/a"); got != "a later version" {
		t.Errorf("what was not copied is %q", got)
	}
	n, err := d.Lookup(t.Context(), names(t, "dir/a"))
	if err != nil {
		t.Fatal(err)
	}
	copied[n.ID] = n.Version
	if err := d.RemoveCopied(t.Context(), names(t, "dir"), copied); err != nil {
		t.Fatal(err)
	}
	if got := d.all(t); got != "" {
		t.Errorf("still there: %s", got)
	}
}

func TestResolve(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	d.store(t, "Docs/Résumé.txt", "composed") // NFC
	d.store(t, "Docs/a", "")
	d.store(t, "Docs/A", "")
	link := func(name, target string) api.Mutation {
		m := createDir(d.Root(), api.Name(name))
		m.Attr = &api.Attr{Type: api.Symlink, Target: api.Name(target)}
		return m
	}
	d.commit(t, link("in", "Docs"), link("chain", "./in/../in/a"), link("out", "/etc"), link("up", "../x"), link("loop", "loop"))
	for _, c := range []struct {
		path string
		how  Resolving
		real string // with "?" if the node is missing
		kind api.Kind
	}{
		{"", Resolving{}, "", ""},
		{"Docs/a", Resolving{}, "Docs/a", ""},
		{"docs/a", Resolving{}, "docs/a?", ""},
		{"docs/a", Resolving{Fold: true}, "Docs/a", ""},
		{"docs/A", Resolving{Fold: true}, "Docs/A", ""},
		{"docs/re\u0301sume\u0301.TXT", Resolving{Fold: true}, "Docs/Résumé.txt", ""},
		{"docs/new", Resolving{Fold: true}, "Docs/new?", ""},
		{"in", Resolving{}, "in", ""},
		{"in", Resolving{Follow: true}, "Docs", ""},
		{"in/a", Resolving{}, "Docs/a", ""},
		{"chain", Resolving{Follow: true}, "Docs/a", ""},
		{"out/passwd", Resolving{}, "", api.NotFound},
		{"up", Resolving{Follow: true}, "", api.NotFound},
		{"loop", Resolving{Follow: true}, "", api.NotFound},
		{"Docs/a/b", Resolving{}, "", api.NotDirectory},
	} {
		real, node, err := d.Resolve(t.Context(), names(t, c.path), c.how)
		got := api.JoinPath(real)
		if node == nil && err == nil {
			got += "?"
		}
		if got != c.real || api.KindOf(err) != c.kind {
			t.Errorf("%s %+v: %q %v, wanted %q %s", c.path, c.how, got, err, c.real, c.kind)
		}
	}
}
