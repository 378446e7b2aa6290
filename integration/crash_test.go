package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMapOutlivesClose: a shared map goes on changing the file after its
// descriptor is closed, and no call tells the daemon so. Nothing that was
// stored before munmap may be missing on the server.
func TestMapOutlivesClose(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	if status, err := laptop.Status(t.Context()); err != nil || !status.Passthrough {
		t.Logf("without passthrough: %+v %v", status, err)
	}
	const size = 8192
	want := make([]byte, size)
	h := hold(t, filepath.Join(laptop.Mount, "mapped"))
	store := func(offset int, text string) {
		t.Helper()
		h.do(t, "store %d %s", offset, text)
		copy(want[offset:], text)
	}
	h.do(t, "map %d", size)
	store(0, "first")
	h.do(t, "close")
	store(100, "after-close")

	// The map is alive: a checkpoint is sent, and does not hold up the wait.
	start := time.Now()
	syncAll(t, laptop)
	if took := time.Since(start); took > time.Minute {
		t.Errorf("sync --wait with a map alive took %v", took)
	}
	for i := range 5 {
		time.Sleep(400 * time.Millisecond) // longer than the quiet time, all in all: it must not become final
		store(200+i, "x")
		store(5000+i, "y")
	}
	h.do(t, "unmap")
	took := eventually(t, 10*time.Second, func() error { return anna.stored(t, "mapped", want) })
	t.Logf("the last stores were on the server %v after munmap", took)
	if took > 5*time.Second {
		t.Errorf("that is too long: 2 s for the lease, half for the quiet time, and the upload")
	}
	must(t, has(filepath.Join(laptop.Mount, "mapped"), string(want)))
}

// TestDaemonKilled: what was written before the daemon died is there after it
// is mounted again, and reaches the server.
func TestDaemonKilled(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	write(t, filepath.Join(laptop.Mount, "old"), "before")
	syncAll(t, laptop)

	for round := range 3 {
		name := fmt.Sprint("synced-", round)
		f, err := os.Create(filepath.Join(laptop.Mount, name))
		must(t, err)
		_, err = f.WriteString("made durable by fsync")
		must(t, err)
		must(t, f.Sync())
		must(t, f.Close())
		write(t, filepath.Join(laptop.Mount, fmt.Sprint("settled-", round)), "a second ago")
		time.Sleep(time.Second) // the promise is 50 ms; a busy machine may need longer to run the writer
		must(t, laptop.KillDaemon(t.Context()))

		dead := time.Now()
		mount(t, laptop) // on the dead mount: it is detected and replaced
		must(t, has(filepath.Join(laptop.Mount, name), "made durable by fsync"))
		t.Logf("the folder was back, and read, %v after its daemon was killed", time.Since(dead).Round(time.Millisecond))
		for i := range round + 1 {
			must(t, has(filepath.Join(laptop.Mount, fmt.Sprint("synced-", i)), "made durable by fsync"))
			must(t, has(filepath.Join(laptop.Mount, fmt.Sprint("settled-", i)), "a second ago"))
		}
	}
	syncAll(t, laptop)
	must(t, anna.stored(t, "synced-2", []byte("made durable by fsync")))
	must(t, anna.stored(t, "settled-2", []byte("a second ago")))
	must(t, anna.stored(t, "old", []byte("before")))
}

// TestWritersOutliveTheDaemon: with passthrough a program's writes and stores
// go past the daemon, so they go on when it is killed. They count.
func TestWritersOutliveTheDaemon(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	if status, err := laptop.Status(t.Context()); err != nil {
		t.Fatal(err)
	} else if !status.Passthrough {
		t.Skip("without passthrough the kernel tells a program that its write failed: nothing is lost silently")
	}
	const size = 4096
	mapped, written := make([]byte, size), make([]byte, size)
	m := hold(t, filepath.Join(laptop.Mount, "mapped"))
	w := hold(t, filepath.Join(laptop.Mount, "written"))
	both := func(offset int, text string) {
		t.Helper()
		m.do(t, "store %d %s", offset, text)
		copy(mapped[offset:], text)
		w.do(t, "write %d %s", offset, text)
		copy(written[offset:], text)
	}
	m.do(t, "map %d", size)
	w.do(t, "map %d", size) // only for its size
	both(0, "before")
	m.do(t, "close")
	syncAll(t, laptop)

	must(t, laptop.KillDaemon(t.Context()))
	both(100, "while-dead")
	mount(t, laptop)
	both(200, "after-remount")
	time.Sleep(time.Second)
	both(300, "last")
	m.do(t, "unmap")
	w.do(t, "unmap")
	// The kernel asks the dead daemon to flush, so close may say ENOTCONN; what
	// was written is in the file all the same.
	w.try("close")
	eventually(t, 15*time.Second, func() error {
		if err := anna.stored(t, "mapped", mapped); err != nil {
			return err
		}
		return anna.stored(t, "written", written)
	})
	must(t, has(filepath.Join(laptop.Mount, "mapped"), string(mapped)))
	must(t, has(filepath.Join(laptop.Mount, "written"), string(written)))
}

// TestDaemonKeepsNothingOfAScript: the lock that a script holds while it mounts is free when the script has ended, though the daemon goes on.
func TestDaemonKeepsNothingOfAScript(t *testing.T) {
	laptop := newAccount(t, server(t), "anna").newDevice(t, "laptop")
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := os.Create(path)
	must(t, err)
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	script := exec.CommandContext(t.Context(), filepath.Join(parts.Bin, "satchel"), "mount", laptop.Mount)
	script.Env = laptop.Environ()
	script.ExtraFiles = []*os.File{lock, lock} // the descriptors 3, which the daemon has a use for, and 4
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	must(t, lock.Close())
	lock, err = os.Open(path)
	must(t, err)
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("the daemon holds the script's lock: %v", err)
	}
}
