package cache

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// save writes a file as editors do, and fails unless all is durable when fsync has returned.
func (v *device) save(t testing.TB, name, text string) {
	t.Helper()
	h, err := v.openFile(name+"~", unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC)
	must(t, err)
	must(t, h.write(text))
	before := v.d.st.commits.Load()
	must(t, h.fsync())
	if v.d.st.durable() < before {
		t.Errorf("%s: fsync returned, and not all is durable", name)
	}
	h.close()
	must(t, v.rename(name+"~", name, 0))
}

// unkindly has a device whose machine loses all that was not synced when it loses power.
func unkindly(t *testing.T) *device {
	v := alone(t)
	v.unkind = true
	mustQuiet(t, v)
	v.wire.cut()
	return v
}

// What fsync(2) has returned for is there after power loss, and all before it, without the log.
func TestFsyncRides(t *testing.T) {
	for round := range 8 {
		v := unkindly(t)
		must(t, v.d.st.settle())
		synced := v.d.st.synced.Load()
		must(t, v.mkdir("dir"))
		for i := range 1 + round*3 {
			v.save(t, "dir/letter", fmt.Sprint("version ", i))
		}
		v.save(t, "dir/last", "so that the rename before it is durable")
		if v.d.st.riders.to.Load() <= synced {
			t.Error("nothing rode")
		}
		v.kill(round%2 == 0)
		v.start()
		if got, err := v.read("dir/letter"); err != nil || got != fmt.Sprint("version ", round*3) {
			t.Errorf("round %d: the letter has %q, %v\n%s", round, got, err, v.log)
		}
		v.wire.mend()
		mustQuiet(t, v)
	}
}

// A file that is fsynced a second time before the log was synced keeps the rider that is needed.
func TestFsyncTwice(t *testing.T) {
	v := unkindly(t)
	must(t, v.d.st.settle())
	h, err := v.openFile("letter", unix.O_RDWR|unix.O_CREAT)
	must(t, err)
	must(t, h.write("one"))
	must(t, h.fsync())
	must(t, v.mkdir("dir"))
	must(t, h.write("two"))
	must(t, h.fsync())
	v.kill(true)
	v.start()
	if got, err := v.read("letter"); err != nil || got != "two" {
		t.Errorf("the letter has %q, %v", got, err)
	}
	if _, err := v.stat("dir"); err != nil {
		t.Error(err)
	}
}

// A rider that can't be read keeps the cache from being opened: without it what fsync has returned for would be gone for good.
func TestUnreadableRider(t *testing.T) {
	v := unkindly(t)
	must(t, v.d.st.settle())
	v.save(t, "letter", "precious")
	file, _ := v.slotOf(t, "letter")
	path := strings.TrimPrefix(file, v.dir())
	v.kill(true)
	file = v.dir() + path
	must(t, os.Rename(file, v.dir()+"/kept"))
	must(t, os.Symlink(file, file)) // stands for a disk that can't read: an error, and not that there is no attribute
	if err := v.open(); err == nil {
		t.Fatal("the cache was opened without it")
	} else if !strings.Contains(err.Error(), "journalled last") {
		t.Errorf("the cache can't be opened for another reason: %v", err)
	}
	must(t, os.Remove(file))
	must(t, os.Rename(v.dir()+"/kept", file))
	v.start()
	if got, err := v.read("letter~"); err != nil || got != "precious" {
		t.Errorf("the letter has %q, %v", got, err)
	}
	v.wire.mend()
	mustQuiet(t, v)
}

// What is clean and was fsynced is not thrown away by a loss of power.
func TestRiderOnCleanContent(t *testing.T) {
	v := alone(t)
	v.unkind = true
	must(t, v.write("letter", "as ever"))
	mustQuiet(t, v)
	for range 4 {
		h, err := v.openFile("letter", unix.O_RDWR) // the same bytes again: nothing is sent
		must(t, err)
		must(t, h.write("as ever"))
		must(t, v.mkdir(fmt.Sprint("news", time.Now().UnixNano())))
		must(t, h.fsync())
		h.close()
		mustQuiet(t, v)
		must(t, v.d.st.settle())
		v.kill(true)
		v.wire.cut()
		v.start()
		if got, err := v.read("letter"); err != nil || got != "as ever" {
			t.Errorf("without the server the letter has %q, %v", got, err)
		}
		v.wire.mend()
		mustQuiet(t, v)
	}
}

// A rider of an earlier opening of the replica is not taken for one of this: numbers of commits that were lost come again.
func TestRiderOfAnotherSession(t *testing.T) {
	v := unkindly(t)
	must(t, v.d.st.settle())
	v.save(t, "first", "rides")
	stale := map[string][]byte{}
	for path := range v.contentFiles() {
		if r := riderOf(path); r != nil {
			stale[strings.TrimPrefix(path, v.dir())] = r
		}
	}
	if len(stale) == 0 {
		t.Fatal("nothing rode")
	}
	v.kill(true)
	v.start()
	v.wire.mend()
	mustQuiet(t, v)
	must(t, v.unlink("first~")) // the rename was not promised
	mustQuiet(t, v)
	v.settled()
	v.kill(false)
	for path, r := range stale {
		must(t, os.MkdirAll(v.dir()+path[:strings.LastIndexByte(path, '/')], 0o700))
		f, err := os.OpenFile(v.dir()+path, os.O_CREATE|os.O_RDWR, 0o600)
		must(t, err)
		must(t, unix.Fsetxattr(int(f.Fd()), riderAttr, r, 0))
		must(t, f.Close())
	}
	v.start()
	for _, name := range []string{"first~", "first"} {
		if _, err := v.stat(name); api.KindOf(err) != api.NotFound {
			t.Errorf("%s, which was removed, is back: %v", name, err)
		}
	}
	mustQuiet(t, v)
}

