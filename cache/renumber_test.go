package cache

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel remembers each name of a file, and looks each up again when it leads to another node: after a conflict, and
// when another device has changed what is open here.
func TestEachNameLeadsElsewhere(t *testing.T) {
	for _, c := range []struct {
		name string
		meet func(t *testing.T, laptop, desk *device)
	}{
		{"after a conflict", func(t *testing.T, laptop, desk *device) {
			desk.wire.cut()
			must(t, laptop.write("x/a", "laptop's"))
			must(t, laptop.sync())
			must(t, desk.write("b", "desk's"))
			desk.wire.mend()
			must(t, desk.sync())
			must(t, desk.d.notes.told(t.Context()))
		}},
		{"changed while it is open", func(t *testing.T, laptop, desk *device) {
			h, err := desk.openFile("b", unix.O_RDONLY)
			must(t, err)
			t.Cleanup(h.close)
			must(t, laptop.write("x/a", "laptop's"))
			must(t, laptop.sync())
			laptop.d.mu.Lock()
			seq := laptop.d.syn.acked
			laptop.d.mu.Unlock()
			must(t, desk.d.Await(t.Context(), seq))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			laptop, desk, _, _ := pair(t)
			must(t, laptop.mkdir("x"))
			must(t, laptop.write("x/a", "0"))
			must(t, laptop.link("x/a", "b"))
			mustQuiet(t, laptop, desk)
			c.meet(t, laptop, desk)
			if err := desk.kern.wrong(); err != nil {
				t.Error(err)
			}
			if s, err := desk.read("x/a"); err != nil || s != "laptop's" {
				t.Errorf("by the other name: %q, %v", s, err)
			}
		})
	}
}

// The name by which a file was last reached may be gone when another node takes its place: then the kernel looks up the
// others, and a conflict copy is called after one of them.
func TestLastReachedByANameThatIsGone(t *testing.T) {
	linked := func(t *testing.T, x, y *device) {
		must(t, y.link("f", "old/f~"))
		must(t, y.unlink("old/f~"))
		must(t, y.rmdir("old"))
		must(t, y.sync())
	}
	for _, c := range []struct {
		name string
		meet func(t *testing.T, x, y *device)
		want map[string]string
	}{
		{"after a conflict", func(t *testing.T, x, y *device) {
			linked(t, x, y)
			y.deafen(true)
			must(t, x.write("f", "x's"))
			must(t, x.sync())
			must(t, y.write("f", "y's"))
			must(t, y.sync())
			y.deafen(false)
		}, map[string]string{"f": "x's", "f (conflict": "y's"}},
		{"changed while it is open", func(t *testing.T, x, y *device) {
			linked(t, x, y)
			h, err := y.openFile("f", unix.O_RDONLY)
			must(t, err)
			t.Cleanup(h.close)
			must(t, x.write("f", "x's"))
			must(t, x.sync())
			y.hearsAll(t, x)
		}, map[string]string{"f": "x's"}},
		{"changed while it is open, and the name is removed", func(t *testing.T, x, y *device) {
			must(t, x.link("f", "old/f~"))
			must(t, x.sync())
			y.hearsAll(t, x)
			if s, err := y.read("old/f~"); err != nil || s != "0" {
				t.Errorf("by the new name: %q, %v", s, err)
			}
			h, err := y.openFile("f", unix.O_RDONLY)
			must(t, err)
			t.Cleanup(h.close)
			y.wire.cut()
			must(t, x.write("f", "x's"))
			must(t, x.unlink("old/f~"))
			must(t, x.rmdir("old"))
			must(t, x.sync())
			y.wire.mend()
			y.hearsAll(t, x)
		}, map[string]string{"f": "x's"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
				must(t, x.mkdir("old"))
				must(t, x.write("f", "0"))
				mustQuiet(t, x, y)
				c.meet(t, x, y)
				must(t, y.d.notes.told(t.Context()))
				if err := y.kern.wrong(); err != nil {
					t.Error(err)
				}
				is := map[string]string{}
				for path, f := range mustQuiet(t, x, y) {
					if at := strings.Index(path, "(conflict"); at >= 0 {
						path = path[:at+len("(conflict")]
					}
					is[path] = f.content
				}
				if !maps.Equal(is, c.want) {
					t.Errorf("in the end there are %q; want %q", is, c.want)
				}
			})
		})
	}
}

// A link to a file by a node that has been replaced, or that another device has removed, makes the kernel look its name up again.
func TestLinkOfWhatWasReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("f", "0"))
		must(t, x.write("gone", "0"))
		mustQuiet(t, x, y)
		fids := map[string]uint64{}
		for _, name := range []string{"f", "gone"} {
			h, err := y.openFile(name, unix.O_RDONLY)
			must(t, err)
			t.Cleanup(h.close)
			fids[name] = h.fid
		}
		y.kern.mu.Lock() // what the kernel is to be told is on its way
		must(t, x.write("f", "x's"))
		must(t, x.unlink("gone"))
		must(t, x.sync())
		y.hearsAll(t, x)
		for name, fid := range fids {
			if _, err := y.d.Link(fid, rootFID, "g", nil); !errors.Is(err, ErrStale) {
				t.Errorf("link %s: %v", name, err)
			}
		}
		y.kern.mu.Unlock()
		must(t, y.link("f", "g"))
		if s, err := y.read("g"); err != nil || s != "x's" {
			t.Errorf("by the new name: %q, %v", s, err)
		}
	})
}
