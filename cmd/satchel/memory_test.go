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
	boundMemory(limit)
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
