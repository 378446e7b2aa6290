package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/integration/sim"
)

// checkUnsent looks for unsent files that are not where what is done about them would find them; locked.
func (d *Drive) checkUnsent() error {
	grown := int64(0)
	for _, n := range d.syn.hots {
		h := n.hot
		if !d.stays(n) {
			grown += n.size - h.base
		}
		if n.c == nil || n.dead || n.stale {
			continue
		}
		switch {
		case h.undescribed == nil && !n.c.described:
			return fmt.Errorf("the unsent file %q would never describe itself", n.name)
		case h.loose != nil:
		case !h.waited:
			return fmt.Errorf("the unsent file %q was never looked at and is not loose", n.name)
		case n.writers > 0 || !n.c.unwritten():
			return fmt.Errorf("the unsent file %q is open for writing, or mapped, and not loose", n.name)
		case d.fineTimes && n.c.ctime() != n.c.synced:
			return fmt.Errorf("the unsent file %q has changed since it was made durable, and is not loose", n.name)
		}
	}
	if grown != d.quota.all {
		return fmt.Errorf("unsent files have grown by %d bytes, and are thought to have grown by %d", grown, d.quota.all)
	}
	for _, n := range d.byFID {
		if _, ok := d.writing[n]; ok != (n.writers > 0) {
			return fmt.Errorf("%q is open for writing %d times, which is known: %v", n.name, n.writers, ok)
		}
	}
	return nil
}

// neighbours are devices of one drive in memory.
func neighbours(t testing.TB, names ...string) (devices []*device) {
	server := sim.New(api.ID{0: 0x10, 15: 1})
	for i, name := range names {
		v := unstarted(t, api.ID{2}, name, rand.New(rand.NewPCG(1, uint64(i))))
		v.cfg.Device = api.ID{0: 0xd0, 15: byte(i + 1)}
		v.wire.Remote = server.Device(v.cfg.Device, name)
		v.start()
		devices = append(devices, v)
	}
	return devices
}

// adrift is a device that has lost its server, which has nothing of it.
func adrift(t testing.TB) *device {
	v := neighbours(t, "laptop")[0]
	v.unkind = true
	_, err := v.view()
	must(t, err)
	v.wire.cut()
	return v
}

// firm waits until content is durable and nobody looks at it any more.
func (v *device) firm(t testing.TB) {
	for range 2 { // what was described after it had been made durable, on a file system without fine times
		mode := uint32(0o700)
		_, err := v.d.Setattr(rootFID, Change{Mode: &mode}, nil)
		must(t, err)
		must(t, v.d.st.settle())
	}
}

// loose is how many unsent files are looked at when content is made durable.
func (v *device) loose() int {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	return v.d.syn.loose.Len()
}

// However many files wait to be sent, an fsync looks at those that may have changed.
func TestFsyncLooksAtWhatMayHaveChanged(t *testing.T) {
	v := adrift(t)
	const unsent = 300
	for i := range unsent {
		must(t, v.write(fmt.Sprint("file ", i), "unsent"))
	}
	v.firm(t)
	h, err := v.openFile("database", unix.O_RDWR|unix.O_CREAT)
	must(t, err)
	defer h.close()
	looked := func() int {
		v.d.mu.Lock()
		defer v.d.mu.Unlock()
		return v.d.syn.looked
	}
	before := looked()
	const commits = 10
	for i := range commits {
		must(t, v.write("database-journal", "unsent"))
		must(t, h.write(fmt.Sprint("commit ", i)))
		must(t, h.fsync())
		must(t, v.unlink("database-journal"))
	}
	must(t, v.d.st.settle())
	if n := looked() - before; n < commits || n >= unsent {
		t.Errorf("%d commits looked at %d files", commits, n)
	}
}

