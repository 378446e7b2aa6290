package cache

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// What waits for content holds up only what must not overtake it.
func TestWaitingOrder(t *testing.T) {
	id := func(n byte) api.ID { return api.ID{15: n} }
	dir, file, other, elsewhere := id(1), id(2), id(3), id(4)
	mode, mtime := uint32(0o700), int64(1)
	timed := api.Mutation{Op: api.OpSetattr, Node: dir, Attr: &api.Attr{Mtime: &mtime}}
	create := func(n, parent api.ID, name api.Name, typ api.Type) api.Mutation {
		return api.Mutation{Op: api.OpCreate, Node: n, Parent: parent, Name: name, Attr: &api.Attr{Type: typ}}
	}
	moveDir := func(n, from api.ID, name api.Name, to api.ID, newName api.Name) api.Mutation {
		return api.Mutation{Op: api.OpRename, Node: n, Parent: from, Name: name, ToParent: to, ToName: newName, Attr: &api.Attr{Type: api.Directory}}
	}
	for _, c := range []struct {
		name    string
		waits   api.Mutation
		then    api.Mutation
		blocked bool
	}{
		{"another file of the directory goes on", create(file, dir, "film", api.File), create(other, dir, "letter", api.File), false},
		{"the same name waits", create(file, dir, "film", api.File), create(other, dir, "film", api.File), true},
		{"a change of the node waits", create(file, dir, "film", api.File), api.Mutation{Op: api.OpSetattr, Node: file, Attr: &api.Attr{Mode: &mode}}, true},
		{"a change of the directory goes on", create(file, dir, "film", api.File), api.Mutation{Op: api.OpSetattr, Node: dir, Attr: &api.Attr{Mode: &mode}}, false},
		{"the time that it was given waits", create(file, dir, "film", api.File), timed, true},
		{"what is made in it after that waits", timed, create(file, dir, "film", api.File), true},
		{"removing the directory waits", create(file, dir, "film", api.File), api.Mutation{Op: api.OpRmdir, Node: dir, Parent: elsewhere, Name: "d"}, true},
		{"what replaces the node waits", create(file, dir, "film", api.File),
			api.Mutation{Op: api.OpRename, Node: other, Parent: elsewhere, Name: "x", ToParent: dir, ToName: "y", Replaces: file}, true},
		{"below a directory that waits to be made", create(dir, elsewhere, "d", api.Directory), create(file, dir, "f", api.File), true},
		{"moves of directories keep their order", moveDir(dir, elsewhere, "d", id(5), "d"), moveDir(other, elsewhere, "e", id(6), "e"), true},
		{"a file's move does not wait for a directory's", moveDir(dir, elsewhere, "d", id(5), "d"),
			api.Mutation{Op: api.OpRename, Node: file, Parent: elsewhere, Name: "a", ToParent: elsewhere, ToName: "b"}, false},
		{"the removal of what an editor moved aside waits for the new file", create(file, dir, "doc", api.File),
			api.Mutation{Op: api.OpUnlink, Node: other, Parent: dir, Name: "doc~", Heir: file}, true},
		{"a write names no place", api.Mutation{Op: api.OpWrite, Node: file, Parent: dir, Name: "film"}, create(other, dir, "film", api.File), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w waiting
			if w.behind(&c.then) {
				t.Fatal("blocked by nothing")
			}
			w.add(&c.waits)
			if got := w.behind(&c.then); got != c.blocked {
				t.Errorf("blocked = %v, want %v", got, c.blocked)
			}
		})
	}
}

