package cache

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// inBubble runs a test with a simulated server and two devices of it.
func inBubble(t *testing.T, fn func(t *testing.T, s *simulated, x, y *device)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSimulated(t)
		rng := rand.New(rand.NewPCG(1, 1))
		x, y := s.device("x", rng), s.device("y", rng)
		mustQuiet(t, x, y)
		fn(t, s, x, y)
		if t.Failed() {
			t.Logf("--- x\n%s--- y\n%s", x.log, y.log)
		}
	})
}

// quiet is mustQuiet once the devices have heard that the server was restored.
func (s *simulated) quiet(t *testing.T, devices ...*device) view {
	t.Helper()
	for _, v := range devices {
		v.wire.mend()
		eventually(t, "a device hears of the restore", func() bool { return !s.behind(v) })
	}
	return mustQuiet(t, devices...)
}

// deafen lets a device hear nothing of others, while it can list and send; the poll under way ends.
func (v *device) deafen(on bool) {
	v.wire.faults(func(w *wire) { w.deaf = on })
	v.wire.cut()
	v.wire.mend()
}

// hasOnce fails unless exactly one file has a content.
func hasOnce(t *testing.T, truth view, contents ...string) {
	t.Helper()
	for _, c := range contents {
		if len(truth.find(c)) != 1 {
			t.Errorf("%q is at %q; the server has\n%v", c, truth.find(c), truth)
		}
	}
}

// A directory that is listed again, for what was put off in it, while the device has not heard yet that the server
// was restored, is not taken for what is true.
func TestListedAgainAfterARestore(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		restore := s.server.Backup()
		must(t, x.write("f", "after the backup"))
		mustQuiet(t, x)
		y.wire.cut()
		x.deafen(true)
		restore()
		x.d.mu.Lock()
		tx := x.d.begin()
		x.d.doubt(tx, x.d.root.id)
		x.d.mu.Unlock()
		must(t, tx.commit())
		x.d.wakeSyncer()
		time.Sleep(10 * time.Second)
		if text, err := x.read("f"); err != nil || text != "after the backup" {
			t.Errorf("the file became %q, %v", text, err)
		}
		x.deafen(false)
		hasOnce(t, s.quiet(t, x, y), "after the backup")
	})
}

// Nor is a directory that is listed for the first time then: what comes up in it would leave the place where it is here.
func TestListedFirstAfterARestore(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, y.mkdir("d"))
		must(t, y.write("d/f", "as in the backup"))
		must(t, y.sync())
		restore := s.server.Backup()
		must(t, y.rename("d/f", "f", 0))
		must(t, y.sync())
		eventually(t, "x hears", func() bool { _, err := x.stat("f"); return err == nil })
		must(t, x.write("f", "after the backup"))
		must(t, x.sync())
		y.wire.cut()
		x.deafen(true)
		restore()
		if _, err := x.stat("d/f"); api.KindOf(err) != api.Unavailable {
			t.Errorf("a listing of the restored server: %v", err)
		}
		x.deafen(false)
		hasOnce(t, s.quiet(t, x, y), "after the backup")
	})
}

// Content that the server lost is sent again also where the file is open, or not proven to be final, so that a write of it is pending.
func TestOpenFileOfARestoredServer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("f", "as in the backup"))
		must(t, x.sync())
		restore := s.server.Backup()
		h, err := x.openFile("f", unix.O_RDWR|unix.O_TRUNC)
		must(t, err)
		must(t, h.write("after the backup"))
		must(t, x.sync())
		y.wire.cut()
		restore()
		time.Sleep(time.Minute)
		h.close()
		hasOnce(t, s.quiet(t, x, y), "after the backup")
	})
}

