package cache

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/api"
)

// naming fails batches that have a mutation of a name.
func naming(kind api.Kind, name api.Name) func(api.Batch) error {
	return func(b api.Batch) error {
		for _, m := range b.Mutations {
			if m.Name == name || m.ToName == name {
				return api.Errorf(kind, "something went wrong")
			}
		}
		return nil
	}
}

// What the server always fails on holds up neither what else there is to send nor
// what there is to hear. It waits with what must not overtake it, people are told, and it goes out when
// the server can.
func TestServerFailsOnOneChange(t *testing.T) {
	for _, kind := range []api.Kind{api.Internal, api.TooLarge, api.Unavailable} {
		for _, kill := range []bool{false, true} {
			if kill && kind != api.Internal {
				continue
			}
			t.Run(fmt.Sprintf("%s, killed=%v", kind, kill), func(t *testing.T) {
				a, b, _, _ := pair(t)
				must(t, a.mkdir("d"))
				must(t, a.write("d/old", "0"))
				mustQuiet(t, a, b)
				a.wire.cut()
				for i := range 40 {
					must(t, a.write(fmt.Sprint("d/before", i), "text"))
				}
				must(t, a.mkdir("d/bad"))
				must(t, a.write("d/bad/below", "waits"))
				must(t, a.rename("d/old", "d/new", 0))
				for i := range 40 {
					must(t, a.write(fmt.Sprint("d/after", i), "text"))
				}
				a.wire.faults(func(w *wire) { w.fails = naming(kind, "bad") })
				a.wire.mend()
				if kill {
					eventually(t, "a batch fails", func() bool { a.d.mu.Lock(); defer a.d.mu.Unlock(); return a.d.syn.flight != nil })
					a.settled()
					a.kill(false)
					a.start()
				}
				var tree view
				eventually(t, "all else is sent", func() (there bool) {
					tree, _ = b.view()
					return len(tree) == 82
				})
				must(t, b.write("news", "from b"))
				must(t, b.sync())
				eventually(t, "a hears", func() bool { text, err := a.read("news"); return err == nil && text == "from b" })
				if _, err := b.stat("d/bad/below"); err == nil {
					t.Error("what is below a directory overtook it")
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if err := a.d.Sync(ctx, true, nil); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), `the server fails on "bad" (create)`) {
					t.Errorf("sync --wait: %v", err)
				}
				s := a.d.Status()
				if s.Failing != 1 || s.PendingMutations != 2 || !strings.Contains(s.Problem, "something went wrong") || !s.Connected {
					t.Errorf("status: %+v", s)
				}
				eventually(t, "people are told", func() bool { return strings.Contains(fmt.Sprint(a.d.Status().Events), "bad  something went wrong") })
				// It is in this machine's folder all the same, and what comes next is sent.
				if text, err := a.read("d/bad/below"); err != nil || text != "waits" {
					t.Errorf("below it: %q, %v", text, err)
				}
				must(t, a.write("d/next", "goes on"))
				eventually(t, "what comes next is sent", func() bool { text, err := b.read("d/next"); return err == nil && text == "goes on" })
				a.wire.faults(func(w *wire) { w.fails = nil })
				truth := mustQuiet(t, a, b)
				if truth["d/bad/below"].content != "waits" || truth["d/new"].content != "0" || len(truth) != 86 {
					t.Errorf("in the end %d:\n%v", len(truth), truth)
				}
				if s := a.d.Status(); s.Failing != 0 || s.Problem != "" || s.Conflicts != 0 || s.Refused != 0 {
					t.Errorf("in the end: %+v", s)
				}
			})
		}
	}
}

