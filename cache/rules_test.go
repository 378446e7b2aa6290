package cache

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// slotOf is the content file of a path.
func (v *device) slotOf(t testing.TB, path string) (file string, rec slotRecord) {
	t.Helper()
	a, err := v.stat(path)
	must(t, err)
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	n := v.d.byFID[a.FID]
	b, err := v.d.st.get(slotKey(n.slot))
	must(t, err)
	rec, err = decodeSlot(b)
	must(t, err)
	return v.d.slotPath(n.slot), rec
}

// eventually asks until fn is true.
func eventually(t testing.TB, what string, fn func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !fn() {
		if time.Since(start) > time.Minute {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

// Local = what the server says, with what is pending replayed on it: news
// about a node do not undo what was changed here and is on its way.
func TestNewsKeepPendingChanges(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.mkdir("d"))
	must(t, a.write("d/f", "first"))
	must(t, a.write("d/g", "first"))
	must(t, a.write("d/k", "first"))
	mustQuiet(t, a, b)
	// a hears, and its content does not get through: what comes after it in its
	// journal stays pending while the news come.
	a.wire.stopUploads(true)
	must(t, a.write("d/f", "a's"))
	must(t, a.chmod("d/f", 0o600))
	must(t, a.write("d/g", "a's too"))
	must(t, a.rename("d/g", "d/h", 0))
	must(t, a.rename("d/k", "d/l", 0))
	must(t, a.write("d/both", "a's"))
	must(t, b.write("d/both", "b's"))
	x, err := b.stat("d/f")
	must(t, err)
	must(t, b.d.Setxattr(x.FID, "user.b", []byte("1"), false, false))
	must(t, b.chmod("d/f", 0o604))
	must(t, b.chmod("d/g", 0o640))
	must(t, b.write("d/new", "b's"))
	must(t, b.sync())
	eventually(t, "a hears of b's work", func() bool { _, err := a.stat("d/new"); return err == nil })
	tree, err := a.view()
	must(t, err)
	if f := tree["d/f"]; f.mode != 0o600 || f.content != "a's" || f.xattrs == "" {
		t.Errorf("d/f with a pending write and chmod, after news of its xattr and mode: %v", f)
	}
	if _, old := tree["d/g"]; old || tree["d/h"].content != "a's too" || tree["d/h"].mode != 0o640 {
		t.Errorf("the pending rename and the other's chmod:\n%v", tree)
	}
	if tree["d/both"].content != "a's" {
		t.Errorf("a name that was given here shows %q before the server has heard of it", tree["d/both"].content)
	}
	a.wire.stopUploads(false)
	truth := mustQuiet(t, a, b)
	if truth["d/both"].content != "b's" || len(truth.find("a's")) != 2 { // with d/f
		t.Errorf("two files of one name:\n%v", truth)
	}
	if f := truth["d/f"]; f.mode != 0o600 || f.content != "a's" || truth["d/h"].mode != 0o640 || truth["d/h"].content != "a's too" {
		t.Errorf("in the end:\n%v", truth)
	}
}

// An open for writing is recorded before it is answered: from then on
// programs write unseen, and a store through a mapping may move no clock.
func TestDirtyBeforeOpen(t *testing.T) {
	v := alone(t)
	must(t, v.write("f", "as it was"))
	mustQuiet(t, v)
	eventually(t, "f is clean", func() bool { _, rec := v.slotOf(t, "f"); return !rec.dirty })
	h, err := v.openFile("f", unix.O_RDWR)
	must(t, err)
	file, rec := v.slotOf(t, "f")
	if !rec.dirty {
		t.Error("an open for writing was answered before it was recorded")
	}
	if v.d.Status().Unproven != 1 {
		t.Error("a file that is open for writing is taken for clean")
	}
	// It survives a crash, after which the file is hashed whatever its times say.
	v.settled()
	_ = h
	v.kill(false)
	must(t, os.WriteFile(v.dir()+strings.TrimPrefix(file, v.home+"/0"), []byte("unseen"), 0o600))
	v.start()
	if truth := mustQuiet(t, v); truth["f"].content != "unseen" {
		t.Errorf("the server has %q", truth["f"].content)
	}
}

// A file is clean only when nobody can write it any more, whatever is closed:
// the lease comes before the clean mark. (fusefs has the same with a real mount.)
func TestLeaseBeforeClean(t *testing.T) {
	v := alone(t)
	must(t, v.write("f", strings.Repeat("x", 8192)))
	file, _ := v.slotOf(t, "f")
	w, err := os.OpenFile(file, os.O_RDWR, 0)
	must(t, err)
	mem, err := unix.Mmap(int(w.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	must(t, w.Close())
	must(t, v.sync()) // a checkpoint
	for i := range 12 {
		mem[i] = 'y'
		time.Sleep(100 * time.Millisecond)
		if n := v.d.Status().Unproven; n != 1 {
			t.Fatalf("%d files unproven while one is mapped", n)
		}
	}
	copy(mem[100:], "the last store")
	want := string(mem)
	must(t, unix.Munmap(mem))
	took := eventually(t, "f is clean", func() bool { return v.d.Status().Unproven == 0 })
	t.Logf("clean %v after the mapping was gone", took)
	// The lease was given back: whoever held it would make the next one who writes wait.
	fd, err := unix.Open(file, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Errorf("opening the content for writing after it was proven clean: %v", err)
	}
	unix.Close(fd)
	if truth := mustQuiet(t, v); truth["f"].content != want {
		t.Error("the last store is missing")
	}
}

// Only one goroutine notifies the kernel, it holds no lock, the queue is
// bounded, and a device's own changes are no news.
func TestOneNotifier(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.mkdir("d"))
	for i := range 30 {
		must(t, a.write(fmt.Sprint("d/", i), "0"))
	}
	mustQuiet(t, a, b)
	k := &slowKernel{d: b.d, gate: make(chan struct{})}
	kernel := Kernel(k)
	b.d.kern.Store(&kernel)
	for round := range 5 {
		for i := range 30 {
			must(t, a.write(fmt.Sprint("d/", i), fmt.Sprint("round ", round)))
		}
		must(t, a.sync())
		eventually(t, "b hears", func() bool { text, err := b.read("d/29"); return err == nil && text == fmt.Sprint("round ", round) })
	}
	b.d.notes.mu.Lock()
	waiting := len(b.d.notes.todo)
	b.d.notes.mu.Unlock()
	if waiting > 3*32 {
		t.Errorf("%d notes wait for 31 nodes", waiting)
	}
	close(k.gate)
	delivered := func() bool {
		b.d.notes.mu.Lock()
		defer b.d.notes.mu.Unlock()
		return len(b.d.notes.todo) == 0 && k.inside.Load() == 0
	}
	eventually(t, "the notes are delivered", delivered)
	if k.most.Load() != 1 || k.calls.Load() == 0 {
		t.Errorf("%d goroutines at once, %d calls", k.most.Load(), k.calls.Load())
	}
	// Its own changes.
	mustQuiet(t, a, b)
	eventually(t, "these notes are delivered", delivered)
	time.Sleep(50 * time.Millisecond)
	before := k.calls.Load()
	must(t, b.write("d/own", "own"))
	must(t, b.rename("d/own", "d/1", 0))
	must(t, b.chmod("d/2", 0o600))
	must(t, b.sync())
	mustQuiet(t, a, b)
	if n := k.calls.Load() - before; n != 0 {
		t.Errorf("the kernel was told %d times of what it did itself", n)
	}
}

// A slowKernel waits in its first call, and asks the drive in each: whoever
// held a lock while notifying would wait for ever.
type slowKernel struct {
	noKernel
	d      *Drive
	gate   chan struct{}
	once   sync.Once
	inside atomic.Int32
	most   atomic.Int32
	calls  atomic.Int32
}

func (k *slowKernel) call() {
	k.calls.Add(1)
	n := k.inside.Add(1)
	for m := k.most.Load(); n > m && !k.most.CompareAndSwap(m, n); m = k.most.Load() {
	}
	k.once.Do(func() { <-k.gate })
	k.d.Getattr(rootFID)
	k.inside.Add(-1)
}

func (k *slowKernel) EntryChanged(uint64, string) { k.call() }
func (k *slowKernel) InodeChanged(uint64, bool)   { k.call() }

// However an editor saves, the file keeps its document: its id and history.
func TestSaveKeepsTheDocument(t *testing.T) {
	for _, c := range []struct {
		name string
		save func(v *device) error
	}{
		{"in place", func(v *device) error { return v.write("doc", "second") }},
		{"by rename", func(v *device) error {
			if err := v.write("doc.tmp", "second"); err != nil {
				return err
			}
			return v.rename("doc.tmp", "doc", 0)
		}},
		{"by delete and create", func(v *device) error {
			if err := v.unlink("doc"); err != nil {
				return err
			}
			return v.write("doc", "second")
		}},
		{"by moving the old one aside", func(v *device) error {
			if err := v.rename("doc", "doc~", 0); err != nil {
				return err
			}
			if err := v.write("doc", "second"); err != nil {
				return err
			}
			return v.unlink("doc~")
		}},
	} {
		for _, offline := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ", offline=", offline), func(t *testing.T) {
				v := alone(t)
				must(t, v.write("doc", "first"))
				mustQuiet(t, v)
				id := v.document(t, "doc")
				if offline {
					v.wire.cut()
				}
				must(t, c.save(v))
				truth := mustQuiet(t, v)
				if len(truth) != 1 || truth["doc"].content != "second" {
					t.Errorf("the server has\n%v", truth)
				}
				if now := v.document(t, "doc"); now != id {
					t.Errorf("the document was %s and is %s", id, now)
				}
			})
		}
	}
}

