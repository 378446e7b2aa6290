package cache

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"satchel/api"
)

// tree makes so many directories, with one below each, and a file in each of them.
func (v *device) tree(t testing.TB, dirs int) {
	t.Helper()
	for i := range dirs {
		top := fmt.Sprintf("d%03d", i)
		must(t, v.mkdir(top))
		must(t, v.write(top+"/f", "f"))
		must(t, v.mkdir(top+"/sub"))
		must(t, v.write(top+"/sub/g", "g"))
	}
	must(t, v.sync())
}

// find lists a directory and all below it, as find(1) does, and returns how many directories there are.
func (v *device) find(t testing.TB, dir uint64) (dirs int) {
	t.Helper()
	dirs = 1
	var below []string
	must(t, v.d.ReadDir(dir, 0, nil, func(e Dirent) bool {
		if e.Mode == typeBits('d') && e.Name != "." && e.Name != ".." {
			below = append(below, e.Name)
		}
		return true
	}, nil))
	for _, name := range below {
		a, err := v.d.Lookup(dir, name, nil)
		must(t, err)
		dirs += v.find(t, a.FID)
	}
	return dirs
}

func (w *wire) requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asks
}

// heardOf waits until a device has heard of a name in the root.
func (v *device) heardOf(t testing.TB, name string) {
	t.Helper()
	eventually(t, v.name+" hears of "+name, func() bool { _, err := v.stat(name); return err == nil })
}

// far puts a device's server so far away that what others do meanwhile is done first.
func (v *device) far() {
	v.wire.net.mu.Lock()
	defer v.wire.net.mu.Unlock()
	v.wire.net.delay = 50 * time.Millisecond
}

// A tree that a device has never seen is a few requests to a real server.
func TestTreeIsAFewRequests(t *testing.T) {
	a, b, _, _ := pair(t)
	const dirs = 100
	a.tree(t, dirs)
	b.heardOf(t, fmt.Sprintf("d%03d", dirs-1))
	before := b.wire.requests()
	if n := b.find(t, rootFID); n != 1+2*dirs {
		t.Errorf("%d directories of %d", n, 1+2*dirs)
	}
	if n := b.wire.requests() - before; n > dirs/2 {
		t.Errorf("%d requests for %d directories", n, 2*dirs)
	}
	if truth := mustQuiet(t, a, b); len(truth) != 4*dirs {
		t.Errorf("the server has %d names", len(truth))
	}
}

// Of directories for which there is not room enough in an answer the rest comes too.
func TestListingsThatAreCut(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		x.tree(t, 30)
		for i := range 10 {
			must(t, x.write(fmt.Sprintf("d007/sub/%d", i), "x"))
		}
		for _, room := range []int{1, 3, 100} {
			z := s.device(fmt.Sprint("z", room), y.rng)
			z.wire.net.mu.Lock()
			z.wire.net.room = room
			z.wire.net.mu.Unlock()
			if n := z.find(t, rootFID); n != 61 {
				t.Errorf("with room for %d: %d directories", room, n)
			}
			mustQuiet(t, x, z)
		}
	})
}

// A directory that is gone meanwhile is one that is not there, and the others are listed.
func TestListedTogetherAndGone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		x.tree(t, 10)
		y.heardOf(t, "d009")
		y.deafen(true)
		y.far()
		for _, name := range []string{"d004/sub/g", "d004/f"} {
			must(t, x.unlink(name))
		}
		must(t, x.rmdir("d004/sub"))
		must(t, x.rmdir("d004"))
		must(t, x.sync())
		var names []string
		must(t, y.d.ReadDir(rootFID, 0, nil, func(e Dirent) bool {
			names = append(names, e.Name)
			return true
		}, nil))
		for _, name := range names[2:] {
			a, err := y.d.Lookup(rootFID, name, nil)
			must(t, err)
			err = y.d.ReadDir(a.FID, 0, nil, func(Dirent) bool { return true }, nil)
			if want := map[bool]api.Kind{name == "d004": api.NotFound}[true]; api.KindOf(err) != want {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := y.wire.requests(); n > 12 {
			t.Errorf("%d requests", n)
		}
		y.deafen(false)
		if truth := mustQuiet(t, x, y); len(truth) != 36 {
			t.Errorf("the server has\n%v", truth)
		}
	})
}

