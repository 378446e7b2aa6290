package cache

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A rename moves what the kernel knew of a name, which another device may have given to another file meanwhile: then the
// kernel looks up the new name, too.
func TestRenameOvertakesNews(t *testing.T) {
	type step struct {
		from, to string
		flags    uint32
	}
	for _, c := range []struct {
		name  string
		steps []step
		paths map[string]string // and what is there in the end
	}{
		{"rename", []step{{"a", "b", 0}}, map[string]string{"b": "c's", "c": "a's"}},
		{"rename twice", []step{{"a", "b", 0}, {"b", "d", 0}}, map[string]string{"d": "c's", "c": "a's"}},
		{"over another", []step{{"a", "other", 0}}, map[string]string{"other": "c's", "c": "a's"}},
		{"over itself", []step{{"c", "a2", 0}}, map[string]string{"c": "a's", "a": "c's", "a2": "a's"}},
		{"exchange", []step{{"other", "a", unix.RENAME_EXCHANGE}}, map[string]string{"a": "other's", "other": "c's"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
				for _, name := range []string{"a", "c", "other"} {
					must(t, x.write(name, name+"'s"))
				}
				must(t, x.link("a", "a2"))
				mustQuiet(t, x, y)
				y.kern.mu.Lock() // something else goes on in the directory
				must(t, x.write("news", "1"))
				must(t, x.sync())
				must(t, x.rename("a", "c", unix.RENAME_EXCHANGE))
				must(t, x.sync())
				y.hearsAll(t, x)
				for _, s := range c.steps {
					must(t, y.d.Rename(rootFID, s.from, rootFID, s.to, s.flags, nil))
					y.kern.moved(dname{rootFID, s.from}, dname{rootFID, s.to}, s.flags == unix.RENAME_EXCHANGE)
				}
				y.kern.mu.Unlock()
				must(t, y.d.notes.told(t.Context()))
				if err := y.kern.wrong(); err != nil {
					t.Error(err)
				}
				for path, want := range c.paths {
					if is, err := y.read(path); err != nil || is != want {
						t.Errorf("%s has %q, %v; want %q", path, is, err, want)
					}
				}
			})
		})
	}
}

// hearsAll waits until a device has heard of all that another one has sent.
func (v *device) hearsAll(t *testing.T, other *device) {
	t.Helper()
	info, err := other.wire.Info(t.Context())
	must(t, err)
	eventually(t, v.name+" hears of all", func() bool {
		v.d.mu.Lock()
		defer v.d.mu.Unlock()
		return v.d.syn.seq >= info.Seq
	})
}

// The kernel is told of names before their directories: it waits for who reads one only to drop a name, and what is read after that is new.
func TestNamesAreToldFirst(t *testing.T) {
	d := &Drive{done: make(chan struct{})}
	k := &inOrder{}
	kernel := Kernel(k)
	d.kern.Store(&kernel)
	q := newNotifier(d)
	for fid := range uint64(10) {
		q.entry(&node{fid: fid, lookups: 1}, "name")
	}
	ended := make(chan struct{})
	go func() { q.run(); close(ended) }()
	must(t, q.told(t.Context()))
	close(d.done)
	<-ended
	if want := strings.Repeat("n", 10) + strings.Repeat("i", 10); string(k.told) != want {
		t.Errorf("told of %s; want %s", k.told, want)
	}
}

// An inOrder notes the order of what it is told.
type inOrder struct {
	noKernel
	told []byte
}

func (k *inOrder) EntryChanged(uint64, string) { k.told = append(k.told, 'n') }
func (k *inOrder) InodeChanged(uint64, bool)   { k.told = append(k.told, 'i') }
