//go:build !lockorder

// Package locks has the client's mutexes. They are those of package sync; built with the tag lockorder they also notice when two of
// them are taken in one order here and in the other there, which may be a deadlock some day, and end the program with both
// places (docs/design.md says which order is right).
package locks

import "sync"

type (
	Mutex   = sync.Mutex
	RWMutex = sync.RWMutex
)
