package cache

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"satchel/api"
)

// A sleeper is a clock that a test makes sleep.
type sleeper struct {
	asleep atomic.Int64 // ns
	wake   chan struct{}
}

func (s *sleeper) slept() time.Duration { return time.Duration(s.asleep.Load()) }

func (s *sleeper) wait(done <-chan struct{}) bool {
	select {
	case <-s.wake:
		return true
	case <-done:
		return false
	}
}

// suspend makes the machine sleep for a time and wake up.
func (s *sleeper) suspend(d time.Duration) {
	s.asleep.Add(int64(d))
	s.wake <- struct{}{}
}

// A deafWire has connections that died without a word: a poll of the feed hangs until it is given up.
type deafWire struct {
	Remote
	deaf   atomic.Bool
	polls  atomic.Int64
	resets atomic.Int64
}

func (w *deafWire) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	w.polls.Add(1)
	c, err := w.Remote.Changes(ctx, life, epoch, after, wait)
	if w.deaf.Load() {
		<-ctx.Done()
		return api.Changes{}, ctx.Err()
	}
	return c, err
}

func (w *deafWire) Reconnect() {
	w.resets.Add(1)
	w.deaf.Store(false) // a new connection works
	w.Remote.Reconnect()
}

// After a suspension what others made meanwhile is there at the first look, though nothing has told
// of it and no timeout has run out: a missing name is not believed before the feed has answered.
func TestSuspend(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.mkdir("d"))
	mustQuiet(t, a, b)
	clock := &sleeper{wake: make(chan struct{})}
	deaf := &deafWire{Remote: b.wire}
	b.end()
	b.wire.mend()
	b.cfg.Remote = deaf
	b.clock = clock
	b.start()
	eventually(t, "b is connected", func() bool { return b.d.connected.Load() })
	dir, err := b.stat("d")
	must(t, err)
	if _, err := b.d.Lookup(dir.FID, "new", nil); api.KindOf(err) != api.NotFound { // which the kernel does not remember
		t.Fatal(err)
	}

	deaf.deaf.Store(true)
	must(t, a.write("d/new", "made while b slept"))
	must(t, a.sync())
	eventually(t, "b's poll has died", func() bool { return deaf.polls.Load() > 0 })
	if _, err := b.d.Lookup(rootFID, "none", nil); api.KindOf(err) != api.NotFound {
		t.Fatal(err) // it works, and trusts what it knows
	}
	clock.suspend(nap / 2) // no suspension
	if deaf.resets.Load() != 0 {
		t.Error("connections were given up without a suspension")
	}
	clock.suspend(time.Hour)
	eventually(t, "b knows that it slept", func() bool { return deaf.resets.Load() == 1 })
	if text, err := b.read("d/new"); err != nil || text != "made while b slept" {
		t.Errorf("at the first look: %q, %v", text, err)
	}
	mustQuiet(t, a, b)

	// Without the server a missing name does not hang.
	b.wire.cut()
	clock.suspend(time.Hour)
	start := time.Now()
	if _, err := b.stat("d/none"); api.KindOf(err) != api.NotFound {
		t.Errorf("offline: %v", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("offline a missing name took %v", took)
	}
	b.wire.mend()
}

// The system's clock tells how long the machine slept, and waiting for it ends.
func TestSystemClock(t *testing.T) {
	c := newSystemClock()
	if s := c.slept(); s < 0 {
		t.Errorf("slept %v", s)
	}
	done := make(chan struct{})
	ended := make(chan bool)
	go func() { ended <- c.wait(done) }()
	close(done)
	select {
	case again := <-ended:
		if again {
			t.Error("it goes on when all is over")
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for ever")
	}
}
