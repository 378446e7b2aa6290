package cache

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A change whose answer got lost is sent again and applied once, also when the
// daemon was killed meanwhile.
func TestLostAnswers(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprint("killed=", kill), func(t *testing.T) {
			a, b, _, _ := pair(t)
			must(t, a.write("f", "0"))
			must(t, a.write("gone", "0"))
			must(t, a.write("moved", "0"))
			mustQuiet(t, a, b)
			for round := range 4 {
				lost := a.wire.loseCommits(2)
				must(t, a.write("f", fmt.Sprint("edit ", round)))
				must(t, a.link("f", fmt.Sprint("link", round)))
				must(t, a.rename("moved", "moving", 0))
				must(t, a.rename("moving", "moved", 0))
				if round == 0 {
					must(t, a.unlink("gone"))
				}
				a.d.Sync(t.Context(), false, nil)
				eventually(t, "the answer is lost", func() bool { return lost() < 2 })
				if kill {
					must(t, a.d.st.settle()) // a change of the last 50 ms may go with the process
					a.kill(false)
					a.start()
				}
				must(t, a.sync())
			}
			truth := mustQuiet(t, a, b)
			if len(truth) != 6 || truth["f"].content != "edit 3" || truth["f"].nlink != 5 {
				t.Errorf("the server has\n%v", truth)
			}
			if s := a.d.Status(); len(s.Events) > 0 || s.Conflicts > 0 || s.Refused > 0 {
				t.Errorf("something was applied twice: %+v", s)
			}
		})
	}
}

// When the answer is lost, and others go on from what was applied before the batch is sent again, they
// are not taken for others who were first. So the batch has to be the same one, under its
// number, whatever became of the process meanwhile.
func TestLostAnswerMeetsNews(t *testing.T) {
	for _, c := range []struct {
		name     string
		mine     func(a *device) error
		heard    func(b *device) bool
		theirs   func(b *device) error
		name2    string // where the file is in the end
		content2 string
	}{
		{"an edit", func(a *device) error { return a.write("f", "a's") },
			func(b *device) bool { text, err := b.read("f"); return err == nil && text == "a's" },
			func(b *device) error { return b.write("f", "b's, after a's") }, "f", "b's, after a's"},
		{"a rename", func(a *device) error { return a.rename("f", "on its way", 0) },
			func(b *device) bool { _, err := b.stat("on its way"); return err == nil },
			func(b *device) error { return b.rename("on its way", "arrived", 0) }, "arrived", "0"},
		{"a delete", func(a *device) error { return a.unlink("f") },
			func(b *device) bool { _, err := b.stat("f"); return err != nil },
			func(b *device) error { return b.write("f", "another") }, "f", "another"},
	} {
		for _, end := range []string{"lives on", "killed", "power lost"} {
			t.Run(c.name+", "+end, func(t *testing.T) {
				a, b, _, _ := pair(t)
				must(t, a.write("f", "0"))
				mustQuiet(t, a, b)
				must(t, a.d.st.settle()) // the number of the batch before is durable
				a.wire.faults(func(w *wire) {
					w.after = func(api.Batch) error {
						w.cut() // the server has done it, and nobody here knows
						return nil
					}
				})
				must(t, c.mine(a))
				a.d.Sync(t.Context(), false, nil)
				eventually(t, "b hears", func() bool { return c.heard(b) })
				a.wire.faults(func(w *wire) { w.after = nil })
				if end != "lives on" {
					a.unkind = true
					a.kill(end == "power lost")
				}
				must(t, c.theirs(b))
				must(t, b.sync())
				if a.d == nil {
					a.start()
				}
				must(t, a.mkdir("next")) // it must not pass for the lost one
				truth := mustQuiet(t, a, b)
				if _, ok := truth["next"]; !ok {
					t.Errorf("what was done next is missing:\n%v", truth)
				}
				if len(truth) != 2 || truth[c.name2].content != c.content2 {
					t.Errorf("the server has\n%v", truth)
				}
				if s := a.d.Status(); len(s.Events) > 0 || s.Conflicts > 0 || s.Refused > 0 {
					t.Errorf("it met its own work: %+v", s)
				}
			})
		}
	}
}

// News of a file that is open for writing, and in the end was not written, are not lost.
func TestNewsOfAnOpenFile(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("f", "0"))
	mustQuiet(t, a, b)
	h, err := a.openFile("f", unix.O_RDWR)
	must(t, err)
	must(t, b.write("f", "b's"))
	must(t, b.write("mark", ""))
	must(t, b.sync())
	eventually(t, "a hears", func() bool { _, err := a.stat("mark"); return err == nil })
	h.close()
	if truth := mustQuiet(t, a, b); truth["f"].content != "b's" || len(truth) != 2 {
		t.Errorf("in the end:\n%v", truth)
	}
}

// A file that gets its former content back while another one of it is on its way ends with that on the
// server too: the same as the base is no change only where the base is known.
func TestUndoneWhileSending(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("f", "before"))
	mustQuiet(t, a, b)
	sending, answer := make(chan struct{}), make(chan struct{})
	a.wire.faults(func(w *wire) {
		w.after = func(api.Batch) error {
			close(sending)
			<-answer
			return nil
		}
	})
	must(t, a.write("f", "an edit"))
	a.d.Sync(t.Context(), false, nil)
	<-sending
	a.wire.faults(func(w *wire) { w.after = nil })
	must(t, a.write("f", "before"))
	a.d.Sync(t.Context(), false, nil)
	eventually(t, "the file is hashed again", func() bool {
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		for _, n := range a.d.syn.hots {
			return n.hot.ready != nil || n.hot.entry == nil
		}
		return false
	})
	close(answer)
	if truth := mustQuiet(t, a, b); truth["f"].content != "before" {
		t.Errorf("the server has %q", truth["f"].content)
	}
}

// A batch whose answer is lost again and again is sent again even while other
// news keep coming.
func TestRetryIsNotStarved(t *testing.T) {
	a, b, _, _ := pair(t)
	mustQuiet(t, a, b)
	a.wire.loseAnswers(4)
	must(t, a.write("f", "text"))
	for i := range 20 {
		must(t, b.write(fmt.Sprint("g", i), "news"))
		must(t, b.sync())
	}
	mustQuiet(t, a, b)
}

// A directory's time that was set after it was filled, as cp -a and tar do, is that on the server.
func TestTimeOfAFilledDirectory(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("f", "0"))
	mustQuiet(t, a, b)
	a.wire.cut() // so that all is pending together
	must(t, a.mkdir("d"))
	must(t, a.link("f", "d/f"))
	must(t, a.write("d/g", "its content is sent before it")) // and before the time of the directory
	then := int64(981173106_789000000)
	for range 3 {
		dir, err := a.stat("d")
		must(t, err)
		_, err = a.d.Setattr(dir.FID, Change{Mtime: &then}, nil)
		must(t, err)
	}
	if n := a.d.Status().PendingMutations; n != 4 { // the directory, the link, the file, the time
		t.Errorf("%d mutations are pending", n)
	}
	mustQuiet(t, a, b)
	for _, v := range []*device{a, b} {
		if dir, err := v.stat("d"); err != nil || dir.Mtime != then {
			t.Errorf("%s: %v %v", v.name, dir.Mtime, err)
		}
	}
}
