package main

import (
	"testing"
	"testing/synctest"
	"time"
)

// A pause ends when its time has come by the clock on the wall, also when the computer slept meanwhile, which timers do
// not count; and not before, nor when it was taken back.
func TestPauseEndsByTheClockOnTheWall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slept time.Duration
		h := &hold{now: func() time.Time { return time.Now().Add(slept) }}
		var ended []int
		set := func(length time.Duration) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.set(h.now().Add(length), func(turn int) { ended = append(ended, turn) })
		}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		set(8 * time.Hour)
		first := h.turn
		pass(time.Hour)
		slept = 6 * time.Hour
		pass(pauseLook)
		if len(ended) > 0 {
			t.Fatal("it ended after 7 of 8 hours")
		}
		slept += time.Hour
		pass(pauseLook)
		if len(ended) != 1 || ended[0] != first {
			t.Fatalf("after 8 hours, 7 of them asleep, these turns had ended: %v", ended)
		}
		set(time.Minute)
		h.mu.Lock()
		h.clear()
		h.mu.Unlock()
		pass(time.Hour)
		if len(ended) != 1 {
			t.Errorf("one that was taken back ended")
		}
	})
}