// onDisk is a device whose cache is on a disk, where attributes take blocks.
func onDisk(t *testing.T) *device {
	dir, err := os.MkdirTemp("/var/tmp", "satchel-test-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	v := alone(t)
	v.end()
	v.home = dir
	v.wire.mend()
	v.start()
	return v
}

// A rider is no part of the file's size on the disk, and goes when the server has what it is on.
func TestRiderAlights(t *testing.T) {
	v := onDisk(t)
	v.save(t, "letter", strings.Repeat("x", 5000))
	file, _ := v.slotOf(t, "letter")
	if riderOf(file) == nil {
		t.Fatal("nothing rode")
	}
	a, err := v.stat("letter")
	must(t, err)
	if a.Blocks != 16 {
		t.Errorf("5000 bytes take %d blocks", a.Blocks)
	}
	soon(t, func() bool { return v.d.Status().Unproven == 0 && v.d.Status().PendingMutations == 0 })
	if riderOf(file) != nil {
		t.Error("it still has a rider")
	}
	if a, err := v.stat("letter"); err != nil || a.Blocks != 16 {
		t.Errorf("without its rider it takes %d blocks, %v", a.Blocks, err)
	}
	v.settled()
	v.kill(false) // what is marked clean is still clean
	v.start()
	if s := v.d.Status(); s.Unproven != 0 {
		t.Errorf("%d files are in doubt", s.Unproven)
	}
}

// Content whose path is so long that a rider leaves no room for it describes itself once the rider is of no more use.
func TestRiderMakesRoomForADescription(t *testing.T) {
	v := onDisk(t)
	mustQuiet(t, v)
	v.wire.cut()
	deep := ""
	for i := range 9 {
		deep += strings.Repeat(fmt.Sprint(i), 220)
		must(t, v.mkdir(deep))
		deep += "/"
	}
	must(t, v.d.st.settle())
	v.save(t, deep+"letter", "unsent")
	file, _ := v.slotOf(t, deep+"letter")
	soon(t, func() bool {
		must(t, v.d.st.settle())
		must(t, v.mkdir(fmt.Sprint("news", time.Now().UnixNano())))
		n, err := unix.Getxattr(file, describedAttr, nil)
		return err == nil && n > 1500
	})
}

// What attributes take up is no part of the file, however long they are, and also once one of them is gone.
func TestAttributesAreNotTheFiles(t *testing.T) {
	v := onDisk(t)
	must(t, v.write(ignoreFile, "*.o\n"))
	mustQuiet(t, v)
	v.wire.cut()
	v.save(t, "letter", strings.Repeat("x", 5000))
	h, err := v.openFile("letter", unix.O_RDWR)
	must(t, err)
	defer h.close()
	blocks := func(when string) {
		t.Helper()
		if a, err := v.stat("letter"); err == nil && a.Blocks != 16 {
			t.Errorf("%s: 5000 bytes take %d blocks", when, int64(a.Blocks))
		}
	}
	blocks("with a rider")
	n := h.node()
	v.d.mu.Lock()
	c := n.c
	must(t, unix.Fsetxattr(c.fd, riderAttr, make([]byte, riderMost), 0))
	must(t, unix.Fsetxattr(c.fd, describedAttr, make([]byte, 1900), 0))
	c.riding, c.describing, c.described = riderMost, 1900, true
	v.d.heft(c)
	v.d.mu.Unlock()
	must(t, h.write("y"))
	blocks("with long attributes")
	must(t, v.rename("letter", "letter.o", 0)) // it stays here now, and describes itself no more
	must(t, h.write("z"))
	if a, err := v.stat("letter.o"); err != nil || a.Blocks != 16 {
		t.Errorf("staying: 5000 bytes take %d blocks, %v", int64(a.Blocks), err)
	}
}

func FuzzRider(f *testing.F) {
	session := api.NewID()
	s := &store{}
	s.riders.session = session
	s.riders.last = [][]byte{[]byte("one"), []byte("two")}
	s.commits.Store(7)
	s.synced.Store(5)
	whole, to := s.rider()
	if r, ok := readRider(whole, session); !ok || to != 7 || r.first != 6 || len(r.batches) != 2 || string(r.batches[1]) != "two" {
		f.Fatalf("%+v, %v, up to %d", r, ok, to)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, v []byte) {
		r, ok := readRider(v, session)
		n := 0
		for _, b := range r.batches {
			n += len(b)
		}
		if ok && n > len(v) {
			t.Errorf("%d bytes of batches from %d", n, len(v))
		}
	})
}
