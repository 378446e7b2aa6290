package storage

import (
	"slices"
	"strings"
	"testing"

	"satchel/api"
)

// Nothing comes into the directory of a bind, where nobody would see it, whichever way; it goes through the bind.
func TestNothingComesBehindABind(t *testing.T) {
	s := newSharing(t)
	d := s.world.home(t, s.bob)
	s.put(t, d.Drive, "box-of-alice/old", "old")
	s.put(t, d.Drive, "own", "his")
	if err := d.Remove(t.Context(), names(t, "box-of-alice/old")); err != nil {
		t.Fatal(err)
	}
	s.grant(t, "shared", s.bob.User.String(), "read", "list")
	if _, err := s.BindShared(t.Context(), s.bob, s.home.ID(), s.home.lookup(t, "shared").ID, names(t, "box-of-alice")); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateBucket(t.Context(), s.bob, "box-of-alice"); api.KindOf(err) != api.Exists {
		t.Errorf("a bucket of it: %v", err)
	}
	if err := s.CreateBucket(t.Context(), s.bob, "bucket-of-bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BindShared(t.Context(), s.bob, s.home.ID(), s.home.lookup(t, "shared").ID, names(t, "bucket-of-bob")); err != nil {
		t.Fatal(err)
	}
	bucket, err := s.Bucket(t.Context(), s.bob, "bucket-of-bob", "s3:PutObject", "key")
	if err != nil {
		t.Fatal(err)
	}
	own, err := d.Files(t.Context(), FileQuery{})
	if err != nil || len(own) != 1 {
		t.Fatalf("files: %v, %v", own, err)
	}
	below := names(t, "box-of-alice/new")
	for name, do := range map[string]func() error{
		"put": func() error {
			_, _, err := d.Put(t.Context(), below, strings.NewReader("x"), PutOptions{})
			return err
		},
		"put into a bucket": func() error {
			_, _, err := bucket.Put(t.Context(), names(t, "key"), strings.NewReader("x"), PutOptions{})
			return err
		},
		"put deep": func() error {
			_, _, err := d.Put(t.Context(), append(slices.Clip(below), "deep"), strings.NewReader("x"), PutOptions{})
			return err
		},
		"mkdir": func() error { _, err := d.Mkdir(t.Context(), below, true); return err },
		"move":  func() error { _, err := d.Move(t.Context(), names(t, "own"), below, MoveOptions{}); return err },
		"copy":  func() error { _, err := d.Copy(t.Context(), names(t, "own"), below, CopyOptions{}); return err },
		"move of a document": func() error {
			return d.MoveFile(t.Context(), own[0], below)
		},
		"another bind": func() error {
			_, err := s.BindShared(t.Context(), s.bob, s.home.ID(), s.home.lookup(t, "shared").ID, below)
			return err
		},
	} {
		if err := do(); api.KindOf(err) != api.Permission {
			t.Errorf("%s: %v", name, err)
		}
	}
	trash, err := d.Trash(t.Context(), 0, 0)
	if err != nil || len(trash.Items) != 1 {
		t.Fatalf("trash: %+v, %v", trash, err)
	}
	back, err := d.RestoreTrash(t.Context(), trash.Items[0].Node)
	if err != nil || string(back.Path) != "old" && string(back.Path) != "/old" {
		t.Errorf("out of the trash: %+v, %v", back, err)
	}
	if l, err := d.Children(t.Context(), d.lookup(t, "box-of-alice").ID, "", 0); err != nil || len(l.Entries) != 0 {
		t.Errorf("behind it are %v, %v", l.Entries, err)
	}
	if _, err := d.Move(t.Context(), names(t, "box-of-alice"), names(t, "own-place"), MoveOptions{}); err != nil {
		t.Errorf("itself it moves: %v", err)
	}
}

