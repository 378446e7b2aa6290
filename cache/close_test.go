package cache

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// registrar is a kernel that gives passthrough unless it refuses.
type registrar struct {
	noKernel
	dear    bool
	mu      sync.Mutex
	last    int32
	ids     map[int32]bool
	twice   bool // an id was given back that was not out
	refuses bool
}

func (r *registrar) Register(int) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuses {
		return 0
	}
	r.last++
	r.ids[r.last] = true
	return r.last
}

func (r *registrar) Dear() bool { return r.dear }

func (r *registrar) Unregister(id int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.twice = r.twice || !r.ids[id]
	delete(r.ids, id)
}

func (r *registrar) out() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

// descriptorsIn is how many descriptors this process has of files in a directory.
func descriptorsIn(t *testing.T, dir string) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range all {
		if path, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil && strings.HasPrefix(path, dir+"/") {
			n++
		}
	}
	return n
}

// A shared folder that goes away leaves nothing behind in a daemon that lives on, whatever state its files were in.
func TestCloseGivesEverythingBack(t *testing.T) {
	s := newShelf()
	s.add(api.ID{}, "read", noise(100_000))
	s.add(api.ID{}, "part", noise(8<<20))
	s.add(api.ID{}, "part in use", noise(8<<20))
	dir := t.TempDir()
	d, err := Open(Config{Dir: dir, Remote: s, DeviceName: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	kern := &registrar{ids: map[int32]bool{}, refuses: true}
	d.Start(kern)
	create := func(name string, flags uint32) uint64 {
		t.Helper()
		a, _, err := d.Create(rootFID, name, 0o600, flags, Cred{}, nil)
		must(t, err)
		return a.FID
	}

	fid := create("without passthrough", unix.O_RDWR)
	_, err = d.Write(fid, 0, []byte("text"), Cred{})
	must(t, err)
	kern.mu.Lock()
	kern.refuses = false
	kern.mu.Unlock()
	for _, name := range []string{"read", "part", "part in use"} {
		fid := find(t, d, name)
		open(t, d, fid, unix.O_RDONLY)
		_, err := readAt(d, fid, 4<<20, 1000)
		must(t, err)
		if name != "part in use" {
			d.Release(fid, unix.O_RDONLY)
		}
	}
	d.Release(create("closed", unix.O_RDWR), unix.O_RDWR)
	create("in use", unix.O_RDWR)
	d.Release(create("gone", unix.O_RDWR), unix.O_RDWR)
	must(t, d.Unlink(rootFID, "gone", nil))
	create("gone in use", unix.O_RDWR)
	must(t, d.Unlink(rootFID, "gone in use", nil))
	if n := kern.out(); n < 4 {
		t.Fatalf("%d files are registered: the test is not about what it says", n)
	}
	must(t, d.Close())
	if n := descriptorsIn(t, dir); n != 0 {
		t.Errorf("%d descriptors are open after Close", n)
	}
	if n := kern.out(); n != 0 || kern.twice {
		t.Errorf("%d backing ids are registered after Close; one was given back twice: %v", n, kern.twice)
	}

	d = openShelf(t, s, dir, 0)
	fid = find(t, d, "without passthrough")
	open(t, d, fid, unix.O_RDONLY)
	if got, err := readAt(d, fid, 0, 4); err != nil || string(got) != "text" {
		t.Errorf("after another start: %q, %v", got, err)
	}
	d.Release(fid, unix.O_RDONLY)
}
