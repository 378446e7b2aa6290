package main

import (
	"sync"
	"time"
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

// since tells whether there was a standstill that what began then may have suffered from.
func (s *standstills) since(begin time.Time) bool {
	s.look() // the watcher may not have had its turn yet
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.until.IsZero() && begin.Before(s.until.Add(aftermath))
}

// all is how long they lasted.
func (s *standstills) all() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum
}

func (s *standstills) end() { close(s.over) }
