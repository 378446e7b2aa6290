package cache

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// sentAndLost has a device send a file, of whose content a power loss takes its own before the answer comes.
func (s *simulated) sentAndLost(t *testing.T, x *device, path, text string) {
	t.Helper()
	x.wire.faults(func(w *wire) {
		w.after = func(b api.Batch) error {
			if slices.ContainsFunc(b.Mutations, func(m api.Mutation) bool { return m.Version != nil && m.Version.SHA256.String() == hashOf(text) }) {
				return errCut
			}
			return nil
		}
	})
	x.wire.mend()
	must(t, x.write(path, text))
	eventually(t, "the server has it", func() bool { return s.server.Kept()[hashOf(text)] })
	x.settled()
	x.powerless(t, path)
	x.wire.faults(func(w *wire) { w.after = nil })
}

// What is written to a file whose content a power loss took does not go over what the server has of it: it began from nothing.
func TestWrittenToWhatPowerLossTook(t *testing.T) {
	opened := func(text string, flags uint32) func(x *device) error {
		return func(x *device) error {
			h, err := x.openFile("f", flags)
			if err == nil && text != "" {
				err = h.write(text)
			}
			if err == nil {
				h.close()
			}
			return err
		}
	}
	for how, lose := range map[string]func(t *testing.T, s *simulated, x, y *device){
		"made and sent": func(t *testing.T, s *simulated, x, y *device) { s.sentAndLost(t, x, "f", "the server's") },
		"written and sent": func(t *testing.T, s *simulated, x, y *device) {
			must(t, x.write("f", "before"))
			mustQuiet(t, x, y)
			s.sentAndLost(t, x, "f", "the server's")
		},
		"not sent": func(t *testing.T, s *simulated, x, y *device) {
			must(t, x.write("f", "the server's"))
			mustQuiet(t, x, y)
			x.loseContent(t, "f")
		},
		"lost again": func(t *testing.T, s *simulated, x, y *device) {
			s.sentAndLost(t, x, "f", "the server's")
			s.sentAndLost(t, x, "f", "the next")
		},
	} {
		for what, write := range map[string]func(x *device) error{
			"written":              opened("new", unix.O_WRONLY),
			"made empty":           opened("", unix.O_WRONLY|unix.O_TRUNC),
			"written from nothing": opened("new", unix.O_WRONLY|unix.O_TRUNC),
			"opened":               opened("", unix.O_RDWR),
			"replaced":             func(x *device) error { return errors.Join(x.write("f~", "new"), x.rename("f~", "f", 0)) },
		} {
			t.Run(how+", and "+what, func(t *testing.T) {
				inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
					lose(t, s, x, y)
					must(t, write(x))
					truth := mustQuiet(t, x, y)
					want := []string{"the server's"}
					if what != "opened" && what != "made empty" {
						want = append(want, "new")
					}
					if how == "lost again" {
						want = append(want, "the next")
					}
					hasOnce(t, truth, want...)
					if what != "replaced" && truth["f"].content != "the server's" {
						t.Errorf("f is %q", truth["f"].content)
					}
					if len(truth) != len(want) {
						t.Errorf("there are other files:\n%v", truth)
					}
				})
			})
		}
	}
}

// Content that became a conflict copy, and that a power loss took before that was heard, is not what a program read here meanwhile.
func TestConflictCopyOfWhatPowerLossTook(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("f", "before"))
		mustQuiet(t, x, y)
		x.deafen(true)
		must(t, y.write("f", "y's"))
		must(t, y.sync())
		s.sentAndLost(t, x, "f", "x's")
		if text, err := x.read("f"); err != nil || text != "" {
			t.Errorf("after the power loss: %q, %v", text, err)
		}
		x.deafen(false)
		hasOnce(t, mustQuiet(t, x, y), "y's", "x's")
	})
}

// What is appended to a file whose content comes back after a power loss goes to its end, whatever size the kernel knew meanwhile.
func TestAppendToWhatComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		s.sentAndLost(t, x, "f", "sent")
		a, err := x.stat("f")
		must(t, err)
		x.wire.mend()
		must(t, x.sync())
		const flags = unix.O_WRONLY | unix.O_APPEND
		if _, err := x.d.Open(a.FID, flags, self, nil); !errors.Is(err, ErrStale) {
			t.Errorf("the kernel is not told to look the name up: %v", err)
		}
		_, err = x.d.Open(a.FID, flags, self, nil) // as by a descriptor
		must(t, err)
		_, err = x.d.Append(a.FID, a.Size, []byte(" and more"), self)
		must(t, err)
		x.d.Release(a.FID, flags)
		hasOnce(t, mustQuiet(t, x, y), "sent and more")
	})
}
