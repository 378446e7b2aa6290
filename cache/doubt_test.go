package cache

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A file in doubt that a program moves to another directory is in doubt there: what the server has of it comes (simulation, seed 31009195).
func TestDoubtGoesAlong(t *testing.T) {
	for how, flags := range map[string]uint32{"renamed": 0, "exchanged": unix.RENAME_EXCHANGE} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
				must(t, x.mkdir("e"))
				must(t, x.write("d", "the server's"))
				if flags != 0 {
					must(t, x.write("e/d", "the other's"))
				}
				mustQuiet(t, x, y)
				x.loseContent(t, "d")
				must(t, x.rename("d", "e/d", flags))
				hasOnce(t, mustQuiet(t, x, y), "the server's")
			})
		})
	}
}

// loseContent writes into a file what a power loss takes with the whole content file, and starts again without the server.
func (v *device) loseContent(t *testing.T, path string) {
	v.wire.cut()
	must(t, v.write(path, "never durable"))
	v.settled()
	v.powerless(t, path)
}

// powerless takes a file's content file, as a power loss may, and starts again without the server.
func (v *device) powerless(t *testing.T, path string) {
	a, err := v.stat(path)
	must(t, err)
	v.d.mu.Lock()
	content := strings.TrimPrefix(v.d.slotPath(v.d.byFID[a.FID].slot), v.dir())
	v.d.mu.Unlock()
	v.kill(false)
	must(t, os.Remove(v.dir()+content))
	v.wire.cut()
	v.start()
}

// What a program sees of a file whose content a power loss took, before the answer comes to what was sent of it, is not what the file is then (simulation, seed 40060823).
func TestReadBeforeTheAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		x.wire.faults(func(w *wire) { w.after = func(api.Batch) error { return errCut } })
		must(t, x.write("f", "sent"))
		eventually(t, "the server has it", func() bool { return s.server.Kept()[hashOf("sent")] })
		x.settled()
		x.powerless(t, "f")
		x.wire.faults(func(w *wire) { w.after = nil })
		if text, err := x.read("f"); err != nil || text != "" {
			t.Errorf("after the power loss: %q, %v", text, err)
		}
		hasOnce(t, mustQuiet(t, x, y), "sent")
	})
}

// A file in doubt of which a program removes the name that it has there is in doubt in the directory of its other name.
func TestDoubtGoesToTheOtherName(t *testing.T) {
	for how, remove := range map[string]func(x *device) error{
		"removed":  func(x *device) error { return x.unlink("d") },
		"replaced": func(x *device) error { return errors.Join(x.write("new", "new"), x.rename("new", "d", 0)) },
		"removed before a restart": func(x *device) error {
			err := x.unlink("d")
			x.settled()
			x.kill(false)
			x.wire.cut()
			x.start()
			return err
		},
	} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
				must(t, x.mkdir("e"))
				must(t, x.write("d", "the server's"))
				must(t, x.link("d", "e/d"))
				mustQuiet(t, x, y)
				x.loseContent(t, "d")
				must(t, remove(x))
				hasOnce(t, mustQuiet(t, x, y), "the server's")
			})
		})
	}
}

// However many files lose a name in a directory that is in doubt, all names are looked at for their others a few times.
func TestDoubtGoesToOtherNamesTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		const files = 100
		must(t, x.mkdir("d"))
		must(t, x.mkdir("e"))
		for i := range files {
			must(t, x.write(fmt.Sprint("d/", i), fmt.Sprint("text ", i)))
			must(t, x.link(fmt.Sprint("d/", i), fmt.Sprint("e/", i)))
		}
		mustQuiet(t, x, y)
		x.wire.cut()
		a, err := x.stat("d")
		must(t, err)
		x.d.mu.Lock()
		tx := x.d.begin()
		x.d.doubt(tx, x.d.byFID[a.FID].id)
		must(t, tx.commit())
		x.d.seen = 0
		x.d.mu.Unlock()
		for i := range files {
			must(t, x.unlink(fmt.Sprint("d/", i)))
		}
		x.wire.mend()
		must(t, x.sync())
		x.d.mu.Lock()
		if most := int64(10 * 2 * files); x.d.seen > most {
			t.Errorf("%d names were looked at for %d files", x.d.seen, files)
		}
		x.d.mu.Unlock()
		mustQuiet(t, x, y)
	})
}

// What another device writes into a file that is open here, and that it moves then, comes after the next start too (simulation, seed 31008654).
func TestOpenFileIsWrittenAndMoved(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.mkdir("d"))
		must(t, x.mkdir("e"))
		must(t, x.write("d/f", "0"))
		mustQuiet(t, x, y)
		h, err := y.openFile("d/f", unix.O_RDWR)
		must(t, err)
		must(t, x.write("d/f", "x's"))
		must(t, x.sync())
		eventually(t, "y hears", func() bool {
			y.d.mu.Lock()
			defer y.d.mu.Unlock()
			n := y.d.byFID[h.fid]
			return n.hot != nil && n.hot.other
		})
		must(t, x.rename("d/f", "e/f", 0))
		must(t, x.sync())
		eventually(t, "y hears that it was moved", func() bool { _, err := y.stat("e/f"); return err == nil })
		must(t, y.write("other", "y's")) // what is in doubt is looked at after something was sent
		must(t, y.sync())
		time.Sleep(10 * time.Second)
		y.restart()
		hasOnce(t, mustQuiet(t, x, y), "x's", "y's")
	})
}
