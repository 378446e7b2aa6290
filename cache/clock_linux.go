package cache

import (
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

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
