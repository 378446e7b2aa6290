package fusefs

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// patiently makes a call that may wait for the server. The kernel tells us of every signal that a waiting program gets,
// but on a local disk no open, look-up or read ends with EINTR, and programs that have timers do not expect it
// (PostgreSQL gives up). So only a signal that ends the program ends the wait: the call is made once more.
func patiently(cancel <-chan struct{}, thread uint32, call func(cancel <-chan struct{}) fuse.Status) fuse.Status {
	st := call(cancel)
	if st != fuse.EINTR || dying(thread) {
		return st
	}
	killed, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				if dying(thread) {
					close(killed)
					return
				}
			}
		}
	}()
	return call(killed)
}
