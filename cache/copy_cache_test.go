package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// copied is a second device from a copy of an ended one's cache directory, with its login: the same machine too,
// as far as anything on it tells.
func (v *device) copied(name string) *device {
	v.t.Helper()
	w := &device{name: name, t: v.t, wire: newWire(v.wire.Remote), mem: vfs.NewCrashableMem(), rng: v.rng, home: scratch(v.t),
		cfg: v.cfg, log: &logBuffer{}, durable: map[string]durable{}}
	must(v.t, os.CopyFS(w.dir(), os.DirFS(v.dir())))
	must(v.t, w.mem.MkdirAll(w.dir(), 0o700))
	_, err := vfs.Clone(v.mem, w.mem, filepath.Join(v.dir(), replicaDir), filepath.Join(w.dir(), replicaDir), vfs.CloneSync)
	must(v.t, err)
	v.t.Cleanup(w.end)
	return w
}

// A copy of a cache and the original are two devices, though they have one login: each hears what the other does, and their
// batches, which would have the same numbers, are all applied.
func TestACopyIsAnotherDevice(t *testing.T) {
	v := alone(t)
	must(t, v.write("shared", "before the copy"))
	mustQuiet(t, v)
	v.end()
	w := v.copied("copy")
	v.start()
	w.start()
	v.wire.cut()
	w.wire.cut()
	for i := range 3 {
		must(t, v.write(fmt.Sprint("original ", i), fmt.Sprint("by the original ", i)))
		must(t, w.write(fmt.Sprint("copy ", i), fmt.Sprint("by the copy ", i)))
	}
	truth := mustQuiet(t, v, w)
	for i := range 3 {
		for _, who := range []string{"original", "copy"} {
			if got := truth[fmt.Sprint(who, " ", i)].content; got != fmt.Sprintf("by the %s %d", who, i) {
				t.Errorf("file %d of the %s: %q", i, who, got)
			}
		}
	}
	must(t, v.write("shared", "edited by the original"))
	mustQuiet(t, v, w)
	must(t, w.write("shared", "and by the copy"))
	if truth := mustQuiet(t, v, w); truth["shared"].content != "and by the copy" || len(truth) != 7 {
		t.Errorf("in the end:\n%v", truth)
	}
}

// A batch that was in flight when the cache was copied is applied once, though both send it
// again; and then they part.
func TestACopyWithABatchInFlight(t *testing.T) {
	v := alone(t)
	must(t, v.write("shared", "before the copy"))
	mustQuiet(t, v)
	left := v.wire.loseCommits(1)
	must(t, v.write("shared", "in flight"))
	soon(t, func() bool { return left() == 0 })
	v.wire.cut()
	v.end()
	w := v.copied("copy")
	v.wire.mend()
	v.start()
	w.start()
	must(t, v.write("original", "by the original"))
	must(t, w.write("copy", "by the copy"))
	truth := mustQuiet(t, v, w)
	if len(truth) != 3 || truth["shared"].content != "in flight" || truth["original"].content != "by the original" || truth["copy"].content != "by the copy" {
		t.Errorf("in the end:\n%v", truth)
	}
}
