package cache

import (
	"sync"
	"testing"
	"time"

	"satchel/api"
)

// Who waits for the server waits also for what became of what was pending when he began: what carries it by now has another number.
func TestWaitsForWhatCarriesIt(t *testing.T) {
	// begin begins to wait, and done fails unless the wait ends and the server has a content by then.
	begin := func(t *testing.T, v *device) (done func(s *simulated, content string)) {
		over := make(chan error, 1)
		go func() { over <- v.sync() }()
		eventually(t, "somebody waits", func() bool { return v.d.syn.waiting.Load() > 0 })
		return func(s *simulated, content string) {
			t.Helper()
			must(t, <-over)
			if !s.server.Kept()[hashOf(content)] {
				t.Errorf("the wait is over, and the server lacks %q", content)
			}
		}
	}
	// hold keeps the next batch that has content on its way until goOn; it is answered with err then, if that is not nil.
	hold := func(v *device, err error) (sending chan struct{}, goOn chan struct{}) {
		sending, goOn = make(chan struct{}), make(chan struct{})
		var once sync.Once
		v.wire.faults(func(w *wire) {
			w.fails = func(b api.Batch) (fails error) {
				if len(b.Mutations) > 0 && b.Mutations[len(b.Mutations)-1].Version != nil {
					once.Do(func() {
						close(sending)
						<-goOn
						fails = err
					})
				}
				return fails
			}
		})
		return sending, goOn
	}

	t.Run("another device gave the file back first", func(t *testing.T) {
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
			done := begin(t, y)
			y.wire.stopUploads(false)
			done(s, "y's edit")
		})
	})
	t.Run("an older state of the file became a conflict copy", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
			must(t, x.write("f", "0"))
			mustQuiet(t, x, y)
			y.deafen(true)
			must(t, x.write("f", "x's"))
			must(t, x.sync())
			sending, goOn := hold(y, nil)
			must(t, y.write("f", "first"))
			<-sending
			must(t, y.write("f", "second"))
			done := begin(t, y)
			close(goOn)
			done(s, "second")
			y.deafen(false)
			hasOnce(t, mustQuiet(t, x, y), "x's", "second")
		})
	})
	t.Run("written again, and the batch was taken back", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
			must(t, x.write("f", "0"))
			mustQuiet(t, x, y)
			y.d.mu.Lock()
			y.d.syn.most = 2 // what fails is taken back at once
			y.d.mu.Unlock()
			sending, goOn := hold(y, api.Errorf(api.Invalid, "not this one"))
			must(t, y.write("f", "first"))
			<-sending
			done := begin(t, y)
			must(t, y.write("f", "second"))
			close(goOn)
			done(s, "second")
			hasOnce(t, mustQuiet(t, x, y), "second")
		})
	})
	t.Run("the server was restored", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
			x.end()
			restore := s.server.Backup()
			must(t, y.write("f", "0"))
			must(t, y.sync())
			y.wire.stopUploads(true)
			must(t, y.write("f", "1"))
			done := begin(t, y)
			y.wire.cut()
			restore()
			y.wire.mend()
			eventually(t, "y hears of the restore", func() bool { return !s.behind(y) })
			time.Sleep(time.Second)
			y.wire.stopUploads(false)
			done(s, "1")
			hasOnce(t, s.quiet(t, y), "1")
		})
	})
}

// Waiting in vain is known also where what fails carries what was pending under a later number.
func TestWaitsInVainForWhatCarriesIt(t *testing.T) {
	d := &Drive{journal: newJournal()}
	j := &d.journal
	node, other := api.ID{15: 1}, api.ID{15: 2}
	was := &entry{seq: 1, m: api.Mutation{Op: api.OpCreate, Node: node}}
	between := &entry{seq: 2, m: api.Mutation{Op: api.OpSetattr, Node: other}}
	heir := &entry{seq: 3, m: api.Mutation{Op: api.OpWrite, Node: node}}
	for _, e := range []*entry{was, between, heir} {
		j.add(e)
	}
	j.remove(was)
	j.inherit(heir, was)
	if got := j.oldest(); got != 1 {
		t.Errorf("the oldest is of %d", got)
	}
	if d.onlyStuck(1, api.ID{}) {
		t.Error("nothing fails")
	}
	heir.after = time.Unix(1, 0)
	j.fail(heir, errCut)
	if !d.onlyStuck(1, api.ID{}) || d.onlyStuck(2, api.ID{}) || !d.onlyStuck(2, node) {
		t.Errorf("only what fails: of 1 %v, of 2 %v, of the file %v", d.onlyStuck(1, api.ID{}), d.onlyStuck(2, api.ID{}), d.onlyStuck(2, node))
	}
	j.remove(heir)
	if got := j.oldest(); got != 2 || len(j.heirs) > 0 {
		t.Errorf("then the oldest is of %d, %d heirs", got, len(j.heirs))
	}
}