// What may be written unseen is looked at each time: a file that is open, and one that is mapped after its last close. The stores
// through a mapping become durable with another file's fsync.
func TestMappedContentStaysLoose(t *testing.T) {
	v := adrift(t)
	if dir, err := os.MkdirTemp("/var/tmp", "satchel-test-"); err == nil { // a disk, where such stores move the change time
		t.Cleanup(func() { os.RemoveAll(dir) })
		v.end()
		v.home = dir
		v.wire.mend()
		v.start()
		_, err := v.view()
		must(t, err)
		v.wire.cut()
	}
	h, err := v.openFile("letter", unix.O_RDWR|unix.O_CREAT)
	must(t, err)
	must(t, h.write("dear anybody"))
	v.firm(t)
	if n := v.loose(); n != 1 {
		t.Errorf("%d files are loose while one is open", n)
	}
	path, _ := v.slotOf(t, "letter")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	mapped, err := unix.Mmap(int(f.Fd()), 0, len("dear anybody"), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	f.Close()
	h.close()
	v.firm(t)
	if n := v.loose(); n != 1 {
		t.Errorf("%d files are loose while one is mapped", n)
	}
	copy(mapped, "DEAR")
	must(t, v.mkdir("so that there is something to make durable"))
	v.save(t, "other", "text")
	v.mu.Lock()
	durable := string(v.durable[filepath.Base(path)].data)
	v.mu.Unlock()
	if durable != "DEAR anybody" {
		t.Errorf("after an fsync of another file the letter is %q", durable)
	}
	must(t, unix.Munmap(mapped))
	v.firm(t)
	if n := v.loose(); n != 0 {
		t.Errorf("%d files are loose when nobody can write to any", n)
	}
}

// A file that could not be made durable, and one that is written while it is made so, are looked at again.
func TestContentStaysLooseUntilItIsDurable(t *testing.T) {
	v := adrift(t)
	must(t, v.write("letter", "dear anybody"))
	v.sicken(func() error { return errors.New("the disk is sick") })
	v.firm(t)
	if n := v.loose(); n != 1 {
		t.Errorf("%d files are loose after their sync failed", n)
	}
	path, _ := v.slotOf(t, "letter")
	var written atomic.Bool
	v.sicken(func() error { // the sync is under way, and does not hold what comes now
		if !written.Swap(true) {
			if err := v.write("letter", "dear everybody"); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	must(t, v.d.syncContents(nil, map[*content]bool{}, true))
	if !written.Load() {
		t.Fatal("nothing was synced")
	}
	if n := v.loose(); n != 1 {
		t.Errorf("%d files are loose after one was written while it was synced", n)
	}
	must(t, v.d.syncContents(nil, map[*content]bool{}, true))
	v.mu.Lock()
	durable := string(v.durable[filepath.Base(path)].data)
	v.mu.Unlock()
	if n := v.loose(); n != 0 || durable != "dear everybody" {
		t.Errorf("the letter is %q, and %d files are loose", durable, n)
	}
}

// The room in the quota is what it is by the sizes of all files that wait, though nobody adds them up.
func TestRoomCountsUnsentFiles(t *testing.T) {
	v := adrift(t)
	used := func(when string, want int64) {
		t.Helper()
		v.d.mu.Lock()
		defer v.d.mu.Unlock()
		v.d.drive.Quota, v.d.drive.Used = 1<<40, 0 // the server may have said otherwise at the start
		v.d.quota.counts = v.d.quota.counts.Add(-recount)
		if got := 1<<40 - v.d.room(); got != want {
			t.Errorf("%s, unsent files have grown by %d bytes, not %d", when, got, want)
		}
		if err := v.d.checkUnsent(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	h, err := v.openFile("log", unix.O_RDWR|unix.O_CREAT)
	must(t, err)
	must(t, h.write("12345"))
	used("with a file that is open", 5)
	must(t, v.write("letter", "1234567890"))
	used("with another one", 15)
	must(t, v.rename("letter", "log", 0))
	used("with one that was replaced", 10)
	h.close()
	must(t, v.write(ignoreFile, "*.o\n"))
	must(t, v.write("x.o", "stays here"))
	used("with one that stays here", 14)
	must(t, v.write("x.o", "stays here as well"))
	used("with more of it", 14)
	must(t, v.rename("x.o", "x", 0))
	used("when it stays no more", 14+int64(len("stays here as well")))
	must(t, v.unlink("x"))
	used("without it", 14)
}

// BenchmarkFsyncAmongUnsent is an fsync after a change of a name, while many files wait to be sent.
func BenchmarkFsyncAmongUnsent(b *testing.B) {
	for _, unsent := range []int{0, 50_000} {
		b.Run(fmt.Sprint(unsent), func(b *testing.B) {
			s := newShelf()
			d, err := Open(Config{Dir: scratch(b), Remote: s, DeviceName: "test", Log: slog.New(slog.DiscardHandler)})
			must(b, err)
			defer d.Close() // it was not started: nothing is sent
			make := func(name string) uint64 {
				a, _, err := d.Create(rootFID, name, 0o600, unix.O_RDWR|unix.O_CREAT, Cred{}, nil)
				must(b, err)
				return a.FID
			}
			for i := range unsent {
				d.Release(make(fmt.Sprint("file ", i)), unix.O_RDWR)
			}
			for range 3 {
				d.Release(make(fmt.Sprint("last", b.N, unsent)), unix.O_RDWR)
				must(b, d.st.settle())
			}
			fid := make("database")
			for b.Loop() {
				mode := uint32(0o600)
				_, err := d.Setattr(fid, Change{Mode: &mode}, nil)
				must(b, err)
				must(b, d.Fsync(fid, false, nil))
			}
			d.Release(fid, unix.O_RDWR)
		})
	}
}
