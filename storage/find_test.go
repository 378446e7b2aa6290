package storage

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/api"
)

// Find tells what Through and Resolve tell, whatever is on the way.
func TestFind(t *testing.T) {
	w := newWorld(t)
	c := w.user(t, "editor")
	// Before there is a home, too.
	found, err := w.Find(t.Context(), c, nil, Finding{})
	if err != nil || found.Node == nil || found.Home == nil || found.Node.ID != found.Home.Root() {
		t.Fatalf("a new home: %+v, %v", found, err)
	}
	d := found.Home
	for _, path := range []string{"/a/b/file", "/a/b/empty", "/x/Straße", "/in/bound/there", "/plain"} {
		content := path
		if strings.HasSuffix(path, "empty") {
			content = ""
		}
		if _, _, err := d.Put(t.Context(), names(t, path), strings.NewReader(content), PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for path, target := range map[string]api.Name{"/a/up": "../plain", "/a/dir": "b", "/loop": "loop", "/out": "/etc"} {
		at := names(t, path)
		parent, err := d.Lookup(t.Context(), at[:len(at)-1])
		if err != nil {
			t.Fatal(err)
		}
		link := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: parent.ID, Name: at[len(at)-1], Attr: &api.Attr{Type: api.Symlink, Target: target}, Time: 1}
		b := api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{link}}
		if done, err := d.Commit(t.Context(), b); err != nil || done.Outcomes[0].Status != api.Applied {
			t.Fatal(path, err, done)
		}
	}
	if _, err := w.AddBind(t.Context(), c, Bind{Source: Place{Mount: "home", Path: "/in/bound"}, Target: Place{Mount: "home", Path: "/shown"}}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/a", "/a/b/file", "/a/b/empty", "/a/b/FILE", "/A/B/file", "/x/strasse", "/x/STRASSE", "/a/missing", "/missing/too", "/a/b/file/below",
		"/a/up", "/a/dir/file", "/a/dir", "/loop", "/loop/on", "/out", "/shown", "/shown/there", "/shown/THERE", "/shown/missing"} {
		for _, how := range []Resolving{{}, {Fold: true}, {Follow: true}, {Fold: true, Follow: true}} {
			for _, content := range []bool{false, true} {
				got, err := w.Find(t.Context(), c, names(t, path), Finding{Resolving: how, Content: content})
				through := d.Through
				if !how.Follow {
					through = d.ThroughTo
				}
				in, rest, wantErr := through(t.Context(), names(t, path))
				var real []api.Name
				var node *api.Node
				if wantErr == nil {
					real, node, wantErr = in.Resolve(t.Context(), rest, how)
				}
				if api.KindOf(err) != api.KindOf(wantErr) || (err == nil) != (wantErr == nil) {
					t.Errorf("%s %+v: %v, and by steps %v", path, how, err, wantErr)
					continue
				}
				if err != nil {
					continue
				}
				if !got.Drive.Same(in) || len(got.Bound)+len(rest) != len(names(t, path)) || !slices.Equal(got.Real, real) || (got.Node == nil) != (node == nil) || node != nil && got.Node.ID != node.ID {
					t.Errorf("%s %+v: %+v, and by steps %v in %v", path, how, got, real, node)
				}
				if node == nil || node.Type != api.File {
					continue
				}
				whole := func(c *Content, err error) string {
					if err != nil {
						t.Fatal(path, err)
					}
					r := c.Reader(t.Context())
					defer r.Close()
					text, err := io.ReadAll(r)
					if err != nil {
						t.Fatal(path, err)
					}
					return string(text)
				}
				if is, want := whole(got.Content(t.Context())), whole(in.Content(t.Context(), node.ID, node.Version)); is != want || int64(len(is)) != node.Size {
					t.Errorf("%s has %q, and by steps %q", path, is, want)
				}
			}
		}
	}
}

// What one request costs the database: transactions, each of which is a round trip where it only asks one thing.
func TestCostOfAPath(t *testing.T) {
	defer func(d time.Duration) { locatedFor = d }(locatedFor)
	locatedFor = time.Hour // however slow this machine is
	w := newWorld(t)
	c := w.user(t, "editor")
	d := w.home(t, c)
	large := random(3 << 20)
	for name, content := range map[string][]byte{"small": []byte("small"), "large": large, "empty": nil} {
		cost := func(what string, most int64, do func()) {
			t.Helper()
			before := w.db.Stats().Taken
			do()
			if n := w.db.Stats().Taken - before; n > most {
				t.Errorf("%s of the %s file: %d transactions, not %d", what, name, n, most)
			}
		}
		path := names(t, "/"+name)
		chunks := int64(1+len(content)>>20) * 4 // which are of 256 KiB at least; each is asked for
		if len(content) < 1<<18 {
			chunks = 1
		}
		cost("a write", 2+chunks, func() {
			if _, _, err := d.Put(t.Context(), path, bytes.NewReader(content), PutOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		cost("a read", 1, func() {
			found, err := w.Find(t.Context(), c, path, Finding{Content: true})
			if err != nil || found.Node == nil {
				t.Fatal(err)
			}
			content, err := found.Content(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r := content.Reader(t.Context())
			defer r.Close()
			if n, err := io.Copy(io.Discard, r); err != nil || n != found.Node.Size {
				t.Errorf("%d bytes: %v", n, err)
			}
		})
	}
}
