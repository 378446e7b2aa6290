package fusefs

import (
	"os/exec"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A signal that the program lives on with ends no call; one that kills it does.
func TestPatience(t *testing.T) {
	program := exec.Command("sleep", "60")
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	thread := uint32(program.Process.Pid)
	interrupted := make(chan struct{})
	close(interrupted)
	calls := 0
	wait := func(cancel <-chan struct{}) fuse.Status {
		calls++
		select {
		case <-cancel:
			return fuse.EINTR
		case <-time.After(200 * time.Millisecond): // it came
			return fuse.OK
		}
	}
	if st := patiently(interrupted, thread, wait); st != fuse.OK || calls != 2 {
		t.Errorf("the program lives: %v after %d calls", st, calls)
	}
	calls = 0
	gone := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() {
		defer close(gone)
		program.Process.Kill()
		program.Wait()
	})
	if st := patiently(interrupted, thread, func(cancel <-chan struct{}) fuse.Status {
		if calls++; calls == 1 {
			return fuse.EINTR
		}
		<-cancel // for ever, otherwise
		return fuse.EINTR
	}); st != fuse.EINTR || calls != 2 {
		t.Errorf("the program was killed: %v after %d calls", st, calls)
	}
	<-gone
	calls = 0
	if st := patiently(interrupted, thread, wait); st != fuse.EINTR || calls != 1 {
		t.Errorf("the program is gone: %v after %d calls", st, calls)
	}
}
