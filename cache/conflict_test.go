package cache

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// Every way in which two devices can meet has a rule (docs/design.md), and
// each rule keeps the work of both and says so. Both devices start with the same folder,
// work while they can't hear of each other, and then laptop is heard first.
func TestConflicts(t *testing.T) {
	type work func(v *device) error
	all := func(steps ...work) work {
		return func(v *device) error {
			for _, s := range steps {
				if err := s(v); err != nil {
					return err
				}
			}
			return nil
		}
	}
	write := func(path, text string) work { return func(v *device) error { return v.write(path, text) } }
	unlink := func(path string) work { return func(v *device) error { return v.unlink(path) } }
	rmdir := func(path string) work { return func(v *device) error { return v.rmdir(path) } }
	mkdir := func(path string) work { return func(v *device) error { return v.mkdir(path) } }
	rename := func(from, to string) work { return func(v *device) error { return v.rename(from, to, 0) } }
	symlink := func(target, path string) work { return func(v *device) error { return v.symlink(target, path) } }

	for _, c := range []struct {
		name         string
		before       work
		laptop, desk work
		want         []string // "path: content", "path/" of directories; * stands for the conflict's label
		event        string   // that desk tells of; "" if none
	}{
		{"edit and edit", write("a.txt", "0"), write("a.txt", "laptop's"), write("a.txt", "desk's"),
			[]string{"a.txt: laptop's", "a *.txt: desk's"}, EventConflict},
		{"edit and edit of a file with two names", all(write("a", "0"), func(v *device) error { return v.link("a", "b") }),
			write("a", "laptop's"), write("b", "desk's"), []string{"a: laptop's", "b: laptop's", "b *: desk's"}, EventConflict},
		{"edit and delete", write("a", "0"), write("a", "edited"), unlink("a"), []string{"a: edited"}, EventKept},
		{"delete and edit", write("a", "0"), unlink("a"), write("a", "edited"), []string{"a: edited"}, EventReturned},
		{"delete of a tree and edit in it", all(mkdir("d"), mkdir("d/e"), write("d/e/a", "0")),
			all(unlink("d/e/a"), rmdir("d/e"), rmdir("d")), write("d/e/a", "edited"), []string{"d/", "d/e/", "d/e/a: edited"}, EventReturned},
		{"delete of a tree and a new file in it", mkdir("d"), rmdir("d"), write("d/new", "new"), []string{"d/", "d/new: new"}, ""},
		{"a new file in a tree and its delete", mkdir("d"), write("d/new", "new"), rmdir("d"), []string{"d/", "d/new: new"}, EventKept},
		{"delete and delete", write("a", "0"), unlink("a"), unlink("a"), nil, ""},
		{"rename and rename", write("a", "0"), rename("a", "laptop's"), rename("a", "desk's"), []string{"laptop's: 0"}, EventUndone},
		{"rename and rename to one name", all(write("a", "A"), write("b", "B")), rename("a", "c"), rename("b", "c"),
			[]string{"c: A", "c *: B"}, EventConflict},
		{"rename and edit", write("a", "0"), rename("a", "b"), write("a", "edited"), []string{"b: edited"}, ""},
		{"rename and delete", write("a", "0"), rename("a", "b"), unlink("a"), []string{"b: 0"}, EventKept},
		{"delete and rename", write("a", "0"), unlink("a"), rename("a", "b"), nil, EventUndone},
		{"moves into each other", all(mkdir("a"), mkdir("b"), write("a/1", "1"), write("b/2", "2")),
			rename("a", "b/a"), rename("b", "a/b"), []string{"b/", "b/2: 2", "b/a/", "b/a/1: 1"}, EventUndone},
		{"a move into a directory that is deleted", all(mkdir("d"), write("a", "0")), rmdir("d"), rename("a", "d/a"),
			[]string{"a: 0"}, EventUndone},
		{"one new name, two files", nil, write("new.txt", "laptop's"), write("new.txt", "desk's"),
			[]string{"new.txt: laptop's", "new *.txt: desk's"}, EventConflict},
		{"one new name, two directories", nil, all(mkdir("d"), write("d/1", "1"), write("d/both", "laptop's")),
			all(mkdir("d"), write("d/2", "2"), write("d/both", "desk's")),
			[]string{"d/", "d/1: 1", "d/2: 2", "d/both: laptop's", "d/both *: desk's"}, EventConflict},
		{"one new name, a directory and a file", nil, all(mkdir("x"), write("x/1", "1")), write("x", "desk's"),
			[]string{"x/", "x/1: 1", "x *: desk's"}, EventConflict},
		{"one new name, a file and a directory", nil, write("x", "laptop's"), all(mkdir("x"), write("x/1", "1")),
			[]string{"x: laptop's", "x */", "x */1: 1"}, EventConflict},
		{"one new name, a file and a symlink", nil, write("x", "laptop's"), symlink("there", "x"),
			[]string{"x: laptop's", "x *: → there"}, EventConflict},
		{"names that differ in case", nil, write("Readme", "laptop's"), write("README", "desk's"),
			[]string{"README: desk's", "Readme: laptop's"}, ""},
		{"names that differ in Unicode normalisation", nil, write("caf\u00e9", "composed"), write("cafe\u0301", "decomposed"),
			[]string{"caf\u00e9: composed", "cafe\u0301: decomposed"}, ""},
		{"a rename over what the other edited", all(write("a", "A"), write("b", "B")), write("a", "edited"), rename("b", "a"),
			[]string{"a: B", "a *: edited"}, EventRescued},
		{"a save by rename and an edit", write("a", "0"), all(write("a~", "saved"), rename("a~", "a")), write("a", "edited"),
			[]string{"a: saved", "a *: edited"}, EventConflict},
		{"an edit and a save by rename", write("a", "0"), write("a", "edited"), all(write("a~", "saved"), rename("a~", "a")),
			[]string{"a: saved", "a *: edited"}, EventRescued},
		{"an exchange and an edit", all(write("a", "A"), write("b", "B")),
			func(v *device) error { return v.rename("a", "b", unix.RENAME_EXCHANGE) }, write("a", "edited"),
			[]string{"a: B", "b: edited"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			laptop, desk, _, _ := pair(t)
			if c.before != nil {
				must(t, c.before(laptop))
			}
			mustQuiet(t, laptop, desk)
			laptop.wire.cut()
			desk.wire.cut()
			must(t, c.laptop(laptop))
			must(t, c.desk(desk))
			laptop.wire.mend()
			must(t, laptop.sync())
			truth := mustQuiet(t, laptop, desk)

			want := map[string]bool{}
			for _, w := range c.want {
				want[w] = true
			}
			for path, s := range truth {
				line := path + ": " + s.content
				switch s.typ {
				case "d":
					line = path + "/"
				case "l":
					line += "→ " + s.target
				}
				short := line
				if i := strings.Index(line, "(conflict, desk, "); i >= 0 {
					j := i + strings.Index(line[i:], ")")
					short = line[:i] + "*" + line[j+1:]
				}
				if !want[short] {
					t.Errorf("%q is there", line)
				}
				delete(want, short)
			}
			for w := range want {
				t.Errorf("%q is missing", w)
			}
			events := fmt.Sprint(desk.d.Status().Events)
			if c.event != "" && !strings.Contains(events, " "+c.event+" ") || c.event == "" && len(desk.d.Status().Events) > 0 {
				t.Errorf("desk tells of %v, not of %q", events, c.event)
			}
			if len(laptop.d.Status().Events) > 0 {
				t.Errorf("laptop was first, and tells of %v", laptop.d.Status().Events)
			}
			if t.Failed() {
				t.Logf("the server has\n%v--- laptop\n%s--- desk\n%s", truth, laptop.log, desk.log)
			}
		})
	}
}

