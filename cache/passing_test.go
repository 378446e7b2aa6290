package cache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sys/unix"
)

// What the machine can't do for a moment is no damage: the mount fails, and the next one has all that was not sent.
func TestReplicaCannotBeOpenedNow(t *testing.T) {
	v := alone(t)
	must(t, v.write("old", "sent"))
	mustQuiet(t, v)
	v.wire.cut()
	must(t, v.rename("old", "moved", 0))
	must(t, v.write("new", "not sent"))
	v.end()
	for _, no := range []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EIO, unix.EACCES} {
		for _, kind := range []errorfs.OpKind{errorfs.OpOpen, errorfs.OpFileRead} {
			cfg := v.cfg
			cfg.seam.replica = errorfs.Wrap(v.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == kind {
					return &os.PathError{Op: "open", Path: op.Path, Err: no}
				}
				return nil
			}))
			d, err := Open(cfg)
			if err == nil {
				t.Fatalf("the cache opens, though %v of its files fails with %v", kind, errors.Join(no, d.Close()))
			}
			if !errors.Is(err, no) || !strings.Contains(err.Error(), "mount again") {
				t.Errorf("the error is %v", err)
			}
		}
	}
	v.start()
	truth := mustQuiet(t, v)
	if len(truth) != 2 || truth["moved"].content != "sent" || truth["new"].content != "not sent" {
		t.Errorf("the server has\n%v", truth)
	}
}

// Unsent content of a damaged replica is found though it was saved just before the end, and is not swept when it can't be looked at for a moment.
func TestUnsentContentCannotBeLookedAt(t *testing.T) {
	v := alone(t)
	mustQuiet(t, v)
	v.wire.cut()
	must(t, v.write("draft", "not sent"))
	file, _ := v.slotOf(t, "draft")
	v.end()
	must(t, v.mem.RemoveAll(filepath.Join(v.dir(), replicaDir)))
	must(t, os.Rename(file, file+"~"))
	must(t, os.Symlink(file, file)) // each look at it fails
	v.wire.mend()
	if err := v.open(); !errors.Is(err, unix.ELOOP) {
		t.Fatalf("the mount's error is %v", err)
	}
	must(t, os.Rename(file+"~", file))
	v.start()
	if truth := mustQuiet(t, v); truth["Recovered/draft"].content != "not sent" {
		t.Errorf("the server has\n%v\n%s", truth, v.log)
	}
}
