package cache

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A device that has taken a restored server's word for the truth, but not yet listed all of it again, when the server is restored once more, still
// gives back what only the first of the two restores had undone, and another device had given back between them.
func TestRestoredAgainWhileListing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("f", "in the backup"))
		mustQuiet(t, x, y)
		first := s.server.Backup()
		must(t, x.write("f", "after the backup"))
		mustQuiet(t, x, y)
		_, err := y.read("f")
		must(t, err)
		mustQuiet(t, x, y)
		x.wire.cut()
		y.wire.cut()
		first()
		for _, name := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
			must(t, s.store(name, name))
		}
		second := s.server.Backup()
		hasOnce(t, s.quiet(t, x), "after the backup")
		x.wire.cut()
		asked := 0
		y.wire.faults(func(w *wire) {
			w.together = func([]api.ID) error {
				if asked++; asked > 1 {
					return errors.New("the line breaks")
				}
				return nil
			}
		})
		y.wire.mend()
		eventually(t, "what the server lacks is known", func() bool { return asked > 1 })
		y.wire.cut()
		second()
		y.wire.faults(func(w *wire) { w.together = nil })
		truth := s.quiet(t, y)
		hasOnce(t, truth, "after the backup")
	})
}

// givenBackOpen gives f back to a restored server, which a program on x has open all the time.
func givenBackOpen(t *testing.T, s *simulated, x, y *device) *handle {
	t.Helper()
	must(t, x.write("f", "in the backup"))
	mustQuiet(t, x, y)
	restore := s.server.Backup()
	must(t, x.write("f", "after the backup"))
	mustQuiet(t, x, y)
	h, err := x.openFile("f", unix.O_RDWR)
	must(t, err)
	restore()
	s.quiet(t, x, y)
	return h
}

// What a program writes into a file that was given back, and that it had in it before, is a write like any other.
func TestGivenBackAndWrittenAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		defer givenBackOpen(t, s, x, y).close()
		for _, text := range []string{"edited then", "after the backup"} {
			must(t, x.write("f", text))
			must(t, x.sync())
			if truth := mustQuiet(t, x, y); truth["f"].content != text {
				t.Errorf("not %q: the server has\n%v", text, truth)
			}
		}
	})
}

// Between two restores, of which the second is to the newer backup, a device has taken the server's word for the truth, but not listed all of it.
// What it changed then, or heard of, the second restore has undone, whatever number that had; the same where it is the server of before the restores that comes back.
func TestRestoredForwardWhileListing(t *testing.T) {
	for _, c := range []struct {
		name              string
		restarted, former bool
		sending           bool // a batch is on its way
	}{{"", false, false, false}, {"restarted", true, false, false}, {"the former server", false, true, false}, {"the former server, restarted", true, true, false}, {"the former server, to a batch", false, true, true}} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
				must(t, x.write("f", "in the backup"))
				must(t, x.write("g", "in the backup"))
				mustQuiet(t, x, y)
				older := s.server.Backup()
				for _, text := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
					must(t, s.store("counted", text))
				}
				mustQuiet(t, x, y)
				newer := s.server.Backup()
				if c.former {
					newer = s.server.Aside()
				}
				x.wire.cut()
				asked := 0
				y.wire.faults(func(w *wire) {
					w.together = func([]api.ID) error {
						if asked++; asked > 1 {
							return errors.New("the line breaks")
						}
						return nil
					}
				})
				older()
				eventually(t, "what the server lacks is known", func() bool { return asked > 1 })
				must(t, y.write("f", "between the restores"))
				must(t, y.sync())
				must(t, y.unlink("counted"))
				must(t, y.sync())
				y.wire.cut()
				if c.sending {
					must(t, y.mkdir("made"))
				}
				if c.restarted {
					must(t, y.d.Close())
				}
				newer()
				y.wire.faults(func(w *wire) { w.together = nil })
				if c.restarted {
					y.start()
				}
				hasOnce(t, s.quiet(t, y), "between the restores")
				hasOnce(t, s.quiet(t, x, y), "between the restores")
			})
		})
	}
}

// What is saved once more, after it was given back and others wrote the file since, is a save like any other, though its text was given back.
func TestGivenBackAndSavedOverAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		defer givenBackOpen(t, s, x, y).close()
		must(t, x.write("f", "edited then"))
		must(t, x.sync())
		mustQuiet(t, x, y)
		x.wire.cut()
		must(t, y.write("f", "edited by the other"))
		must(t, y.sync())
		must(t, x.write("f", "after the backup"))
		hasOnce(t, s.quiet(t, x, y), "after the backup", "edited by the other")
	})
}

// While the server of before the restores is back, and can't be listed, a device asks it less and less often.
func TestUnlistableServerIsAskedLessOften(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("f", "in the backup"))
		mustQuiet(t, x, y)
		restore := s.server.Backup()
		back := s.server.Aside()
		asked := 0
		y.wire.faults(func(w *wire) {
			w.together = func([]api.ID) error {
				if asked++; asked > 1 {
					return errors.New("the line breaks")
				}
				return nil
			}
		})
		restore()
		eventually(t, "what the server lacks is known", func() bool { return asked > 1 })
		back()
		time.Sleep(10 * time.Second)
		before := asked
		time.Sleep(2 * time.Minute)
		if n := asked - before; n == 0 || n > 60 {
			t.Errorf("asked %d times in two minutes", n)
		}
		y.wire.faults(func(w *wire) { w.together = nil })
		mustQuiet(t, x, y)
	})
}
