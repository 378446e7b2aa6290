package cache

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A file that is open for writing here and was removed elsewhere, which is heard of, keeps the name that it is given then, and is here
// by the one at which it is again after a restore, though it is closed unchanged.
func TestRemovedWhileOpenAndBack(t *testing.T) {
	for _, offline := range []bool{false, true} {
		inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
			must(t, x.mkdir("e"))
			h, err := x.openFile("d", unix.O_RDWR|unix.O_CREAT)
			must(t, err)
			must(t, x.sync())
			time.Sleep(5 * time.Second)
			restore := s.server.Backup()
			must(t, y.unlink("d"))
			must(t, y.sync())
			time.Sleep(5 * time.Second) // this is heard of
			want := 2
			if !offline {
				restore()
				time.Sleep(30 * time.Second) // all is listed again
				want = 3
			}
			h.close()
			time.Sleep(quiet - 50*time.Millisecond)
			must(t, x.link("d", "e/d"))
			if offline {
				x.wire.cut()
			}
			time.Sleep(time.Minute)
			if _, err := x.read("e/d"); err != nil {
				t.Errorf("the name that it was given: %v", err)
			}
			x.wire.mend()
			if truth := mustQuiet(t, x, y); len(truth) != want {
				t.Errorf("the server has\n%v", truth)
			}
		})
	}
}
