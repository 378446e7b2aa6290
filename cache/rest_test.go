package cache

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/integration/live"
)

// However many files wait to be sent, few of them are open: with the server away, after a crash, and while
// they are sent. What was made of them meanwhile arrives.
func TestUnsentFilesRest(t *testing.T) {
	s := live.New(t)
	u := s.User()
	rng := rand.New(rand.NewPCG(1, 1))
	a, b := signedIn(t, u, s.URL, "laptop", rng), newDevice(t, u, s.URL, "desk", rng)
	a.idle = 16
	a.start()
	mustQuiet(t, a, b)
	a.wire.cut()
	want := map[string]string{}
	for i := range 400 {
		name := fmt.Sprintf("file %03d", i)
		want[name] = "content of " + name
		must(t, a.write(name, want[name]))
	}
	few := func(when string) {
		t.Helper()
		eventually(t, when+", few are open", func() bool {
			must(t, a.chmod("file 000", 0o600)) // content is made durable with the records of changes
			a.d.st.hurry()
			a.d.mu.Lock()
			defer a.d.mu.Unlock()
			open := 0
			for _, n := range a.d.byID {
				if n.c != nil {
					open++
				}
			}
			return open <= 3*a.idle && len(a.d.syn.hots) == 400
		})
	}
	few("offline")
	a.wantFiles(t, "offline", want)
	few("after all were read")

	// Setting times opens none.
	open := func() (n int) {
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		for _, x := range a.d.byID {
			if x.c != nil {
				n++
			}
		}
		return n
	}
	was, mtime := open(), int64(1_500_000_000_123_456_789)
	for name := range want {
		at, err := a.stat(name)
		must(t, err)
		_, err = a.d.Setattr(at.FID, Change{Atime: &mtime, Mtime: &mtime}, nil)
		must(t, err)
	}
	if is := open(); is > was {
		t.Errorf("setting times opened files: %d were open, %d are", was, is)
	}

	// One that rests is written again, through a handle and through a mapping that outlives it; others are moved, and removed.
	want["file 007"] = "written again"
	must(t, a.write("file 007", want["file 007"]))
	must(t, a.rename("file 008", "moved", 0))
	want["moved"] = want["file 008"]
	must(t, a.unlink("file 009"))
	must(t, a.write("file 009", "made again"))
	want["file 009"] = "made again"
	delete(want, "file 008")
	h, err := a.openFile("file 010", unix.O_RDWR)
	must(t, err)
	path, _ := a.slotOf(t, "file 010")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	mapped, err := unix.Mmap(int(f.Fd()), 0, len(want["file 010"]), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	f.Close()
	h.close()
	few("with a mapping")
	copy(mapped, "CONTENT")
	want["file 010"] = "CONTENT of file 010"
	must(t, unix.Munmap(mapped))

	// One that is written while it is hashed, and rests again before that is over, is hashed again.
	at, err := a.stat("file 011")
	must(t, err)
	a.d.mu.Lock()
	n := a.d.byFID[at.FID]
	a.d.mu.Unlock()
	j, err := a.d.beginJob(n)
	must(t, err)
	want["file 011"] = "written while it is hashed"
	must(t, a.write("file 011", want["file 011"]))
	few("with one that is hashed")
	up := a.d.newSender()
	defer up.cancel(nil)
	if changed, err := a.d.hash(j, up); err != nil || !changed {
		t.Errorf("changed while it was hashed: %v, %v", changed, err)
	}

	a.settled()
	a.kill(false)
	a.wire.cut()
	// With too few descriptors nothing is given up.
	enough := fewDescriptors(t, 4)
	err = a.open()
	enough()
	if err == nil {
		a.end()
		t.Fatal("the cache opened with four descriptors")
	}
	a.start()
	few("after a crash")
	a.wantFiles(t, "after a crash", want)
	a.wire.mend()
	if truth := mustQuiet(t, a, b); truth["file 100"].mtime != mtime {
		t.Errorf("the time that was set has become %d", truth["file 100"].mtime)
	}
	b.wantFiles(t, "on the other device", want)
}

// fewDescriptors leaves this process so many descriptors, until enough is called.
func fewDescriptors(t *testing.T, free int) (enough func()) {
	t.Helper()
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	numbers := 0 // the limit is one of descriptors' numbers, and other tests may have left gaps
	for ; free > 0; numbers++ {
		if _, err := unix.FcntlInt(uintptr(numbers), unix.F_GETFD, 0); err != nil {
			free--
		}
	}
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(numbers), Max: limit.Max}))
	return func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }
}
