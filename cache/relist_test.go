package cache

import (
	"sync"
	"sync/atomic"
	"testing"

	"satchel/api"
)

// A directory that is being listed is not asked for again because what the feed has forgotten could not be listed, and is tried again.
func TestListingOutlivesATriedRelist(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		namesInD(t, x, y)
		y.deafen(true)
		must(t, x.mkdir("more"))
		must(t, x.sync())
		s.server.Forget()
		var tries, pages atomic.Int64
		y.wire.faults(func(w *wire) {
			w.together = func([]api.ID) error { tries.Add(1); return errCut }
			w.deaf = false
		})
		tried := func(times int64) {
			eventually(t, "y lists again", func() bool { return tries.Load() >= times })
		}
		tried(1)
		once := sync.OnceFunc(func() { tried(tries.Load() + 1) })
		y.wire.Remote = between{y.wire.Remote, func(api.ID) { pages.Add(1); once() }}
		y.onePerPage()
		if _, err := y.stat("d/c"); err != nil {
			t.Fatal(err)
		}
		if n := pages.Load(); n != 2 {
			t.Errorf("%d pages were asked for after the first, not 2", n)
		}
		y.wire.faults(func(w *wire) { w.together = nil })
		mustQuiet(t, x, y)
	})
}
