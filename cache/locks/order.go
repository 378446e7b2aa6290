//go:build lockorder

package locks

import "github.com/sasha-s/go-deadlock"

type (
	Mutex   = deadlock.Mutex
	RWMutex = deadlock.RWMutex
)

func init() {
	deadlock.Opts.DeadlockTimeout = 0 // a lock that is waited for long is no fault: machines are slow, and in a bubble of testing/synctest time jumps
}
