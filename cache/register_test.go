package cache

import (
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// life opens the drive in dir and shows it to a kernel.
func life(t *testing.T, s *shelf, dir string, k *registrar) *Drive {
	t.Helper()
	d, err := Open(Config{Dir: dir, Remote: s, DeviceName: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	k.ids = map[int32]bool{}
	d.Start(k)
	return d
}

// newFile makes a file of a size and tells whether programs write to it without the daemon.
func newFile(t *testing.T, d *Drive, name string, size int64) (passes bool) {
	t.Helper()
	a, o, err := d.Create(rootFID, name, 0o600, unix.O_RDWR, Cred{}, nil)
	must(t, err)
	d.mu.Lock()
	path := d.slotPath(d.byFID[a.FID].slot)
	d.mu.Unlock()
	must(t, unix.Truncate(path, size))
	d.Release(a.FID, unix.O_RDWR)
	return o.Backing != 0
}

// Who makes a file does not wait for the registration of its content: what is made ahead is registered ahead, and what
// is recycled before it is free.
func TestContentIsRegisteredAhead(t *testing.T) {
	s, dir, k := newShelf(), t.TempDir(), &registrar{}
	d := life(t, s, dir, k)
	free := func(least int) {
		t.Helper()
		eventually(t, "free content files", func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, c := range d.slots.free {
				if c.backing == 0 {
					t.Fatalf("content file %d is free and not registered", c.slot)
				}
			}
			return len(d.slots.free) >= least && !d.slots.making
		})
	}
	if !newFile(t, d, "first", 0) {
		t.Fatal("no passthrough")
	}
	free(lowFree + 1)
	before := k.out()
	if !newFile(t, d, "second", 0) || k.out() != before {
		t.Errorf("a new file asked for %d registrations", k.out()-before)
	}
	must(t, d.Close())

	k = &registrar{}
	d = life(t, s, dir, k)
	must(t, d.Unlink(rootFID, "first", nil)) // which nobody opened in this life
	must(t, d.st.settle())
	free(1)
	must(t, d.Close())
}

// Where another process registers, a small file is read through the daemon, since one READ takes less; and all else is as ever.
func TestDearRegistrations(t *testing.T) {
	s, dir := newShelf(), t.TempDir()
	s.add(api.ID{}, "small", noise(smallRead))
	s.add(api.ID{}, "large", noise(smallRead+1))
	d := life(t, s, dir, &registrar{})
	for _, name := range []string{"small", "large"} { // they are here from now on
		fid := find(t, d, name)
		open(t, d, fid, unix.O_RDONLY)
		d.Release(fid, unix.O_RDONLY)
	}
	newFile(t, d, "unsent", 1)
	must(t, d.Close())
	type opening struct {
		name   string
		flags  uint32
		passes bool
	}
	for dear, openings := range map[bool][]opening{
		true: {
			{"small", unix.O_RDONLY, false},
			{"large", unix.O_RDONLY, true},
			{"unsent", unix.O_RDONLY, true}, // a mapping of an earlier life may still write to it
			{"small", unix.O_WRONLY, true},
			{"small", unix.O_RDONLY, true}, // it is registered by now
		},
		false: {{"small", unix.O_RDONLY, true}},
	} {
		d := life(t, s, dir, &registrar{dear: dear})
		for _, o := range openings {
			fid := find(t, d, o.name)
			got, err := d.Open(fid, o.flags, Cred{}, nil)
			must(t, err)
			if (got.Backing != 0) != o.passes {
				t.Errorf("dear %v, %s opened with %#o: passes %v", dear, o.name, o.flags, got.Backing != 0)
			}
			d.Release(fid, o.flags)
		}
		must(t, d.Close())
	}
}
