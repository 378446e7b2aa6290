package cache

import (
	"time"

	"golang.org/x/sys/unix"
)

// systemClock compares, each time a timer ends, the clock that goes on while the machine sleeps
// (CLOCK_MONOTONIC of macOS) with the one that does not, by which timers run. macOS tells only programs with a
// run loop of a resume, and a timer of some seconds is not noticed.
type systemClock struct{}

// clockLook is how often the clocks are compared; a resume is noticed that much later at most.
const clockLook = 2 * time.Second

func newSystemClock() *systemClock { return &systemClock{} }

func (*systemClock) slept() time.Duration {
	var all, awake unix.Timespec
	if unix.ClockGettime(unix.CLOCK_UPTIME_RAW, &awake) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &all) != nil {
		return 0
	}
	return time.Duration(all.Nano() - awake.Nano())
}

func (*systemClock) wait(done <-chan struct{}) bool {
	t := time.NewTimer(clockLook)
	defer t.Stop()
	select {
	case <-done:
		return false
	case <-t.C:
		return true
	}
}