// What waits for it to be tried again is tried again less and less often.
func TestSetAsideIsTriedRarely(t *testing.T) {
	v := alone(t)
	mustQuiet(t, v)
	var tries atomic.Int64
	bad := naming(api.Internal, "bad")
	v.wire.faults(func(w *wire) {
		w.fails = func(b api.Batch) error {
			err := bad(b)
			if err != nil {
				tries.Add(1)
			}
			return err
		}
	})
	must(t, v.mkdir("bad"))
	eventually(t, "it is set aside", func() bool { return v.d.Status().Failing == 1 })
	time.Sleep(4 * time.Second)
	// Twice as a batch, then after 1 and 2 more seconds.
	if n := tries.Load(); n > 5 {
		t.Errorf("tried %d times in 4 seconds", n)
	}
	v.d.mu.Lock()
	for range 30 {
		v.d.setAside(v.d.journal.oldest(), errCut)
	}
	e := v.d.journal.find(v.d.journal.oldest())
	if wait := time.Until(e.after); wait < longestPause-time.Minute || wait > longestPause {
		t.Errorf("after 30 failures it waits %v", wait)
	}
	v.d.mu.Unlock()
}

// An answer of failure to a batch that was applied does not lead to its being applied twice.
func TestFailedAfterItWasApplied(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("f", "0"))
	mustQuiet(t, a, b)
	var failures atomic.Int64
	a.wire.cut()
	must(t, a.write("f", "1"))
	must(t, a.link("f", "g"))
	must(t, a.mkdir("d"))
	must(t, a.write("d/x", "2"))
	a.wire.faults(func(w *wire) {
		w.after = func(b api.Batch) error {
			if len(b.Mutations) > 0 && failures.Add(1) <= 5 {
				return api.Errorf(api.Internal, "it broke at the end")
			}
			return nil
		}
	})
	a.wire.mend()
	truth := mustQuiet(t, a, b)
	if truth["f"].nlink != 2 || truth["f"].content != "1" || truth["d/x"].content != "2" || len(truth) != 4 {
		t.Errorf("the server has\n%v", truth)
	}
	if s := a.d.Status(); len(s.Events) > 0 || s.Conflicts > 0 || s.Refused > 0 || s.Failing > 0 || failures.Load() < 5 {
		t.Errorf("after %d failures: %+v", failures.Load(), s)
	}
}

// A cache that was put back from a copy numbers its batches as the server has known them for
// long. It begins a new life instead of being refused for ever.
func TestCacheFromACopy(t *testing.T) {
	v := alone(t)
	for i := range 3 {
		must(t, v.write("f", fmt.Sprint(i)))
		mustQuiet(t, v)
	}
	v.d.mu.Lock()
	life, number := v.d.syn.life, v.d.syn.number
	v.d.syn.number = 0
	v.d.mu.Unlock()
	must(t, v.write("f", "in the new life"))
	must(t, v.mkdir("d"))
	if truth := mustQuiet(t, v); truth["f"].content != "in the new life" || len(truth) != 2 {
		t.Errorf("the server has\n%v", truth)
	}
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	if v.d.syn.life == life || number == 0 {
		t.Errorf("the life of batch %d goes on", number)
	}
}

// One file whose content the server does not take, or this machine can't read, does not keep
// others from being sent.
func TestOneFileFailsToUpload(t *testing.T) {
	v := alone(t)
	mustQuiet(t, v)
	v.wire.cut()
	for i := range 20 {
		must(t, v.write(fmt.Sprint("f", i), fmt.Sprint("text ", i)))
	}
	must(t, v.write("poison", "POISON"))
	must(t, v.write("unreadable", "as it was"))
	file, _ := v.slotOf(t, "unreadable")
	must(t, os.Rename(file, file+".away"))
	must(t, os.Mkdir(file, 0o700))
	v.wire.faults(func(w *wire) {
		w.packs = func(pack []byte) error {
			if bytes.Contains(pack, []byte("POISON")) {
				return api.Errorf(api.Internal, "something went wrong")
			}
			return nil
		}
	})
	v.wire.mend()
	eventually(t, "the others are sent", func() bool { return v.d.Status().PendingMutations == 2 })
	eventually(t, "people are told", func() bool { return v.d.Status().Problem != "" })
	must(t, os.Remove(file))
	must(t, os.Rename(file+".away", file))
	v.wire.faults(func(w *wire) { w.packs = nil })
	if truth := mustQuiet(t, v); len(truth) != 22 || truth["poison"].content != "POISON" || truth["unreadable"].content != "as it was" {
		t.Errorf("the server has\n%v", truth)
	}
}
