package cache

import (
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Content describes itself while programs write it. What the description takes up is no part of the file, and what the
// file grows by meanwhile is.
func TestDescriptionIsNotTheFiles(t *testing.T) {
	v := alone(t)
	if dir, err := os.MkdirTemp("/var/tmp", "satchel-test-"); err == nil { // a disk, where descriptions take blocks
		t.Cleanup(func() { os.RemoveAll(dir) })
		v.end()
		v.home = dir
		v.wire.mend()
		v.start()
	}
	name := strings.Repeat("n", 200)
	h, err := v.openFile(name, unix.O_CREAT|unix.O_RDWR)
	must(t, err)
	defer h.close()
	file, _ := v.slotOf(t, name)
	n := h.node()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // a program, whose calls do not come here
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for {
			select {
			case <-stop:
				return
			default:
			}
			unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20)
			unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, 0, 1<<20)
		}
	})
	for range 5000 {
		v.d.mu.Lock()
		v.d.describe(n)
		if extra := n.c.extra; extra != 0 && extra != 8 {
			t.Errorf("the description takes up %d blocks", extra)
		}
		n.c.nondescript()
		v.d.mu.Unlock()
	}
	close(stop)
	wg.Wait()
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	before := n.c.sectors()
	v.d.describe(n)
	if took := n.c.sectors() - before; took != n.c.extra {
		t.Errorf("the description takes up %d blocks and is thought to take up %d", took, n.c.extra)
	}
}

// An fsync makes other files' content durable, and writes nothing into it: that is for the syncs behind.
func TestFsyncDescribesNothing(t *testing.T) {
	v := alone(t)
	mustQuiet(t, v)
	v.wire.cut()
	described := func() (n int) {
		v.d.mu.Lock()
		defer v.d.mu.Unlock()
		for _, hot := range v.d.syn.hots {
			if hot.c != nil && hot.c.described {
				n++
			}
		}
		return n
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		v.save(t, name, "text")
	}
	if n := described(); n != 0 {
		t.Errorf("%d files were described by others' fsync", n)
	}
	must(t, v.d.st.settle())
	if n := described(); n < 3 {
		t.Errorf("%d of the files before the last one of a burst describe themselves when the burst is over, not all", n)
	}
	for range 2 {
		must(t, v.write("e", "more"))
		must(t, v.d.st.settle())
	}
	if n := described(); n < 4 {
		t.Errorf("%d of the files that have been unsent for a while describe themselves, not all", n)
	}
}
