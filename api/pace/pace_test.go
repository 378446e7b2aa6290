package pace

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

const most = 5 * time.Second

// How long a call lasts on which so many bytes move every so often.
func TestWhatMoves(t *testing.T) {
	const long = 10 * time.Hour
	for name, c := range map[string]struct {
		n           int
		every       time.Duration
		least, last time.Duration
	}{
		"nothing":                          {0, time.Hour, most, most},
		"a byte a minute":                  {1, time.Minute, most, most},
		"a byte a second":                  {1, time.Second, most, most + time.Second},
		"as much as must":                  {Slowest, time.Second, long, long},
		"the same in larger pieces":        {4 * Slowest, 4 * time.Second, long, long},
		"much, with pauses too long":       {1 << 20, 6 * time.Second, most, most},
		"half of it":                       {Slowest / 2, time.Second, most, 2*most + time.Second},
		"a little, and what it moves last": {Slowest / 2, 4 * time.Second, most, 2 * most},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, clock := With(t.Context(), most)
				defer clock.End()
				start := time.Now()
				for ctx.Err() == nil && time.Since(start) < long {
					select {
					case <-time.After(c.every):
						clock.Moved(c.n)
					case <-ctx.Done():
					}
				}
				took := time.Since(start)
				if took < c.least || took > c.last {
					t.Errorf("it lasted %v, wanted %v to %v", took, c.least, c.last)
				}
				if s := Stalled(ctx); (s != nil) != (c.last < long) || s != nil && s.For != most {
					t.Errorf("it ended with %v", context.Cause(ctx))
				}
			})
		})
	}
}

// A clock that rests takes no time, and has what it had when it goes on.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, clock := With(t.Context(), most)
		defer clock.End()
		time.Sleep(most - time.Second)
		clock.Rest()
		time.Sleep(time.Hour)
		clock.Wake()
		start := time.Now()
		<-ctx.Done()
		if took := time.Since(start); took != time.Second {
			t.Errorf("it went on for %v", took)
		}
	})
}

// What moves on a call counts for the one that it is a part of, whose clock stands still with it and goes on after it; which ends first
// ends the call, and a call that ends leaves the outer one.
func TestNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, clock := With(t.Context(), most)
		defer clock.End()
		ctx, inner := With(outer, time.Minute)
		if Of(ctx) != inner || Of(outer) != clock || Of(t.Context()) != nil {
			t.Error("a context has another's clock")
		}
		for range 60 {
			time.Sleep(most - time.Second)
			inner.Moved(1 << 20)
		}
		time.Sleep(most - time.Second)
		inner.Renew(time.Minute)
		time.Sleep(most - time.Second)
		inner.Rest()
		time.Sleep(time.Hour)
		if ctx.Err() != nil || outer.Err() != nil {
			t.Fatal(context.Cause(ctx), context.Cause(outer))
		}
		inner.End()
		if ctx.Err() == nil || Stalled(ctx) != nil || outer.Err() != nil {
			t.Error(context.Cause(ctx), context.Cause(outer))
		}
		start := time.Now()
		ctx, inner = With(outer, time.Minute)
		defer inner.End()
		<-ctx.Done()
		if took, s := time.Since(start), Stalled(ctx); took != time.Second || s == nil || s.For != most {
			t.Errorf("after %v: %v", took, context.Cause(ctx))
		}
	})
}

// Without a clock there is nothing to tell, and the end of the parent is no stall.
func TestWithout(t *testing.T) {
	c := Of(t.Context())
	c.Moved(1)
	c.Rest()
	c.Wake()
	c.Renew(most)
	c.End()
	parent, cancel := context.WithCancel(t.Context())
	ctx, clock := With(parent, most)
	defer clock.End()
	cancel()
	if Stalled(ctx) != nil || context.Cause(ctx) != context.Canceled {
		t.Error(context.Cause(ctx))
	}
}

// Who only wants to hear of what moves hears it, beside the clocks around him and within, and ends nothing.
func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, clock := With(t.Context(), most)
		defer clock.End()
		told := 0
		ctx, inner := With(Tell(outer, func(n int) { told += n }), time.Hour)
		time.Sleep(most - time.Second)
		inner.Moved(3 * Slowest)
		inner.Rest()
		time.Sleep(time.Hour)
		inner.Wake()
		inner.Renew(time.Hour)
		time.Sleep(most - time.Second)
		inner.Moved(5)
		if told != 3*Slowest+5 || ctx.Err() != nil {
			t.Errorf("told of %d bytes, %v", told, context.Cause(ctx))
		}
		inner.End()
		Of(Tell(t.Context(), func(n int) { told = n })).Moved(7)
		if told != 7 || outer.Err() != nil {
			t.Errorf("told of %d bytes, %v", told, context.Cause(outer))
		}
	})
}