// A file that the server has lost, and of which only names are here, loses all of them.
func TestAllNamesOfWhatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		restore := s.server.Backup()
		must(t, x.write("a", "0"))
		must(t, x.sync())
		eventually(t, "y hears", func() bool { _, err := y.stat("a"); return err == nil })
		x.end()
		y.wire.cut()
		must(t, y.link("a", "b"))
		restore()
		y.deafen(true)
		must(t, y.sync())
		must(t, y.check())
		for _, name := range []string{"a", "b"} {
			if _, err := y.stat(name); api.KindOf(err) != api.NotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		y.deafen(false)
		if truth := s.quiet(t, y); len(truth) > 0 {
			t.Errorf("the server has\n%v", truth)
		}
	})
}

// So it is where a directory with one of its names is gone by the same page, and nothing has listed the others since the mount.
func TestAllNamesOfWhatIsGoneWithADirectory(t *testing.T) {
	x, y, _, _ := pair(t)
	must(t, x.mkdir("gone"))
	must(t, x.write("gone/name", "0"))
	for i := range 8 { // the order of the directories in the store is that of their ids
		must(t, x.mkdir(fmt.Sprint(i)))
		must(t, x.link("gone/name", fmt.Sprint(i, "/name")))
	}
	truth := mustQuiet(t, x, y)
	y.restart()
	y.wire.cut()
	y.d.mu.Lock()
	defer y.d.mu.Unlock()
	p, err := y.d.load(truth["gone"].id)
	must(t, err)
	n, err := y.d.load(truth["gone/name"].id)
	must(t, err)
	tx := y.d.begin()
	y.d.perish(tx, p)
	y.d.perish(tx, n)
	must(t, tx.commit())
	if at, ok := y.d.named(n, place{}); ok {
		t.Errorf("%q leads to what is gone", at.name)
	}
}

// Where the server says that a file has fewer names, and not which are gone, the file lives as long as one is here.
func TestFewerNamesInAGap(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, y.write("a", "0"))
		mustQuiet(t, x, y)
		y.wire.cut()
		must(t, y.link("a", "b"))
		must(t, x.write("b", "x's"))
		must(t, x.rename("a", "c", 0))
		must(t, x.sync())
		must(t, x.unlink("c"))
		must(t, x.sync())
		y.deafen(true)
		must(t, y.sync())
		mine, err := y.view()
		must(t, err)
		for path := range mine {
			if path != "a" && path != "b" {
				must(t, y.unlink(path)) // the link, by the name that it got
			}
		}
		must(t, y.check())
		y.deafen(false)
		hasOnce(t, s.quiet(t, x, y), "x's")
	})
}

// The same, where what was written here became a conflict copy.
func TestFewerNamesAfterAConflict(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("a", "0"))
		must(t, x.link("a", "b"))
		must(t, x.write("new", "1"))
		mustQuiet(t, x, y)
		y.wire.cut()
		must(t, x.write("b", "x's"))
		must(t, x.unlink("a"))
		must(t, x.sync())
		must(t, y.write("b", "y's"))
		y.deafen(true)
		must(t, y.sync())
		must(t, y.rename("new", "a", 0))
		must(t, y.check())
		y.deafen(false)
		hasOnce(t, s.quiet(t, x, y), "x's", "y's")
	})
}

// A directory that is gone, and that what is pending in it brings back, comes back without what was in it, also where the feed has
// a gap, and so does not tell what that was.
func TestDirectoryComesBackInAGap(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("d"))
		must(t, x.mkdir("d/sub"))
		must(t, x.write("d/old", "0"))
		must(t, x.write("d/sub/old", "1"))
		mustQuiet(t, x, y)
		y.wire.cut()
		must(t, y.write("d/sub/new", "y's"))
		for _, name := range []string{"d/old", "d/sub/old"} {
			must(t, x.unlink(name))
		}
		must(t, x.rmdir("d/sub"))
		must(t, x.rmdir("d"))
		must(t, x.sync())
		s.server.Forget()
		y.wire.faults(func(w *wire) { w.held = true }) // what is new waits for its content
		y.wire.mend()
		eventually(t, "y has listed all again", func() bool {
			y.wire.mu.Lock()
			defer y.wire.mu.Unlock()
			return y.wire.resyncs > 0 && y.d.connected.Load()
		})
		y.wire.faults(func(w *wire) { w.held = false })
		truth := s.quiet(t, x, y)
		hasOnce(t, truth, "y's")
		for _, old := range []string{"0", "1"} {
			if at := truth.find(old); len(at) > 0 {
				t.Errorf("%q is still at %q", old, at)
			}
		}
	})
}

