package cache

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"satchel/api"
)

// A device that has much to send hears of others between two batches.
func TestHearsWhileItSends(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		x.d.Pause("it has much to send")
		for i := range 12 {
			must(t, x.mkdir(fmt.Sprint("d", i)))
		}
		x.d.mu.Lock()
		x.d.syn.most = 1
		x.d.mu.Unlock()
		listed := x.wire.listings()
		batches, heard := 0, false
		x.wire.faults(func(w *wire) {
			w.fails = func(api.Batch) error {
				switch batches++; batches {
				case 2:
					if err := y.mkdir("news"); err != nil {
						t.Error(err)
					}
					if err := y.sync(); err != nil {
						t.Error(err)
					}
					synctest.Wait() // the feed has brought it, as it was before this batch
				case 3:
					heard = slices.Contains(x.known(true), "news")
				}
				return nil
			}
		})
		x.d.Pause("")
		must(t, x.sync())
		if batches < 3 || !heard {
			t.Errorf("of %d batches, none but the last was followed by what another device did", batches)
		}
		if n := x.wire.listings() - listed; n > 0 || x.wire.resyncs > 0 {
			t.Errorf("%d listings", n)
		}
		mustQuiet(t, x, y)
	})
}

// What others did in the meantime, more than a page of the feed tells of, is heard by a device that has sent before it heard: the numbers of
// the first pages are older than the answer.
func TestHearsPagesAfterItSent(t *testing.T) {
	a, b, _, _ := pair(t)
	mustQuiet(t, a, b)
	b.wire.cut()
	must(t, b.mkdir("sent first"))
	for i := range 2100 {
		must(t, a.symlink("nowhere", fmt.Sprint(i)))
	}
	must(t, a.sync())
	listed := b.wire.listings()
	b.wire.faults(func(w *wire) { w.deaf = true })
	b.wire.mend()
	must(t, b.sync())
	b.wire.faults(func(w *wire) { w.deaf = false })
	if truth := mustQuiet(t, a, b); len(truth) != 2101 {
		t.Errorf("the server has %d", len(truth))
	}
	if n := b.wire.listings() - listed; n > 0 || b.wire.resyncs > 0 {
		t.Errorf("%d listings", n)
	}
}
