package cache

import (
	"fmt"
	"os"
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
