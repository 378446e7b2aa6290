package cache

import (
	"fmt"
	"testing"

	"satchel/api"
)

// What was replaced here by one of its names goes with the other one too when the server, which knows it no more, says so.
func TestReplacedFileIsGoneElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("a", "0"))
		must(t, x.link("a", "b"))
		must(t, y.write("new", "1"))
		mustQuiet(t, x, y)
		if _, err := y.stat("a"); err != nil { // by which y knows it last
			t.Fatal(err)
		}
		y.deafen(true)
		must(t, x.unlink("a"))
		must(t, x.unlink("b"))
		must(t, x.write("a", "x's"))
		must(t, x.sync())
		must(t, y.rename("new", "a", 0))
		must(t, y.sync())
		must(t, y.check())
		if _, err := y.stat("b"); api.KindOf(err) != api.NotFound {
			t.Errorf("the other name: %v", err)
		}
		y.deafen(false)
		hasOnce(t, mustQuiet(t, x, y), "1", "x's")
	})
}

// The names of many files that are gone are looked for once, and not at all where the server says which they were.
func TestNamesAreLookedForOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		const files = 50
		must(t, x.mkdir("d"))
		must(t, x.mkdir("e"))
		mustQuiet(t, x, y)
		fill := func() (ids []api.ID) {
			for i := range files {
				must(t, x.write(fmt.Sprint("d/", i), "text"))
				must(t, x.link(fmt.Sprint("d/", i), fmt.Sprint("e/", i)))
			}
			for path, f := range mustQuiet(t, x, y) {
				if path != "d" && path != "e" {
					ids = append(ids, f.id)
				}
			}
			y.d.seen = 0
			return ids
		}
		fill()
		for i := range files {
			must(t, x.unlink(fmt.Sprint("d/", i)))
			must(t, x.unlink(fmt.Sprint("e/", i)))
		}
		if truth := mustQuiet(t, x, y); len(truth) != 2 {
			t.Errorf("the server has\n%v", truth)
		}
		if y.d.seen > 0 {
			t.Errorf("%d entries were looked at for names that the server had told", y.d.seen)
		}

		ids := fill()
		y.wire.cut()
		y.d.mu.Lock()
		tx := y.d.begin()
		must(t, y.d.applyState(tx, &api.State{Gone: ids}))
		must(t, tx.commit())
		y.d.mu.Unlock()
		if there, err := y.view(); err != nil || len(there) != 2 {
			t.Errorf("of what is gone there are\n%v %v", there, err)
		}
		if most := int64(2*files + 2); y.d.seen > 2*most { // some are in memory and in the store
			t.Errorf("%d entries were looked at; there are %d", y.d.seen, most)
		}
	})
}

// What is saved here over a file that has moved on the server meanwhile takes no link from it.
func TestSavedOverWhatHasMoved(t *testing.T) {
	for _, names := range []int{1, 2} { // that y knows
		inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
			must(t, x.mkdir("d"))
			must(t, x.write("a", "0"))
			if names == 2 {
				must(t, x.link("a", "d/b"))
			}
			mustQuiet(t, x, y)
			if _, err := y.stat("a"); err != nil { // by which y knows it last
				t.Fatal(err)
			}
			y.wire.stopUploads(true)
			must(t, y.write("a~", "y's"))
			must(t, y.rename("a~", "a", 0))
			if names == 2 {
				must(t, x.unlink("a"))
			} else {
				must(t, x.rename("a", "d/b", 0))
			}
			must(t, x.link("d/b", "d/c"))
			must(t, x.sync())
			eventually(t, "y hears", func() bool { _, err := y.stat("d/c"); return err == nil })
			y.wire.stopUploads(false)
			truth := mustQuiet(t, x, y)
			if hasOnce(t, truth, "y's"); truth["d/b"].nlink != 2 || truth["d/c"].id != truth["d/b"].id {
				t.Errorf("the server has\n%v", truth)
			}
		})
	}
}

// What perished here because the server refused it, and comes back in the state of the same answer, keeps the names that this gives it.
func TestWhatComesBackKeepsItsName(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("a", "text"))
		must(t, x.link("a", "b"))
		file := mustQuiet(t, x, y)["a"]
		d := y.d
		y.wire.cut()
		d.mu.Lock()
		tx := d.begin()
		n, err := d.load(file.id)
		must(t, err)
		an := api.Node{ID: n.id, Type: api.File, Mode: n.mode, UID: n.uid, GID: n.gid, Nlink: 1, Size: n.size, Version: n.version, SHA256: n.sha, Mtime: n.mtime}
		d.perish(tx, n)
		if len(tx.perished) == 0 {
			t.Error("no name is left to be looked for: the test shows nothing")
		}
		must(t, d.applyState(tx, &api.State{Nodes: []api.Node{an}, Entries: []api.EntryState{{Parent: d.root.id, Name: "new", Node: n.id}}}))
		must(t, tx.commit())
		d.mu.Unlock()
		if _, err := y.stat("new"); err != nil {
			t.Errorf("its new name: %v", err)
		}
	})
}
