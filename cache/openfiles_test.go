package cache

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A file that stays open is sent when it rests, not again while nothing changes, and at last
// even if it never rests.
func TestFilesThatStayOpen(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("log", "one"))
	mustQuiet(t, a, b)
	h, err := a.openFile("log", unix.O_WRONLY)
	must(t, err)
	defer h.close()
	reads := func(want string) func() bool {
		return func() bool {
			got, err := b.read("log")
			return err == nil && strings.Contains(got, want)
		}
	}
	must(t, h.write("two, and open"))
	a.d.lookAtOpen(time.Now())
	eventually(t, "the other device has it", reads("two"))
	if a.d.Status().Unproven == 0 {
		t.Error("an open file is taken for clean")
	}
	eventually(t, "the answer came", func() bool {
		n := h.node()
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		return n.hot.entry != nil && n.hot.sent != nil && n.hot.sent.version.ID == n.version
	})
	a.d.lookAtOpen(time.Now())
	n := h.node()
	a.d.mu.Lock()
	if n.hot.queued {
		t.Error("it is to be hashed again, though nothing changed")
	}
	a.d.mu.Unlock()

	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				h.write("three, " + time.Now().String())
			}
		}
	}()
	time.Sleep(200 * time.Millisecond)
	start := time.Now()
	a.d.lookAtOpen(start)
	a.d.lookAtOpen(start.Add(unsentMax))
	eventually(t, "the other device has what never rests", reads("three"))
}

// A new file that is opened for reading only, as flock(1) makes one, is sent like one that is made and closed.
func TestFileMadeForReading(t *testing.T) {
	a, b, _, _ := pair(t)
	h, err := a.openFile("lock", unix.O_RDONLY|unix.O_CREAT)
	must(t, err)
	defer h.close()
	eventually(t, "the other device has it", func() bool {
		_, err := b.stat("lock")
		return err == nil
	})
	must(t, a.rename("lock", "held", 0))
	eventually(t, "the other device has its new name", func() bool {
		_, err := b.stat("held")
		return err == nil
	})
}