// Nor does anything come back there: not into a folder of its name that shows another's now, nor with a directory between.
func TestNothingComesBackBehindABind(t *testing.T) {
	s := newSharing(t)
	d := s.world.home(t, s.bob)
	s.grant(t, "shared", s.bob.User.String(), "read", "list")
	bind := func(path string) {
		t.Helper()
		if at, err := s.BindShared(t.Context(), s.bob, s.home.ID(), s.home.lookup(t, "shared").ID, names(t, path)); err != nil || api.JoinPath(at) != path {
			t.Fatal(at, err)
		}
	}
	removed := func(path string) api.Node {
		t.Helper()
		n := d.lookup(t, path)
		if err := d.Remove(t.Context(), names(t, path)); err != nil {
			t.Fatal(err)
		}
		return n
	}
	empty := func(path string) {
		t.Helper()
		if l, err := d.Children(t.Context(), d.lookup(t, path).ID, "", 0); err != nil || len(l.Entries) != 0 {
			t.Errorf("behind %s are %v, %v", path, l.Entries, err)
		}
	}
	for _, p := range []string{"shared/one", "docs/sub/f", "docs/other/g"} {
		s.put(t, d.Drive, p, "his "+p)
	}

	mine := removed("shared")
	bind("shared")
	back, err := d.RestoreTrash(t.Context(), mine.ID)
	if err != nil || back.Path == "shared" {
		t.Errorf("his folder: %+v, %v", back, err)
	}
	if got := d.read(t, string(back.Path)+"/one"); got != "his shared/one" {
		t.Errorf("what was in it: %q", got)
	}
	empty("shared")

	f, g := removed("docs/sub/f"), removed("docs/other/g")
	removed("docs/sub")
	removed("docs/other")
	bind("docs")
	if back, err := d.RestoreTrash(t.Context(), f.ID); err != nil || back.Path != "sub/f" || d.read(t, "sub/f") != "his docs/sub/f" {
		t.Errorf("a file: %+v, %v", back, err)
	}
	if _, err := d.RestoreVersion(t.Context(), g.Document, g.Version); err != nil || d.read(t, "other/g") != "his docs/other/g" {
		t.Errorf("a version of a file: %v", err)
	}
	empty("docs")
	s.verify(t, d.ID())
}

// The list of binds gives back what was bound, by the paths of whoever asks, and no path that leads elsewhere.
func TestBindsAreListedAsTheyWereMade(t *testing.T) {
	s := newSharing(t)
	s.grant(t, "shared", s.bob.User.String(), "read", "list")
	hers := "user:" + s.alice.User.String()
	made := []Bind{
		{Source: Place{Mount: hers, Path: "/shared"}, Target: Place{Mount: "home", Path: "/hers"}},
		{Source: Place{Mount: hers, Path: "/shared/sub/deep"}, Target: Place{Mount: "home", Path: "/deep"}},
	}
	for _, b := range made {
		if _, err := s.AddBind(t.Context(), s.bob, b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddBind(t.Context(), s.alice, Bind{Source: Place{Mount: "home", Path: "/private"}, Target: Place{Mount: "home", Path: "/own"}}); err != nil {
		t.Fatal(err)
	}
	listed := func(c Caller) string {
		t.Helper()
		all, err := s.Binds(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, b := range all {
			lines = append(lines, b.Source.Mount+b.Source.Path+" at "+b.Target.Mount+b.Target.Path)
		}
		return strings.Join(lines, ", ")
	}
	if got, want := listed(s.bob), hers+"/shared at home/hers, "+hers+"/shared/sub/deep at home/deep"; got != want {
		t.Errorf("his are %s, want %s", got, want)
	}
	his := "user:" + s.bob.User.String()
	if got, want := listed(s.alice), "home/shared at "+his+", home/shared/sub/deep at "+his+", home/private at home/own"; got != want {
		t.Errorf("what she sees is %s, want %s", got, want)
	}
	if _, err := s.home.Mkdir(t.Context(), names(t, "secret"), false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.home.Move(t.Context(), names(t, "shared"), names(t, "secret/shared"), MoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, want := listed(s.bob), hers+" at home/hers, "+hers+" at home/deep"; got != want {
		t.Errorf("once she moved it his are %s, want %s", got, want)
	}
	if err := s.home.Revoke(t.Context(), api.Grant{Path: "secret/shared", UserID: s.bob.User.String()}); err != nil {
		t.Fatal(err)
	}
	if got, want := listed(s.bob), hers+" at home/hers, "+hers+" at home/deep"; got != want {
		t.Errorf("once it ended his are %s, want %s", got, want)
	}
}
