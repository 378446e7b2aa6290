package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// programMemory is what the daemon needs besides --memory, bytes; its code, which is not counted there, takes as much again.
const programMemory = 32 << 20

// boundMemory makes Go collect garbage before the process has more than limit bytes. What can't be dropped (files that wait to be
// sent) may need more: then the limit follows it, since a collector that can't get below one does nothing else.
func boundMemory(limit int64) {
	debug.SetMemoryLimit(limit)
	followLive(limit)
}

// followLive sets the limit anew after each collection.
func followLive(limit int64) {
	mark := new([64]byte) // found to be garbage by the next one
	runtime.AddCleanup(mark, func(limit int64) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if want := limitFor(limit, int64(live[0].Value.Uint64())); want != debug.SetMemoryLimit(-1) {
			debug.SetMemoryLimit(want)
		}
		followLive(limit)
	}, limit)
}

// limitFor leaves what lives half as much again for garbage, and the rest of the program its part.
func limitFor(limit, live int64) int64 { return max(limit, live+live/2+programMemory) }
