package cache

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A write that was under way, that the server did not take, and whose content a power loss took, is not sent as an empty file.
func TestWriteUnderWayLosesItsContent(t *testing.T) {
	for _, how := range []string{"it was not written down whole", "the server lacks its chunks"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
				must(t, x.write("f", "first"))
				mustQuiet(t, x, y)
				var tried atomic.Bool
				x.wire.faults(func(w *wire) { w.fails = func(api.Batch) error { tried.Store(true); return errCut } })
				must(t, x.write("f", "second"))
				var flown flight
				eventually(t, "it is under way", func() bool {
					x.d.mu.Lock()
					defer x.d.mu.Unlock()
					if x.d.syn.flight != nil {
						flown.Entries = x.d.syn.flight.Entries
					}
					return flown.Entries != nil && tried.Load() // then it was written down whole
				})
				lacks := 1
				if how != "the server lacks its chunks" {
					lacks = 0
					x.d.mu.Lock()
					tx := x.d.begin()
					tx.b.Set(metaKey("flight"), mustJSON(flown), nil)
					must(t, tx.commit())
					x.d.mu.Unlock()
				}
				x.settled()
				x.powerless(t, "f")
				x.wire.faults(func(w *wire) {
					w.fails = func(api.Batch) error {
						if lacks--; lacks >= 0 {
							return api.Errorf(api.MissingChunks, "lost")
						}
						return nil
					}
				})
				if truth := mustQuiet(t, x, y); truth["f"].content != "first" || len(truth) != 1 {
					t.Errorf("the server has\n%v", truth)
				}
				if s := x.d.Status(); s.PendingMutations+s.Conflicts+s.Refused > 0 {
					t.Errorf("in the end: %+v", s)
				}
			})
		})
	}
}

// Nor is what a program writes then to a file that was still being made a copy of what was lost: it is the file.
func TestCreationUnderWayLosesItsContent(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("other", "to be there"))
		mustQuiet(t, x, y)
		x.wire.faults(func(w *wire) { w.fails = func(api.Batch) error { return errCut } })
		must(t, x.write("f", "first"))
		eventually(t, "it is under way", func() bool {
			x.d.mu.Lock()
			defer x.d.mu.Unlock()
			return x.d.syn.flight != nil
		})
		x.settled()
		x.powerless(t, "f")
		must(t, x.write("f", "second"))
		lacks := 1
		x.wire.faults(func(w *wire) {
			w.fails = func(api.Batch) error {
				if lacks--; lacks >= 0 {
					return api.Errorf(api.MissingChunks, "lost")
				}
				return nil
			}
		})
		mustQuiet(t, x, y)
		must(t, x.write("f", "third"))
		if truth := mustQuiet(t, x, y); truth["f"].content != "third" || len(truth) != 2 {
			t.Errorf("the server has\n%v", truth)
		}
	})
}

// Who reads a file whose content a power loss took, when it turns out that what was sent of it became a conflict copy, reads on what he opened.
func TestReadWhileItBecomesAConflictCopy(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("f", "first"))
		mustQuiet(t, x, y)
		x.deafen(true)
		must(t, y.write("f", "theirs"))
		must(t, y.sync())
		x.wire.faults(func(w *wire) { w.after = func(api.Batch) error { return errCut } })
		must(t, x.write("f", "mine"))
		eventually(t, "the server has it", func() bool { return s.server.Kept()[hashOf("mine")] })
		x.settled()
		x.powerless(t, "f")
		x.wire.faults(func(w *wire) { w.after = nil })
		a, err := x.stat("f")
		must(t, err)
		_, err = x.d.Open(a.FID, unix.O_RDONLY, Cred{}, nil)
		must(t, err)
		x.wire.mend()
		eventually(t, "it is answered", func() bool { return x.d.Status().Conflicts > 0 })
		if _, err := readAt(x.d, a.FID, 0, 100); err != nil {
			t.Errorf("who had it open: %v", err)
		}
		x.d.Release(a.FID, unix.O_RDONLY)
		x.deafen(false)
		truth := mustQuiet(t, x, y)
		hasOnce(t, truth, "mine")
		if truth["f"].content != "theirs" || len(truth) != 2 {
			t.Errorf("the server has\n%v", truth)
		}
	})
}

// A batch that was taken, and not written down whole when the process ended, was not sent. All of it is sent later, with what programs did since it was
// taken.
func TestTakenAndNotWrittenDown(t *testing.T) {
	for name, c := range map[string]struct {
		then    func(t *testing.T, v *device)
		f, made string
	}{
		"nothing": {func(t *testing.T, v *device) {}, "second", "made"},
		"written again": {func(t *testing.T, v *device) {
			must(t, v.write("f", "third"))
			must(t, v.write("made", "written"))
		}, "third", "written"},
		"removed": {func(t *testing.T, v *device) {
			must(t, v.unlink("f"))
			must(t, v.unlink("made"))
		}, "", ""},
		"replaced by each other": {func(t *testing.T, v *device) { must(t, v.rename("made", "f", 0)) }, "made", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, _, _ := pair(t)
			must(t, a.write("f", "first"))
			mustQuiet(t, a, b)
			a.wire.faults(func(w *wire) { w.fails = func(api.Batch) error { return errCut } })
			a.wire.cut()
			must(t, a.write("f", "second"))
			must(t, a.write("made", "made"))
			eventually(t, "both are to be uploaded, and so are at once", func() bool {
				a.d.mu.Lock()
				defer a.d.mu.Unlock()
				for _, n := range a.d.syn.hots {
					if n.hot.due.After(time.Now()) {
						return false
					}
				}
				return true
			})
			a.wire.mend()
			eventually(t, "both are in flight", func() bool {
				a.d.mu.Lock()
				defer a.d.mu.Unlock()
				return a.d.syn.flight != nil && len(a.d.syn.flight.Entries) == 2
			})
			c.then(t, a)
			a.d.mu.Lock()
			tx := a.d.begin()
			tx.b.Set(metaKey("flight"), mustJSON(flight{Entries: a.d.syn.flight.Entries}), nil)
			must(t, tx.commit())
			a.d.mu.Unlock()
			a.settled()
			a.kill(false)
			a.wire.faults(func(w *wire) { w.fails = nil })
			a.start()
			truth := mustQuiet(t, a, b)
			if truth["f"].content != c.f || truth["made"].content != c.made {
				t.Errorf("the server has\n%v", truth)
			}
			if s := a.d.Status(); s.Conflicts+s.Refused > 0 || len(s.Events) > 0 {
				t.Errorf("in the end: %+v", s)
			}
		})
	}
}
