package cache

import (
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
