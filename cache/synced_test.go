package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// kernelSyncs makes a file's content durable as the kernel does for msync and O_DSYNC where it has the content file: nobody is told.
func (v *device) kernelSyncs(t *testing.T, path string) {
	t.Helper()
	file, _ := v.slotOf(t, path)
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	must(t, f.Sync())
	v.synced(v.lives, int(f.Fd()), false)
}

// What a synchronous write or msync has returned for survives power loss right after the open, though nobody asked for anything then.
func TestSynchronousWritesOutlivePowerLoss(t *testing.T) {
	v := alone(t)
	v.unkind = true
	must(t, v.write("old", "on the server"))
	must(t, v.write("replaced", "on the server"))
	for i, c := range []struct {
		name  string
		flags uint32
	}{
		{"old", unix.O_WRONLY | unix.O_DSYNC},
		{"old", unix.O_RDWR | unix.O_SYNC},
		{"replaced", unix.O_WRONLY | unix.O_TRUNC | unix.O_DSYNC},
		{"made", unix.O_WRONLY | unix.O_CREAT | unix.O_DSYNC},
		{"made too", unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_SYNC},
		{"old", unix.O_RDWR}, // and msync
	} {
		mustQuiet(t, v)
		v.wire.cut()
		h, err := v.openFile(c.name, c.flags)
		must(t, err)
		want := fmt.Sprintf("the write number %d returned", i)
		must(t, h.write(want))
		v.kernelSyncs(t, c.name)
		v.kill(true)
		v.start()
		if got, err := v.read(c.name); err != nil || got != want {
			t.Errorf("%s, opened with %#x, has %q after power loss: %v", c.name, c.flags, got, err)
		}
	}
	if truth := mustQuiet(t, v); len(truth) != 4 || len(truth.find("on the server")) != 0 {
		t.Errorf("the server has\n%v", truth)
	}
}

// What was fetched and is not marked with its time yet is not taken for written when the power is lost before its bytes
// have reached the disk, whatever time its file shows.
func TestFetchedContentIsNotTakenForWritten(t *testing.T) {
	v := alone(t)
	must(t, v.write("film", "the whole film"))
	mustQuiet(t, v)
	file, _ := v.slotOf(t, "film")
	a, err := v.stat("film")
	must(t, err)
	v.d.mu.Lock()
	n := v.d.byFID[a.FID]
	c, err := v.d.attach(n)
	must(t, err)
	c.rec.ctime = 0 // as adoptPart leaves it
	tx := v.d.begin()
	tx.slot(c)
	must(t, tx.commit())
	v.d.mu.Unlock()
	must(t, v.d.st.settle())
	v.wire.cut()
	v.kill(true)
	name := filepath.Join(v.dir(), "content", filepath.Base(filepath.Dir(file)), filepath.Base(file))
	must(t, os.WriteFile(name, make([]byte, len("the whole film")), 0o600))
	v.undone = nil
	v.wire.mend()
	v.start()
	if truth := mustQuiet(t, v); len(truth.find("the whole film")) != 1 {
		t.Errorf("the server has\n%v", truth)
	}
	if got, err := v.read("film"); err != nil || got != "the whole film" {
		t.Errorf("the film is %q, %v", got, err)
	}
}
