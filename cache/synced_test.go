package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// remark gives the record of a file's content file another time, durably.
func (v *device) remark(t *testing.T, path string, mark func(ctime int64) int64) {
	t.Helper()
	a, err := v.stat(path)
	must(t, err)
	v.d.mu.Lock()
	n := v.d.byFID[a.FID]
	c, err := v.d.attach(n)
	must(t, err)
	c.rec.ctime = mark(c.rec.ctime)
	tx := v.d.begin()
	tx.slot(c)
	must(t, tx.commit())
	v.d.mu.Unlock()
	must(t, v.d.st.settle())
}

// What was fetched is not taken for written when its bytes have not reached the disk in the end: because the power was lost, the disk was pulled out, or, where the
// kernel does not tell that, its time shows it. That without a mark of its time yet is not either, whatever time its file shows.
func TestFetchedContentIsNotTakenForWritten(t *testing.T) {
	const text = "the whole film"
	none := func(int64) int64 { return 0 } // as adoptPart leaves it
	newer := func(ctime int64) int64 { return ctime + int64(time.Hour) }
	same := func(ctime int64) int64 { return ctime }
	for _, c := range []struct {
		name          string
		boots, mounts int // more of them
		mark          func(int64) int64
		left          string
	}{
		{"power loss", 1, 1, none, string(make([]byte, len(text)))},
		{"disk pulled out", 0, 1, none, string(make([]byte, len(text)))},
		{"disk pulled out, empty", 0, 1, same, ""},
		{"disk pulled out unnoticed", 0, 0, newer, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := neighbours(t, "laptop")[0]
			must(t, v.write("film", text))
			mustQuiet(t, v)
			file, _ := v.slotOf(t, "film")
			v.remark(t, "film", c.mark)
			v.wire.cut()
			boots, mounts := v.boots+c.boots, v.mounts+c.mounts
			v.kill(true)
			v.boots, v.mounts = boots, mounts
			name := filepath.Join(v.dir(), "content", filepath.Base(filepath.Dir(file)), filepath.Base(file))
			must(t, os.WriteFile(name, []byte(c.left), 0o600))
			v.undone = nil
			v.wire.mend()
			v.start()
			if truth := mustQuiet(t, v); len(truth.find(text)) != 1 {
				t.Errorf("the server has\n%v", truth)
			}
			if got, err := v.read("film"); err != nil || got != text {
				t.Errorf("the film is %q, %v", got, err)
			}
		})
	}
}

// What a program wrote before the daemon was killed is kept though the cache comes back in another mount, as that of a container does.
func TestWrittenBeforeAnotherMount(t *testing.T) {
	v := neighbours(t, "laptop")[0]
	must(t, v.write("long", "a long text that was sent"))
	must(t, v.write("grown", "sent"))
	mustQuiet(t, v)
	v.wire.cut()
	must(t, v.write("long", "short"))
	v.settled()
	h, err := v.openFile("grown", unix.O_WRONLY) // of which the replica does not know yet
	must(t, err)
	must(t, h.write("sent and then some"))
	v.kill(false)
	v.mounts++
	v.start()
	if truth := mustQuiet(t, v); truth["long"].content != "short" || truth["grown"].content != "sent and then some" {
		t.Errorf("the server has\n%v", truth)
	}
}
