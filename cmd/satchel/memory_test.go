package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// The limit of memory follows what lives, and comes back when that is gone.
func TestMemoryLimitFollowsWhatLives(t *testing.T) {
	const limit = 64 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	boundMemory(limit, 0)
	becomes := func(what string, ok func(int64) bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !ok(debug.SetMemoryLimit(-1)); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the limit %s: it is %d", what, debug.SetMemoryLimit(-1))
			}
			runtime.GC()
		}
	}
	much := make([]byte, 128<<20)
	becomes("does not follow", func(l int64) bool { return l >= 192<<20 })
	runtime.KeepAlive(much)
	much = nil
	becomes("does not come back", func(l int64) bool { return l == limit })
}

// What Pebble keeps makes no garbage, and is not given room for it.
func TestMemoryLimitLeavesStillMemoryAlone(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct{ limit, live, still, want int64 }{
		{288 * mb, 100 * mb, 64 * mb, 288 * mb},
		{288 * mb, 214 * mb, 64 * mb, 321 * mb},
		{288 * mb, 30 * mb, 64 * mb, 288 * mb}, // not all of it is used
		{64 * mb, 128 * mb, 0, 224 * mb},
	} {
		if got := limitFor(c.limit, c.live, c.still); got != c.want {
			t.Errorf("with %d of %d bytes that live still the limit is %d, not %d", c.still, c.live, got, c.want)
		}
	}
}