// A file that another device replaced for good while it was edited here has as its conflict copy only the
// name that it was written through; its other names go.
func TestReplacedWhileEdited(t *testing.T) {
	laptop, desk, _, _ := pair(t)
	must(t, desk.write("a", "0"))
	mustQuiet(t, laptop, desk)
	desk.wire.stopUploads(true)
	must(t, desk.write("a", "edited"))
	must(t, desk.link("a", "b"))
	must(t, laptop.write("a~", "saved"))
	must(t, laptop.rename("a~", "a", 0))
	must(t, laptop.unlink("a"))
	must(t, laptop.sync())
	eventually(t, "desk heard of it", func() bool {
		desk.d.mu.Lock()
		defer desk.d.mu.Unlock()
		for _, n := range desk.d.syn.hots {
			return len(n.hot.left) > 0
		}
		return false
	})
	desk.wire.faults(func(w *wire) { w.dark = true }) // it would mend much
	desk.wire.stopUploads(false)
	must(t, desk.sync())
	must(t, desk.check())
	desk.wire.faults(func(w *wire) { w.dark = false })
	truth := mustQuiet(t, laptop, desk)
	if truth["b"].content != "edited" || len(truth) != 1 {
		t.Errorf("the server has\n%v", truth)
	}
}

// A directory that another device had made too, and that was renamed here before the answer came, is one with the other's,
// and at its new name.
func TestMergedWhileRenamed(t *testing.T) {
	laptop, desk, _, _ := pair(t)
	mustQuiet(t, laptop, desk)
	desk.wire.cut()
	must(t, laptop.mkdir("d"))
	must(t, laptop.write("d/laptop's", "1"))
	must(t, laptop.sync())
	must(t, desk.mkdir("d"))
	desk.wire.mend()
	left := desk.wire.loseCommits(1000)
	eventually(t, "the directory is on its way", func() bool { return left() < 1000 })
	must(t, desk.write("d/desk's", "2"))
	must(t, desk.rename("d", "e", 0))
	desk.wire.faults(func(w *wire) {
		w.fails = func(b api.Batch) error {
			if b.Mutations[0].Op == api.OpRename {
				return errCut
			}
			return nil
		}
	})
	desk.wire.loseCommits(0)
	eventually(t, "the directories are one", func() bool {
		desk.d.mu.Lock()
		defer desk.d.mu.Unlock()
		return desk.d.syn.flight != nil && desk.d.syn.flight.Batch.Mutations[0].Op == api.OpRename
	})
	must(t, desk.check())
	if s, err := desk.read("e/desk's"); s != "2" {
		t.Errorf("e/desk's has %q (%v)", s, err)
	}
	desk.wire.faults(func(w *wire) { w.fails = nil })
	truth := mustQuiet(t, laptop, desk)
	if truth["e/laptop's"].content != "1" || truth["e/desk's"].content != "2" || len(truth) != 3 {
		t.Errorf("the server has\n%v", truth)
	}
}

