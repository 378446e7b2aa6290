package cache

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// An open that found the name just before it went opens the file, as on a local disk: also again, and for
// writing. Its content goes when the kernel forgets the node.
func TestOpenMeetsUnlink(t *testing.T) {
	v := alone(t)
	for name, remove := range map[string]func() error{
		"unlinked":  func() error { return v.unlink("f") },
		"clobbered": func() error { return v.rename("g", "f", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			must(t, v.write("f", "still here"))
			must(t, v.write("g", "another"))
			mustQuiet(t, v)
			a, err := v.d.Lookup(rootFID, "f", nil)
			must(t, err)
			must(t, remove())
			for _, c := range []struct{ want, text string }{{"still here", "and here"}, {"and herere", "x"}} {
				_, err = v.d.Open(a.FID, unix.O_RDWR, Cred{}, nil)
				must(t, err)
				fd, done, err := v.d.Read(a.FID, 0, 100, nil)
				must(t, err)
				b := make([]byte, 100)
				n, err := unix.Pread(fd, b, 0)
				done()
				if err != nil || string(b[:n]) != c.want {
					t.Errorf("it has %q (%v), not %q", b[:n], err, c.want)
				}
				_, err = v.d.Write(a.FID, 0, []byte(c.text), Cred{})
				must(t, err)
				v.d.Release(a.FID, unix.O_RDWR)
			}
			v.d.mu.Lock()
			n := v.d.byFID[a.FID]
			c, lookups := n.c, n.lookups
			v.d.mu.Unlock()
			v.d.Forget(a.FID, lookups)
			v.d.mu.Lock()
			if n.slot != 0 || !slices.Contains(slices.Concat(v.d.slots.limbo, v.d.slots.free), c) || v.d.slots.held[c.slot] != nil {
				t.Error("forgotten, and its content is still kept")
			}
			v.d.mu.Unlock()
			mustQuiet(t, v)
		})
	}
}

// What another device removed is looked up again: there is nobody to get it from.
func TestOpenMeetsRemoval(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("f", "text"))
	mustQuiet(t, a, b)
	found, err := b.d.Lookup(rootFID, "f", nil)
	must(t, err)
	must(t, a.unlink("f"))
	mustQuiet(t, a, b)
	if _, err := b.d.Open(found.FID, unix.O_RDONLY, Cred{}, nil); !errors.Is(err, ErrStale) {
		t.Errorf("open: %v", err)
	}
}
