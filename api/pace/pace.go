// Package pace has the one notion of progress by which calls to a server are waited for: bytes that move, in either direction.
//
// A call has so much time in which nothing may move. Each byte that moves gives some of it back, as much as it takes at the rate
// [Slowest], and all of them together no more than there was at first. So a call on which nothing moves ends when that time is over, one on which bytes move at
// that rate may take as long as it takes, and a peer that gives a byte now and then holds nobody for ever.
//
// Clocks nest: what moves on a call counts for the one that it is a part of too.
package pace

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Slowest is the rate, in bytes a second, that is enough. Several calls share a link.
const Slowest = 1 << 10

// Worth is the time that n bytes give back.
func Worth(n int) time.Duration { return time.Duration(n) * (time.Second / Slowest) }

// A Stall is the cause of a context that ended since too little moved.
type Stall struct{ For time.Duration }

func (s *Stall) Error() string { return fmt.Sprintf("next to nothing moved for %v", s.For) }

// Stalled is why a context ended, if too little moved; else nil.
func Stalled(ctx context.Context) *Stall {
	s, _ := context.Cause(ctx).(*Stall)
	return s
}

// A Clock ends the context of a call on which too little moves. It is safe for concurrent use; a nil one does nothing.
type Clock struct {
	outer  *Clock
	cancel context.CancelCauseFunc
	told   func(n int) // of what moves; of a clock that stands still for ever. Or nil

	mu    sync.Mutex
	most  time.Duration
	left  time.Duration // at since
	since time.Time     // zero while it stands still
	timer *time.Timer
	ended bool
}

type key struct{}

// With is a context for one call at a time, which ends with a [Stall] when too little moves for as long as most, and its clock, which goes.
// Who is done ends the clock.
func With(parent context.Context, most time.Duration) (context.Context, *Clock) {
	ctx, cancel := context.WithCancelCause(parent)
	c := &Clock{outer: Of(parent), cancel: cancel, most: most, left: most, since: time.Now()}
	c.timer = time.AfterFunc(most, c.over)
	c.outer.Wake()
	return context.WithValue(ctx, key{}, c), c
}

// Tell is a context for calls that tell fn of the bytes that move, beside the clocks that it has.
func Tell(parent context.Context, fn func(n int)) context.Context {
	return context.WithValue(parent, key{}, &Clock{outer: Of(parent), told: fn, ended: true})
}

// Of is a context's clock, nil if it has none.
func Of(ctx context.Context) *Clock {
	c, _ := ctx.Value(key{}).(*Clock)
	return c
}

// over is called by the timer, and may come late: something may have moved since.
func (c *Clock) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && !c.since.IsZero() && time.Since(c.since) >= c.left {
		c.cancel(&Stall{c.most})
	}
}

// Moved tells of n bytes that moved.
func (c *Clock) Moved(n int) {
	for ; c != nil; c = c.outer {
		if c.told != nil {
			c.told(n)
		}
		c.turn(func() { c.left = min(c.left+Worth(n), c.most) })
	}
}

// Renew gives all of the time back: an answer has begun. From now on it is most, for this clock alone.
func (c *Clock) Renew(most time.Duration) {
	if c == nil {
		return
	}
	c.turn(func() { c.most = most })
	for ; c != nil; c = c.outer {
		c.turn(func() { c.left = c.most })
	}
}

// Rest lets it stand still, as while nobody waits for the peer.
func (c *Clock) Rest() {
	for ; c != nil; c = c.outer {
		c.turn(func() { c.since = time.Time{} })
	}
}

// Wake lets it go on.
func (c *Clock) Wake() {
	for ; c != nil; c = c.outer {
		c.turn(func() { c.since = time.Now() })
	}
}

// End ends the context. The outer clock goes on: its call does.
func (c *Clock) End() {
	if c == nil {
		return
	}
	c.turn(func() { c.ended = true })
	c.cancel(nil)
	c.outer.Wake()
}

// turn changes a clock.
func (c *Clock) turn(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	went := !c.since.IsZero()
	if went {
		now := time.Now()
		c.left -= now.Sub(c.since)
		c.since = now
	}
	change()
	switch goes := !c.since.IsZero() && !c.ended; {
	case goes:
		c.timer.Reset(c.left)
	case went:
		c.timer.Stop()
	}
}
