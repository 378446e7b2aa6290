package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"satchel/api"
)

// TestStandstill: a standstill excuses what was under way or began soon after, not what began later, and is counted once.
func TestStandstill(t *testing.T) {
	s := &standstills{last: time.Now().Add(time.Hour)} // no gap, however long the test is kept waiting
	if until := s.since(time.Now()); !until.IsZero() {
		t.Errorf("before any there was one until %v", until)
	}
	s = &standstills{last: time.Now().Add(-time.Minute)}
	until := s.since(time.Now().Add(-time.Second))
	if until.IsZero() {
		t.Fatal("it was not noticed")
	}
	s.last = time.Now().Add(time.Hour)
	if got := s.since(until.Add(aftermath - 1)); !got.Equal(until) {
		t.Errorf("soon after it: %v, not %v", got, until)
	}
	s.last = time.Now().Add(time.Hour)
	if got := s.since(until.Add(aftermath)); !got.IsZero() {
		t.Errorf("long after it: %v", got)
	}
	if sum := s.all(); sum < time.Minute || sum > time.Hour {
		t.Errorf("they lasted for %v", sum)
	}
}

// TestPatiently: a call that failed is made again once for a standstill, and only if it failed in a way that one explains.
func TestPatiently(t *testing.T) {
	for _, c := range []struct {
		err   error
		stood bool
		calls int
	}{
		{api.Errorf(api.Unavailable, "the server stopped answering"), true, 2},
		{fmt.Errorf("ask: %w", context.DeadlineExceeded), true, 2},
		{api.Errorf(api.Unavailable, "the server stopped answering"), false, 1},
		{api.Errorf(api.Internal, "a fault"), true, 1},
		{&wrongContent{"other bytes"}, true, 1},
		{io.EOF, true, 1},
	} {
		p := &phase{stood: &standstills{last: time.Now().Add(time.Hour)}}
		calls := 0
		err := p.patiently(t.Context(), func() error {
			if calls++; calls == 1 && c.stood {
				p.stood.last = time.Now().Add(-time.Minute)
			} else {
				p.stood.last = time.Now().Add(time.Hour)
			}
			return c.err
		})
		if !errors.Is(err, c.err) || calls != c.calls || p.interrupted.Load() != int64(c.calls-1) {
			t.Errorf("%v: %d calls, %d of them for a standstill, %v", c.err, calls, p.interrupted.Load(), err)
		}
	}
}

func TestNothingToDo(t *testing.T) {
	var out, log strings.Builder
	if err := run(t.Context(), []string{"-servers", "0", "-compared", "0"}, &out, &log); err == nil || !strings.Contains(err.Error(), "nothing to do") {
		t.Errorf("run = %v", err)
	}
}
