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

// save writes a file as editors do, and fails unless that is durable without Pebble's log.
func (v *device) save(t testing.TB, name, text string) {
	t.Helper()
	h, err := v.openFile(name+"~", unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC)
	must(t, err)
	must(t, h.write(text))
	synced := v.d.st.synced.Load()
	must(t, h.fsync())
	if v.d.st.unsynced() {
		t.Errorf("%s: fsync returned, and not all is durable", name)
	}
	if now := v.d.st.synced.Load(); now != synced {
		t.Logf("%s: the log was synced", name)
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

// What fsync(2) has returned for is there after power loss, and all before it, though no log was synced.
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
		if v.d.st.synced.Load() == synced && v.d.st.riders.to.Load() <= synced {
			t.Error("nothing was made durable")
		}
		if round < 3 && v.d.st.synced.Load() != synced {
			t.Error("the log was synced")
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

// A rider is no part of the file's size on the disk, and goes when it is of no more use.
func TestRiderAlights(t *testing.T) {
	dir, err := os.MkdirTemp("/var/tmp", "satchel-test-") // a disk, where attributes take blocks
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	v := alone(t)
	v.end()
	v.home = dir
	v.wire.mend()
	v.start()
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
	must(t, v.mkdir("so that there is something to sync"))
	must(t, v.d.st.settle())
	soon(t, func() bool { return riderOf(file) == nil })
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
	v := alone(t)
	dir, err := os.MkdirTemp("/var/tmp", "satchel-test-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	v.end()
	v.home = dir
	v.wire.mend()
	v.start()
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
