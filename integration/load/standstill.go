package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"satchel/api"
)

// standstills notes when this program did not run, as while it or the machine was stopped: deadlines pass then on both
// sides, and calls fail by them that would not have. It is safe for concurrent use.
type standstills struct {
	over chan struct{}

	mu    sync.Mutex
	last  time.Time     // that the watcher ran
	until time.Time     // of the last standstill
	sum   time.Duration // of all
}

const (
	watching   = 200 * time.Millisecond
	standstill = 3 * time.Second // longer than a busy machine keeps a goroutine waiting
	aftermath  = 5 * time.Second // for how long calls fail because of one
)

func watchStandstills() *standstills {
	s := &standstills{over: make(chan struct{}), last: time.Now()}
	go func() {
		for {
			select {
			case <-s.over:
				return
			case <-time.After(watching):
				s.look()
			}
		}
	}()
	return s
}

// look tells whether the watcher has not run for long, and notes it.
func (s *standstills) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if gap := now.Sub(s.last); gap > standstill {
		s.sum += gap
		s.until = now
	}
	s.last = now
}

// since is the end of the last standstill, if what began then may have suffered from it, else zero.
func (s *standstills) since(begin time.Time) time.Time {
	s.look() // the watcher may not have had its turn yet
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until.IsZero() || !begin.Before(s.until.Add(aftermath)) {
		return time.Time{}
	}
	return s.until
}

// bySilence tells whether an error is of the kinds that a standstill makes: somebody did not hear from the other in time.
func bySilence(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return err != nil && (network || api.KindOf(err) == api.Unavailable || errors.Is(err, context.DeadlineExceeded))
}

// all is how long they lasted.
func (s *standstills) all() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum
}

func (s *standstills) end() { close(s.over) }
