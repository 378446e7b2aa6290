package cache

import (
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A machine that was suspended hears nothing, and does not notice: its clocks for timeouts
// (CLOCK_MONOTONIC) stood still, and the connection over which the change feed would tell may be dead
// without a word. So when it wakes up, connections are made anew, the feed is asked at once, and until it has
// answered a name that is missing here is not believed to be missing.

const (
	nap        = time.Second     // sleep that matters
	catchUpFor = 2 * time.Second // how long a missing name waits for the feed after a suspension
)

// A clock tells how long the machine has slept; a seam for tests.
type clock interface {
	// slept is how long the machine was suspended since it started.
	slept() time.Duration
	// wait returns when the machine may have been suspended; false when done is closed.
	wait(done <-chan struct{}) bool
}

// watchClock notices suspensions until Close.
func (d *Drive) watchClock() {
	was := d.clock.slept()
	for d.clock.wait(d.done) {
		now := d.clock.slept()
		if now-was >= nap {
			d.log.Info("the machine was suspended", "for", now-was)
			d.wokeUp()
		}
		was = now
	}
}

// wokeUp doubts what is known until the feed has answered.
func (d *Drive) wokeUp() {
	caught := make(chan struct{})
	d.mu.Lock()
	if d.caught != nil {
		close(d.caught) // the second suspension in a row
	}
	d.caught = caught
	hangUp := d.hangUp
	d.mu.Unlock()
	d.polled.Store(false)
	d.connected.Store(false)
	d.cfg.Remote.Reconnect()
	if hangUp != nil {
		hangUp()
	}
}

// caughtUp notes that the feed has answered a poll, or can't. since is what caught was when the poll
// began: of a suspension after that it knows nothing.
func (d *Drive) caughtUp(since chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if since != nil && d.caught == since {
		close(since)
		d.caught = nil
	}
}

// catchUp waits, after a suspension, until the feed has answered, and tells whether it
// waited. Locked; the lock is given up meanwhile.
func (d *Drive) catchUp(intr Interrupt) bool {
	caught := d.caught
	if caught == nil {
		return false
	}
	d.mu.Unlock()
	defer d.mu.Lock()
	t := time.NewTimer(catchUpFor)
	defer t.Stop()
	select {
	case <-caught:
	case <-intr:
	case <-t.C:
	}
	return true
}

// systemClock hears of suspensions from a timer that the kernel cancels when the real-time clock makes a
// jump, as it does at each resume (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET): it costs nothing
// while nothing happens.
type systemClock struct{ timer *os.File }

func newSystemClock() *systemClock {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return &systemClock{}
	}
	return &systemClock{os.NewFile(uintptr(fd), "clock")}
}

func (c *systemClock) slept() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}

func (c *systemClock) wait(done <-chan struct{}) bool {
	if c.timer == nil {
		<-done
		return false
	}
	jumped := make(chan struct{})
	go func() {
		defer close(jumped)
		never := unix.ItimerSpec{Value: unix.Timespec{Sec: math.MaxInt32}}
		raw, err := c.timer.SyscallConn()
		if err != nil {
			return
		}
		raw.Control(func(fd uintptr) {
			err = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &never, nil)
		})
		if err == nil {
			c.timer.Read(make([]byte, 8)) // ECANCELED: the clock has jumped
		}
	}()
	select {
	case <-jumped:
		select {
		case <-done:
			return false
		case <-time.After(nap / 10): // a clock that is set all the time costs no more than this
			return true
		}
	case <-done:
		c.timer.Close()
		<-jumped
		return false
	}
}