// A directory that was never listed here, and that the server has lost, is given back empty.
func TestUnlistedDirectoryOfARestoredServer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		restore := s.server.Backup()
		must(t, x.mkdir("d"))
		must(t, x.mkdir("d/sub"))
		must(t, x.sync())
		eventually(t, "y hears", func() bool { d, err := y.stat("d"); return err == nil && d.Nlink == 3 })
		x.end()
		restore()
		if truth := s.quiet(t, y); len(truth) != 1 || truth["d"].nlink != 2 {
			t.Errorf("the server has\n%v", truth)
		}
	})
}

// Two devices give a restored server the same file, and one has written into it since: both contents are kept, and side by side.
func TestTwoGiveBackTheSame(t *testing.T) {
	for _, moved := range []bool{false, true} {
		inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
			restore := s.server.Backup()
			must(t, x.write("f", "after the backup"))
			mustQuiet(t, x, y)
			x.wire.cut()
			y.wire.cut()
			restore()
			y.wire.stopUploads(true)
			y.wire.mend()
			eventually(t, "y is about to give it back", func() bool { return !s.behind(y) && y.d.Status().PendingMutations == 1 })
			must(t, y.write("f", "y's edit"))
			s.quiet(t, x)
			if moved {
				must(t, x.rename("f", "g", 0))
				must(t, x.sync())
			}
			y.wire.stopUploads(false)
			hasOnce(t, s.quiet(t, x, y), "after the backup", "y's edit")
			if st := y.d.Status(); st.Refused > 0 || st.Conflicts != 1 {
				t.Errorf("moved %v: %d refused, %d conflicts", moved, st.Refused, st.Conflicts)
			}
		})
	}
}

// A directory that was removed on the restored server, and comes back for what was made in it, has no name that it had before.
func TestDirectoryComesBackWithoutOldNames(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("d"))
		must(t, x.write("f", "0"))
		mustQuiet(t, x, y)
		restore := s.server.Backup()
		x.wire.cut()
		must(t, y.rename("f", "d/f", 0))
		must(t, y.write("d/new", "after the backup"))
		must(t, y.sync())
		y.wire.cut()
		restore()
		x.wire.mend()
		must(t, x.rmdir("d"))
		must(t, x.sync())
		y.deafen(true)
		must(t, y.mkdir("mark")) // by whose answer y learns of the restore
		eventually(t, "what was made in the directory is back", func() bool {
			kept := s.server.Kept()
			return y.d.Status().PendingMutations == 0 && kept[hashOf("after the backup")]
		})
		y.deafen(false)
		s.quiet(t, x, y)
		y.restart()
		hasOnce(t, mustQuiet(t, x, y), "0", "after the backup")
	})
}

// A directory that was moved into one that was never listed here, and that a restored server has lost, has no name that it had before when
// another device gives it back.
func TestDirectoryOfNoPlaceComesBackWithoutOldNames(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		restore := s.server.Backup()
		must(t, x.mkdir("d"))
		must(t, x.mkdir("e"))
		must(t, x.sync())
		must(t, s.store("d/f", "on the server alone"))
		eventually(t, "y lists it", func() bool { _, err := y.stat("d/f"); return err == nil })
		must(t, x.rename("d", "e/d", 0))
		must(t, x.sync())
		eventually(t, "y hears that it was moved", func() bool { _, err := y.stat("d"); return api.KindOf(err) == api.NotFound })
		x.wire.cut()
		restore()
		eventually(t, "y knows what the server has now", func() bool { return !s.behind(y) })
		x.wire.mend()
		if truth := s.quiet(t, x, y); len(truth) != 2 || truth["e/d"].nlink != 2 {
			t.Errorf("the server has\n%v", truth)
		}
	})
}

