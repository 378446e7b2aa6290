package fusefs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

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