// A directory that another device had made too is one with the other's, which the kernel knows: also the names that it takes for absent there.
func TestMergedWithWhatTheKernelKnows(t *testing.T) {
	laptop, desk, _, _ := pair(t)
	must(t, laptop.mkdir("d"))
	must(t, laptop.write("d/there", "1"))
	mustQuiet(t, laptop, desk)
	desk.wire.cut()
	for _, name := range []string{"x", "there"} {
		desk.stat("d/" + name)
	}
	must(t, laptop.rename("d", "e", 0))
	must(t, laptop.sync())
	must(t, desk.mkdir("e"))
	must(t, desk.write("e/x", "2"))
	must(t, desk.write("e/there", "3"))
	desk.wire.mend()
	truth := mustQuiet(t, laptop, desk)
	if truth["e/x"].content != "2" {
		t.Errorf("the server has\n%v", truth)
	}
	if err := desk.kern.wrong(); err != nil {
		t.Error(err)
	}
}

// Two devices move two directories into each other: while one of the moves is on its way, and the other was heard of,
// neither directory is below itself on any device.
func TestMovedIntoEachOther(t *testing.T) {
	laptop, desk, _, _ := pair(t)
	must(t, laptop.mkdir("a"))
	must(t, laptop.mkdir("b"))
	must(t, laptop.write("a/1", "1"))
	must(t, laptop.write("b/2", "2"))
	mustQuiet(t, laptop, desk)
	desk.d.Pause("until laptop was heard")
	must(t, desk.rename("b", "a/b", 0))
	must(t, laptop.rename("a", "b/a", 0))
	must(t, laptop.sync())
	info, err := laptop.wire.Info(t.Context())
	must(t, err)
	eventually(t, "desk heard of it", func() bool {
		desk.d.mu.Lock()
		defer desk.d.mu.Unlock()
		return desk.d.syn.seq >= info.Seq
	})
	must(t, desk.check())
	desk.d.Pause("")
	truth := mustQuiet(t, laptop, desk)
	if truth["b/a/1"].content != "1" || truth["b/2"].content != "2" || len(truth) != 4 {
		t.Errorf("the server has\n%v", truth)
	}
}

// The newest save is sent though the answer to the one before, a conflict, came while it was on its way.
func TestSavedAgainDuringAConflict(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("f", "first"))
	mustQuiet(t, a, b)
	asked, answer := make(chan struct{}, 100), make(chan struct{})
	sending, sent := make(chan struct{}, 100), make(chan struct{})
	goOn, arrive := sync.OnceFunc(func() { close(answer) }), sync.OnceFunc(func() { close(sent) })
	t.Cleanup(goOn)
	t.Cleanup(arrive)
	a.wire.cut() // with the poll under way
	a.wire.faults(func(w *wire) {
		w.deaf = true
		w.fails = func(api.Batch) error {
			asked <- struct{}{}
			<-answer
			return nil
		}
	})
	a.wire.mend()
	must(t, b.write("f", "theirs"))
	must(t, b.sync())
	must(t, a.write("f", "ours"))
	<-asked
	a.wire.faults(func(w *wire) {
		w.packs = func([]byte) error {
			sending <- struct{}{}
			<-sent
			return nil
		}
	})
	must(t, a.write("f", "ours, saved again"))
	<-sending
	goOn()
	soon(t, func() bool { return a.d.Status().Conflicts == 1 })
	arrive()
	soon(t, func() bool {
		truth, err := serverView(a.wire)
		return err == nil && len(truth.find("ours, saved again")) == 1
	})
	a.wire.faults(func(w *wire) { w.deaf = false })
	if truth := mustQuiet(t, a, b); truth["f"].content != "theirs" || len(truth) != 2 {
		t.Errorf("in the end:\n%v", truth)
	}
}

// What another device deleted while it was written here is back where it was; that the server says so changes nothing of a name that it has here and the
// server has not heard of.
func TestWrittenIsBackUnderItsOldName(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("d"))
		must(t, x.write("f", "0"))
		mustQuiet(t, x, y)
		x.wire.cut()
		must(t, x.write("f", "1"))
		must(t, x.link("f", "d/g"))
		must(t, y.unlink("f"))
		must(t, y.sync())
		x.d.mu.Lock()
		x.d.syn.most = 1 // the answer to the write comes before the name is on its way
		x.d.mu.Unlock()
		x.wire.mend()
		if truth := mustQuiet(t, x, y); truth["d/g"].content != "1" || truth["f"].content != "1" {
			t.Errorf("the server has\n%v", truth)
		}
	})
}