// A program waits for a directory that was asked for with others only a moment: then it is asked for alone, and so are others that it needs.
func TestLongAnswerHoldsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		x.tree(t, 10)
		y.heardOf(t, "d009")
		goOn := make(chan struct{})
		y.wire.faults(func(w *wire) { w.together = func([]api.ID) error { <-goOn; return nil } })
		start := time.Now()
		var dirs []uint64
		must(t, y.d.ReadDir(rootFID, 0, nil, func(Dirent) bool { return true }, nil))
		for i := range 10 {
			a, err := y.d.Lookup(rootFID, fmt.Sprintf("d%03d", i), nil)
			must(t, err)
			dirs = append(dirs, a.FID)
		}
		var programs sync.WaitGroup
		must(t, y.d.ReadDir(dirs[0], 0, nil, func(Dirent) bool { return true }, nil)) // the others are asked for
		synctest.Wait()
		for _, dir := range dirs[5:] {
			for range 2 {
				programs.Go(func() {
					if _, err := y.d.Lookup(dir, "f", nil); err != nil {
						t.Error(err)
					}
				})
			}
		}
		programs.Wait()
		if took := time.Since(start); took != company {
			t.Errorf("it took %v", took)
		}
		// Who gives up leaves nothing behind.
		intr := make(chan struct{})
		close(intr)
		if _, err := y.d.Lookup(dirs[1], "f", intr); api.KindOf(err) != api.Cancelled {
			t.Errorf("interrupted: %v", err)
		}
		must(t, x.write("d007/new", "new"))
		must(t, x.sync())
		y.wire.faults(func(w *wire) { w.together = nil })
		close(goOn)
		time.Sleep(time.Second)
		y.d.mu.Lock()
		if y.d.walk.workers > 0 || len(y.d.listing) > 0 || y.d.walk.unused > 2*len(dirs) {
			t.Errorf("in the end %d requests are under way for %d directories, and %d are not asked for", y.d.walk.workers, len(y.d.listing), y.d.walk.unused)
		}
		y.d.mu.Unlock()
		if truth := mustQuiet(t, x, y); truth["d007/new"].content != "new" {
			t.Errorf("the server has\n%v", truth)
		}
	})
}

// Where the server answers what this device sent before it answers for many directories, it is asked for fewer.
func TestFewerTogetherWhileSending(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		x.tree(t, 40)
		y.heardOf(t, "d039")
		y.far()
		var mu sync.Mutex
		var sizes []int
		y.wire.faults(func(w *wire) {
			w.together = func(dirs []api.ID) error {
				mu.Lock()
				sizes = append(sizes, len(dirs))
				first := len(sizes) <= 3
				mu.Unlock()
				if first {
					if err := y.write(fmt.Sprint("mine", len(dirs)), "mine"); err != nil {
						return err
					}
					return y.sync()
				}
				return nil
			}
		})
		if n := y.find(t, rootFID); n != 81 {
			t.Errorf("%d directories", n)
		}
		mu.Lock()
		most := slices.Max(sizes)
		if i := slices.Index(sizes, most); i+1 == len(sizes) || sizes[i+1] > most/2 {
			t.Errorf("it asked for so many together: %v", sizes)
		}
		mu.Unlock()
		mustQuiet(t, x, y)
	})
}

// Listing all again after a gap in the feed goes on where an error was, however often there is one, and misses nothing that changes meanwhile.
func TestListingAgainGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		const dirs = 150
		x.tree(t, dirs)
		y.heardOf(t, fmt.Sprintf("d%03d", dirs-1))
		y.find(t, rootFID)
		y.d.mu.Lock()
		known, err := y.d.listedDirs()
		y.d.mu.Unlock()
		must(t, err)
		if len(known) != 1+2*dirs {
			t.Fatalf("%d directories are known", len(known))
		}
		last := known[len(known)-1]
		truth := mustQuiet(t, x, y)
		path := map[api.ID]string{} // of the directories
		for p, n := range truth {
			if n.typ == "d" {
				path[n.id] = p
			}
		}

		y.wire.cut()
		some := []api.ID{known[1], known[len(known)-2], last}
		at := func(id api.ID, name string) string { return strings.TrimPrefix(path[id]+"/"+name, "/") }
		change := func(name string) {
			for _, id := range some {
				must(t, x.write(at(id, name), name))
			}
			must(t, x.sync())
		}
		change("in the gap")
		s.server.Forget()
		var mu sync.Mutex
		failed, answered := 0, map[api.ID]int{}
		y.wire.faults(func(w *wire) {
			w.together = func(dirs []api.ID) error {
				mu.Lock()
				defer mu.Unlock()
				if slices.Contains(dirs, last) && failed < 5 {
					failed++
					return errCut
				}
				for _, id := range dirs {
					answered[id]++
				}
				return nil
			}
		})
		y.wire.mend()
		failures := func() int { mu.Lock(); defer mu.Unlock(); return failed }
		eventually(t, "it failed once", func() bool { return failures() > 0 })
		change("after the error")
		must(t, y.write("mine", "mine")) // is sent between two attempts
		eventually(t, "it failed five times", func() bool { return failures() == 5 })
		got := mustQuiet(t, x, y)
		mu.Lock()
		defer mu.Unlock()
		for _, id := range known {
			if answered[id] != 1 && id != y.d.root.id { // the root is once more, for what was made in it meanwhile
				t.Errorf("%s was listed %d times", path[id], answered[id])
			}
		}
		for _, id := range some {
			for _, name := range []string{"in the gap", "after the error"} {
				if got[at(id, name)].content != name {
					t.Errorf("%s has no %q", path[id], name)
				}
			}
		}
	})
}

