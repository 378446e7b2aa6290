package cache

import "time"

// A machine that was suspended hears nothing, and does not notice: its clocks for timeouts
// (CLOCK_MONOTONIC) stood still, and the connection over which the change feed would tell may be dead
// without a word. So when it wakes up, connections are made anew, the feed is asked at once, and until it has
// answered a name that is missing here is not believed to be missing.

const (
	nap        = time.Second     // sleep that matters
	catchUpFor = 2 * time.Second // how long a missing name waits for the feed after a suspension, and none later than patience after it
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

// Reconnect is for when the network of the machine has changed: connections are made anew, and the feed is
// asked at once, as after a suspension.
func (d *Drive) Reconnect() { d.wokeUp() }

// wokeUp doubts what is known until the feed has answered.
func (d *Drive) wokeUp() {
	caught := make(chan struct{})
	d.mu.Lock()
	if d.caught != nil {
		close(d.caught) // the second suspension in a row
	}
	d.caught = caught
	time.AfterFunc(patience, func() { d.caughtUp(caught) }) // the server may be there and not answer
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
