package fusefs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
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

// dying tells whether a thread in a system call is about to be killed: to the kernel a signal that ends a
// program is SIGKILL for each of its threads (complete_signal in kernel/signal.c). One that is not seen may be.
func dying(thread uint32) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return true
	}
	for line := range bytes.Lines(b) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) == "SigPnd" || string(name) == "ShdPnd" {
			set, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
			if err != nil || set&(1<<(unix.SIGKILL-1)) != 0 {
				return true
			}
		}
	}
	return false
}
