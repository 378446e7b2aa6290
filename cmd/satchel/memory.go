package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// programMemory is what the daemon needs besides --memory, bytes; its code, which is not counted there, takes as much again.
const programMemory = 32 << 20

// boundMemory makes Go collect garbage before the process has more than limit bytes. What can't be dropped (files that wait to be
// sent) may need more: then the limit follows it, since a collector that can't get below one does nothing else. still is what lives and makes no garbage.
func boundMemory(limit, still int64) {
	debug.SetMemoryLimit(limit)
	followLive(limit, still)
}

// followLive sets the limit anew after each collection.
func followLive(limit, still int64) {
	mark := new([64]byte) // found to be garbage by the next one
	runtime.AddCleanup(mark, func(limit int64) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if want := limitFor(limit, int64(live[0].Value.Uint64()), still); want != debug.SetMemoryLimit(-1) {
			debug.SetMemoryLimit(want)
		}
		followLive(limit, still)
	}, limit)
}

// limitFor leaves what lives and makes garbage half as much again for it, and the rest of the program its part.
func limitFor(limit, live, still int64) int64 {
	return max(limit, live+max(live-still, 0)/2+programMemory)
}
