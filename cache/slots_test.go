package cache

import (
	"fmt"
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// After a burst that used up content files there are enough for the next one; where nothing was written there are none.
func TestContentFilesAreMadeAfterTheWork(t *testing.T) {
	v := alone(t)
	must(t, v.d.st.settle())
	free := func() int {
		v.d.mu.Lock()
		defer v.d.mu.Unlock()
		return len(v.d.slots.free)
	}
	if k := free(); k != 0 {
		t.Errorf("%d were made before anything was written", k)
	}
	for i := range 100 {
		must(t, v.write(fmt.Sprintf("file %d", i), "x"))
	}
	must(t, v.d.st.settle())
	eventually(t, "there are content files for the next burst", func() bool { return free() >= stock })
}

// A file that is larger than the file system under the cache can have one fails to open, and no content file is lost for each try.
func TestContentFileThatCannotBeMade(t *testing.T) {
	s := newShelf()
	n := s.add(api.ID{}, "image", nil)
	n.Size = 1 << 40
	s.nodes[n.ID] = n
	d := openShelf(t, s, t.TempDir(), 0)
	fid := find(t, d, "image")
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &limit))
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1 << 30, Max: limit.Max}))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)) }()
	for range 10 {
		if _, err := d.Open(fid, unix.O_RDONLY, Cred{}, nil); err == nil {
			t.Fatal("it was opened")
		}
	}
	soon(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.slots.mu.Lock()
		defer d.slots.mu.Unlock()
		return !d.slots.making && len(d.slots.open) == len(d.slots.free)
	})
}
