package cache

import (
	"testing"
	"time"

	"satchel/api"
)

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