// document is the server's document at a name in the root.
func (v *device) document(t testing.TB, name string) api.ID {
	t.Helper()
	info, err := v.wire.Info(t.Context())
	must(t, err)
	l, err := v.wire.Children(t.Context(), info.Root, "", 100, nil)
	must(t, err)
	for _, n := range l.Nodes {
		for _, e := range l.Entries {
			if string(e.Name) == name && e.Node == n.ID {
				return n.Document
			}
		}
	}
	t.Fatalf("the server has no %q", name)
	return api.ID{}
}

// Application is total: what the server refuses is undone, its content is in
// the Recovered folder, and what comes after goes on.
func TestRefusedWorkIsKept(t *testing.T) {
	a, b, _, u := pair(t)
	must(t, a.mkdir("d"))
	must(t, a.write("d/edited", "small"))
	mustQuiet(t, a, b)
	must(t, u.SetQuota(1000))
	large := strings.Repeat("large ", 1000)
	must(t, a.write("d/new", large))
	must(t, a.write("d/edited", large+"edit"))
	must(t, a.write("d/after", "goes on"))
	must(t, a.mkdir("d/dir"))
	eventually(t, "the rest goes on", func() bool {
		text, err := b.read("d/after")
		_, derr := b.stat("d/dir")
		return err == nil && text == "goes on" && derr == nil && a.d.Status().Refused >= 2
	})
	tree, err := a.view()
	must(t, err)
	for want, name := range map[string]string{large: "Recovered/new", large + "edit": "Recovered/edited"} {
		if tree[name].content != want {
			t.Errorf("%s has %.20q…; the folder has\n%v", name, tree[name].content, tree)
		}
	}
	if _, still := tree["d/new"]; still || tree["d/edited"].content != "small" {
		t.Errorf("what was refused is not undone:\n%v", tree)
	}
	events := fmt.Sprint(a.d.Status().Events)
	if !strings.Contains(events, " refused d/new Recovered/new ") || !strings.Contains(events, " refused d/edited Recovered/edited ") {
		t.Errorf("status tells of %s", events)
	}
	a.restart()
	if text, err := a.read("Recovered/new"); err != nil || text != large {
		t.Errorf("after a restart: %.20q %v", text, err)
	}
	// Who waits for all to be sent is not kept waiting by it: it is offered once more, refused once more, and told of once.
	for range 2 {
		before := a.d.Status()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := a.d.Sync(ctx, true, nil)
		cancel()
		if now := a.d.Status(); err != nil || now.Refused <= before.Refused || now.Unsettled != 2 {
			t.Fatalf("waited for what is refused: %v; %d refused, %d before; told of %v", err, now.Refused, before.Refused, now.Events)
		}
	}
	// There is room again: it is offered again, at once when somebody waits for all to be sent.
	must(t, u.SetQuota(0))
	must(t, a.d.Sync(t.Context(), true, nil))
	eventually(t, "what was refused is on the other device", func() bool {
		text, err := b.read("Recovered/edited")
		return err == nil && text == large+"edit"
	})
	if truth := mustQuiet(t, a, b); truth["Recovered/new"].content != large || truth["Recovered/edited"].content != large+"edit" {
		t.Errorf("with room again the server has\n%v", truth)
	}
}

// What has the Recovered folder's name hides nothing of what was refused: the folder gets a number.
func TestSomethingElseIsCalledRecovered(t *testing.T) {
	v, _, _, u := pair(t)
	must(t, v.write("Recovered", "the user's own"))
	must(t, v.symlink("nowhere", "Recovered 2"))
	mustQuiet(t, v)
	must(t, u.SetQuota(1000))
	large := strings.Repeat("large ", 1000)
	must(t, v.write("new", large))
	eventually(t, "it is refused", func() bool { return v.d.Status().Refused > 0 })
	s := v.d.Status()
	if text, err := v.read("Recovered 3/new"); err != nil || text != large || s.PendingMutations == 0 || !strings.Contains(fmt.Sprint(s.Events), " refused new Recovered 3/new ") {
		t.Errorf("it is %.20q, %v; status: %+v", text, err, s)
	}
	must(t, u.SetQuota(0))
	if truth := mustQuiet(t, v); truth["Recovered 3/new"].content != large || truth["Recovered"].content != "the user's own" {
		t.Errorf("with room again the server has\n%v", truth)
	}
}