// Who reads a directory for the first time waits for as long as it comes, and who looks up a name in it for patience: it goes on for the next one.
func TestWideDirectoryComesSlowly(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		const files = 500
		for _, dir := range []string{"read", "looked", "stuck"} {
			must(t, x.mkdir(dir))
			for i := range files {
				must(t, x.write(fmt.Sprintf("%s/a file with a long name %03d", dir, i), ""))
			}
		}
		must(t, x.sync())
		dirs := map[string]uint64{}
		for _, dir := range []string{"read", "looked", "stuck"} {
			y.heardOf(t, dir)
			a, err := y.stat(dir)
			must(t, err)
			dirs[dir] = a.FID
		}
		time.Sleep(strolling) // no listing ahead
		y.wire.net.mu.Lock()
		y.wire.net.room = 200
		y.wire.net.mu.Unlock()
		y.narrowest()

		start, names := time.Now(), 0
		must(t, y.d.ReadDir(dirs["read"], 0, nil, func(Dirent) bool { names++; return true }, nil))
		if took := time.Since(start); names != files+2 || took < 2*patience {
			t.Errorf("%d names in %v", names, took)
		}

		start = time.Now()
		_, err := y.d.Lookup(dirs["looked"], "a file with a long name 499", nil)
		if took := time.Since(start); api.KindOf(err) != api.Unavailable || took != patience {
			t.Errorf("a look-up: %v after %v", err, took)
		}
		eventually(t, "the listing goes on", func() bool {
			_, err := y.d.Lookup(dirs["looked"], "a file with a long name 499", nil)
			return err == nil
		})

		start = time.Now()
		stopped := time.AfterFunc(2*patience, func() { y.narrow(crumb, time.Hour) })
		defer stopped.Stop()
		err = y.d.ReadDir(dirs["stuck"], 0, nil, func(Dirent) bool { return true }, nil)
		if took := time.Since(start); api.KindOf(err) != api.Unavailable || took < 2*patience || took > 5*patience {
			t.Errorf("a listing that stops: %v after %v", err, took)
		}
		y.widen()
		y.wire.cut() // what was on its way is lost
		mustQuiet(t, x, y)
	})
}

// Nor does it hold who pins a folder, of which no program knows anything yet: what comes then is what is here after the next start too.
func TestLongAnswerHoldsNoPin(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("top"))
		for i := range 6 {
			must(t, x.mkdir(fmt.Sprintf("top/%d", i)))
			must(t, x.write(fmt.Sprintf("top/%d/f", i), fmt.Sprint("content ", i)))
		}
		must(t, x.sync())
		eventually(t, "y hears", func() bool { return slices.Contains(y.known(true), "top") })
		goOn := make(chan struct{})
		y.wire.faults(func(w *wire) { w.together = func([]api.ID) error { <-goOn; return nil } })
		must(t, y.d.Pin(t.Context(), "top"))
		time.Sleep(3 * company)
		y.wire.faults(func(w *wire) { w.together = nil })
		close(goOn)
		time.Sleep(time.Minute)
		y.wire.cut()
		y.restart()
		y.wire.cut()
		for i := range 6 {
			path := fmt.Sprintf("top/%d/f", i)
			if text, err := y.read(path); err != nil || text != fmt.Sprint("content ", i) {
				t.Errorf("%s is %q, %v", path, text, err)
			}
		}
		y.wire.mend()
		mustQuiet(t, x, y)
	})
}