// What another device wrote into a file that is open here comes when it is closed unchanged, also where the name through which the file was
// reached last has become another one's.
func TestOpenFileLosesItsLastName(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("d"))
		must(t, x.write("a", "0"))
		mustQuiet(t, x, y)
		must(t, x.link("a", "d/b"))
		mustQuiet(t, x, y)
		h, err := y.openFile("d/b", unix.O_RDWR)
		must(t, err)
		must(t, y.write("new", "y's"))
		must(t, y.rename("new", "d/b", 0))
		must(t, y.sync())
		must(t, x.write("a", "x's"))
		must(t, x.sync())
		eventually(t, "y hears", func() bool {
			y.d.mu.Lock()
			defer y.d.mu.Unlock()
			n := y.d.byFID[h.fid]
			return n.hot != nil && n.hot.other
		})
		h.close()
		hasOnce(t, mustQuiet(t, x, y), "x's", "y's")
	})
}

// forgetful is a server that knows of content which its blob store has lost.
type forgetful struct {
	Remote
	all bool // it knows no node either
}

func (f forgetful) Node(ctx context.Context, id api.ID) (api.Node, error) {
	if f.all {
		return api.Node{}, api.Errorf(api.NotFound, "there is no such thing")
	}
	return f.Remote.Node(ctx, id)
}

func (forgetful) Content(context.Context, api.ID, api.ID, int64, int64) (io.ReadCloser, error) {
	return nil, api.Errorf(api.Internal, "the content is lost")
}

// That a restored server has lost the content of a version which is not the current one there is no reason to send nothing more, nor
// to let that version take the current one's place. Of a file that it has lost altogether it is sent.
func TestLostContentHoldsNothingUp(t *testing.T) {
	v := alone(t)
	must(t, v.write("letter", "only here"))
	mustQuiet(t, v)
	a, err := v.stat("letter")
	must(t, err)
	v.d.mu.Lock()
	n, err := v.d.known(a.FID)
	v.d.mu.Unlock()
	must(t, err)
	v.wire.cut()
	v.wire.Remote = forgetful{v.wire.Remote, false}
	v.wire.mend()
	if lacks, err := v.d.lacks(t.Context(), &missing{id: n.id, base: api.NewID()}, 0); err != nil || lacks {
		t.Errorf("an older version without content is lacking: %v, %v", lacks, err)
	}
	v.wire.cut()
	v.wire.Remote = forgetful{v.wire.Remote, true}
	v.wire.mend()
	if lacks, err := v.d.lacks(t.Context(), &missing{id: n.id, whole: true}, 0); err != nil || !lacks {
		t.Errorf("a file that is gone is lacking: %v, %v", lacks, err)
	}
}

// What is written into a file whose content was never here, and that a restored server has lost, is sent also where it is the bytes that the file had.
func TestSameWrittenIntoWhatIsLost(t *testing.T) {
	for _, older := range []bool{false, true} { // the server has a version from before instead
		inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
			x.end()
			if older {
				must(t, s.store("f", "as in the backup"))
			}
			restore := s.server.Backup()
			must(t, s.store("f", "after the backup"))
			eventually(t, "y hears", func() bool { a, err := y.stat("f"); return err == nil && a.Size == int64(len("after the backup")) })
			y.wire.cut()
			restore()
			y.deafen(true)
			must(t, y.mkdir("mark")) // by whose answer y learns of the restore
			must(t, y.sync())
			must(t, y.write("f", "after the backup"))
			must(t, y.sync())
			y.deafen(false)
			hasOnce(t, s.quiet(t, y), "after the backup")
		})
	}
}
