package cache

import (
	"context"
	"sync"
	"testing"

	"satchel/api"
)

// between does something after each page of a directory but the last has come.
type between struct {
	Remote
	pages func(dir api.ID)
}

func (r between) Children(ctx context.Context, dir api.ID, after api.Name, limit int, next func(api.Name)) (api.Listing, error) {
	if after != "" {
		r.pages(dir)
	}
	return r.Remote.Children(ctx, dir, after, limit, next)
}

// onePerPage makes the pages of directories that a device is told of so small that each has one name.
func (v *device) onePerPage() {
	v.wire.net.mu.Lock()
	defer v.wire.net.mu.Unlock()
	v.wire.net.room = 1
}

// namesInD makes d/a, d/b and d/c, each with what it was called in it; y has heard of d.
func namesInD(t *testing.T, x, y *device) {
	must(t, x.mkdir("d"))
	for _, name := range []string{"a", "b", "c"} {
		must(t, x.write("d/"+name, "it was "+name))
	}
	must(t, x.sync())
	y.heardOf(t, "d")
}

// betweenPages makes the pages of directories so small that each has one name, and does something before a page after the first is read: what the
// other device does then, y has heard of.
func betweenPages(t *testing.T, x, y *device, do func(after int)) {
	n := 0
	y.wire.Remote = between{y.wire.Remote, func(api.ID) {
		n++
		do(n)
		must(t, x.sync())
		info, err := x.wire.Info(t.Context())
		must(t, err)
		eventually(t, "y hears", func() bool {
			y.d.mu.Lock()
			defer y.d.mu.Unlock()
			return y.d.syn.seq >= info.Seq
		})
	}}
	y.onePerPage()
}

// What another device writes to a file, of which the page has come when the rest of its directory has not, is known in the end.
func TestFileChangesBetweenPages(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		namesInD(t, x, y)
		betweenPages(t, x, y, func(after int) {
			if after == 1 {
				must(t, x.write("d/a", "the new one"))
			}
		})
		if _, err := y.stat("d/c"); err != nil {
			t.Fatal(err)
		}
		if a, err := y.stat("d/a"); err != nil || a.Size != int64(len("the new one")) {
			t.Errorf("the file has %d bytes, %v", a.Size, err)
		}
		mustQuiet(t, x, y)
	})
}

// What another device changed in a directory, of which a page has come, when the feed has forgotten that: the directory is asked for again.
func TestFileChangesBetweenPagesUnheard(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		namesInD(t, x, y)
		y.deafen(true)
		once := sync.OnceFunc(func() {
			must(t, x.write("d/a", "the new one"))
			must(t, x.unlink("d/b"))
			must(t, x.sync())
			info, err := x.wire.Info(t.Context())
			must(t, err)
			s.server.Forget()
			y.wire.faults(func(w *wire) { w.deaf = false })
			eventually(t, "y has another cursor", func() bool {
				y.d.mu.Lock()
				defer y.d.mu.Unlock()
				return y.d.syn.seq >= info.Seq
			})
		})
		y.wire.Remote = between{y.wire.Remote, func(api.ID) { once() }}
		y.onePerPage()
		if _, err := y.stat("d/c"); err != nil {
			t.Fatal(err)
		}
		if a, err := y.stat("d/a"); err != nil || a.Size != int64(len("the new one")) {
			t.Errorf("the file has %d bytes, %v", a.Size, err)
		}
		if _, err := y.stat("d/b"); api.KindOf(err) != api.NotFound {
			t.Errorf("what was removed: %v", err)
		}
		mustQuiet(t, x, y)
	})
}

// Names change places between the pages of a directory, and what is heard of one comes from before that: each leads where it does now.
func TestNamesChangePlacesBetweenPages(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		namesInD(t, x, y)
		betweenPages(t, x, y, func(after int) {
			switch after {
			case 1: // a word about a, as it still is
				must(t, x.rename("d/a", "d/t", 0))
				must(t, x.rename("d/t", "d/a", 0))
			case 2:
				must(t, x.rename("d/a", "d/d", 0))
				must(t, x.write("d/a", "new"))
			}
		})
		for name, content := range map[string]string{"a": "new", "b": "it was b", "c": "it was c", "d": "it was a"} {
			if got, err := y.read("d/" + name); err != nil || got != content {
				t.Errorf("%s is %q, %v", name, got, err)
			}
		}
		mustQuiet(t, x, y)
	})
}