func TestJournalIndexes(t *testing.T) {
	j := newJournal()
	a, b, dir := api.ID{15: 1}, api.ID{15: 2}, api.ID{15: 9}
	e1 := &entry{seq: 1, m: api.Mutation{Op: api.OpCreate, Node: a, Parent: dir, Name: "a", Attr: &api.Attr{Type: api.File}}}
	e2 := &entry{seq: 2, m: api.Mutation{Op: api.OpRename, Node: b, Parent: dir, Name: "b", ToParent: dir, ToName: "a", Replaces: a}}
	j.add(e1)
	j.add(e2)
	if j.under[dir] != 3 || j.places[place{dir, "a"}] != 2 || len(j.byNode[a]) != 2 {
		t.Errorf("after adding: under %d, place %d, node %d", j.under[dir], j.places[place{dir, "a"}], len(j.byNode[a]))
	}
	if j.unsent(a, api.OpCreate) != e1 || j.unsent(a, api.OpRename) != nil {
		t.Error("unsent finds a node's own entries only")
	}
	j.remove(e1)
	if j.oldest() != 2 || j.find(1) != nil || j.find(2) != e2 {
		t.Error("a removed entry is still there")
	}
	j.restore(e1, e1.m)
	if j.oldest() != 1 || j.find(1) != e1 || j.last != 2 {
		t.Error("a restored entry is not in its place")
	}
	j.remove(e1)
	j.remove(e2)
	if len(j.byNode)+len(j.places)+len(j.under)+j.live != 0 {
		t.Errorf("an empty journal keeps %+v", j)
	}
}

// Who waits for the server waits for what was written before, also when an older state of the
// file was on its way then.
func TestSyncSendsWhatWasWrittenMeanwhile(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprint("open=", open), func(t *testing.T) {
			a, b, _, _ := pair(t)
			must(t, a.mkdir("d"))
			mustQuiet(t, a, b)
			sending, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			a.wire.faults(func(w *wire) {
				w.packs = func([]byte) error {
					once.Do(func() {
						close(sending)
						<-goOn
					})
					return nil
				}
			})
			h, err := a.openFile("d/f", unix.O_RDWR|unix.O_CREAT)
			must(t, err)
			must(t, h.write("first"))
			if !open {
				h.close()
			}
			must(t, a.d.Sync(t.Context(), false, nil))
			<-sending
			if open {
				must(t, h.write("later"))
			} else {
				must(t, a.write("d/f", "later"))
			}
			done := make(chan error, 1)
			go func() { done <- a.sync() }()
			eventually(t, "somebody waits", func() bool { return a.d.syn.waiting.Load() > 0 })
			close(goOn)
			must(t, <-done)
			truth, err := serverView(a.wire)
			must(t, err)
			if got := truth["d/f"].content; got != "later" {
				t.Errorf("the server has %q when the wait is over", got)
			}
			if open {
				h.close()
			}
			mustQuiet(t, a, b)
		})
	}
}

// What is written again as it was, while it is on its way, is no new version; the server hears of its new time all the same.
func TestSameWrittenWhileItIsSent(t *testing.T) {
	a, b, _, _ := pair(t)
	h, err := a.openFile("f", unix.O_RDWR|unix.O_CREAT)
	must(t, err)
	must(t, h.write("the same"))
	sending, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	a.wire.faults(func(w *wire) {
		w.fails = func(x api.Batch) error {
			if slices.ContainsFunc(x.Mutations, func(m api.Mutation) bool { return m.Version != nil }) {
				once.Do(func() {
					close(sending)
					<-goOn
				})
			}
			return nil
		}
	})
	must(t, a.d.Sync(t.Context(), false, nil))
	<-sending
	before, err := a.d.Getattr(h.fid)
	must(t, err)
	eventually(t, "another time", func() bool {
		must(t, h.write("the same"))
		now, err := a.d.Getattr(h.fid)
		must(t, err)
		return now.Mtime != before.Mtime
	})
	close(goOn)
	h.close()
	mustQuiet(t, a, b)
}

// What waits for programs to be quiet does not wait for a clock that was set back to come forward again.
func TestClockSetBackHoldsNothingUp(t *testing.T) {
	d := openShelf(t, newShelf(), t.TempDir(), 0)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, c := range []struct {
		stirred time.Time
		waits   bool
	}{{now, true}, {now.Add(-time.Second), false}, {now.Add(time.Hour), false}} {
		d.stirred.Store(c.stirred.UnixNano())
		if at := d.leisure(&lane{}, now); at.After(now) != c.waits {
			t.Errorf("changed %v from now: goes on %v from now", c.stirred.Sub(now), at.Sub(now))
		}
	}
}
