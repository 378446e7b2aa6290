package cache

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What others change reaches the kernel within a second of the server having
// it: names, attributes and data, without being asked.
func TestPush(t *testing.T) {
	a, b, s, u := pair(t)
	token := newToken(t, u, s.URL)
	must(t, a.mkdir("d"))
	must(t, a.write("d/f", "first"))
	must(t, a.write("d/moved", "moved"))
	must(t, a.write("d/gone", "gone"))
	mustQuiet(t, a, b)
	knows := func(path string) bool { // the kernel, without asking us
		dir, err := b.stat("d")
		must(t, err)
		b.kern.mu.Lock()
		defer b.kern.mu.Unlock()
		_, known := b.kern.names[dname{dir.FID, path}]
		return known
	}
	hears := func(what string, change func() error, heard func() bool) {
		t.Helper()
		for _, name := range []string{"f", "moved", "gone", "new", "renamed", "api"} {
			b.stat("d/" + name)
		}
		must(t, change())
		took := eventually(t, what, heard)
		t.Logf("%s: in the kernel after %v", what, took)
		if took > 5*time.Second { // promised is one, on a machine that is not busy
			t.Errorf("%s: that is too long", what)
		}
	}
	then := func(do error) error {
		if do != nil {
			return do
		}
		return a.sync()
	}
	hears("a new file", func() error { return then(a.write("d/new", "new")) }, func() bool { return !knows("new") })
	hears("a rename", func() error { return then(a.rename("d/moved", "d/renamed", 0)) }, func() bool { return !knows("moved") && !knows("renamed") })
	hears("a delete", func() error { return then(a.unlink("d/gone")) }, func() bool { return !knows("gone") })
	f, err := b.stat("d/f")
	must(t, err)
	attrs := func() bool {
		b.kern.mu.Lock()
		defer b.kern.mu.Unlock()
		_, known := b.kern.attrs[f.FID]
		return !known
	}
	hears("a chmod", func() error { return then(a.chmod("d/f", 0o600)) }, attrs)
	text, err := b.read("d/f")
	if err != nil || text != "first" {
		t.Errorf("before: %q %v", text, err)
	}
	hears("an edit", func() error { return then(a.write("d/f", "second")) }, func() bool {
		text, err := b.read("d/f")
		return err == nil && text == "second"
	})
	hears("an edit by the HTTP API", func() error { return s.Store(token, "d/f", "third") }, func() bool {
		text, err := b.read("d/f")
		return err == nil && text == "third"
	})
	hears("a file by the HTTP API", func() error { return s.Store(token, "d/api", "api") }, func() bool { return !knows("api") })
	mustQuiet(t, a, b)

	// A handle keeps what it opened; an open after the push sees the new version.
	h, err := b.openFile("d/f", unix.O_RDONLY)
	must(t, err)
	must(t, a.write("d/f", "fourth"))
	must(t, a.sync())
	eventually(t, "an open sees the new version", func() bool { text, err := b.read("d/f"); return err == nil && text == "fourth" })
	if text, err := h.read(); err != nil || text != "third" {
		t.Errorf("the handle from before reads %q, %v", text, err)
	}
	h.close()
	mustQuiet(t, a, b)
}

// The cursor survives restarts and crashes: what happened meanwhile is heard
// from the feed, without listing anything again.
func TestCursorSurvives(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.mkdir("d"))
	mustQuiet(t, a, b)
	for round, how := range []string{"restart", "kill", "power"} {
		switch how {
		case "restart":
			b.wire.cut()
			must(t, b.d.Close())
			b.d = nil
		default:
			b.settled()
			b.kill(how == "power")
		}
		b.wire.mend()
		must(t, a.write(fmt.Sprint("d/", how), how))
		must(t, a.unlinkIf(fmt.Sprint("d/", round)))
		must(t, a.write(fmt.Sprint("d/", round+1), "x"))
		must(t, a.sync())
		listed := b.wire.listings()
		b.start()
		mustQuiet(t, a)
		eventually(t, "b hears what happened while it was away", func() bool {
			text, err := b.read("d/" + how)
			return err == nil && text == how
		})
		if n := b.wire.listings() - listed; n != 0 || b.wire.resyncs != 0 {
			t.Errorf("%s: %d listings and %d resyncs", how, n, b.wire.resyncs)
		}
	}
	mustQuiet(t, a, b)
}

func (v *device) unlinkIf(path string) error {
	if _, err := v.stat(path); err != nil {
		return nil
	}
	return v.unlink(path)
}

// A gap in the feed leads to a re-sync, which keeps what is unsent.
func TestGapInTheFeed(t *testing.T) {
	a, b, _, u := pair(t)
	must(t, a.mkdir("d"))
	must(t, a.write("d/edited", "first"))
	must(t, a.write("d/gone", "gone"))
	mustQuiet(t, a, b)
	b.wire.cut()
	must(t, b.write("d/edited", "b's edit, unsent"))
	must(t, b.write("d/b's", "b's, unsent"))
	must(t, b.rename("d/gone", "d/b's name", 0))
	must(t, a.write("d/a's", "a's"))
	must(t, a.mkdir("e"))
	must(t, a.sync())
	must(t, u.ForgetChanges())
	truth := mustQuiet(t, a, b)
	if b.wire.resyncs == 0 {
		t.Error("there was no gap")
	}
	for path, want := range map[string]string{"d/edited": "b's edit, unsent", "d/b's": "b's, unsent", "d/b's name": "gone", "d/a's": "a's"} {
		if truth[path].content != want {
			t.Errorf("%s has %q, not %q", path, truth[path].content, want)
		}
	}
	if len(truth) != 6 {
		t.Errorf("the server has\n%v", truth)
	}
}

// A server that was restored from a backup gets again what the devices had sent
// it since, and their unsent work.
func TestServerRestored(t *testing.T) {
	a, b, s, _ := pair(t)
	must(t, a.mkdir("d"))
	must(t, a.write("d/edited", "as in the backup"))
	must(t, a.write("d/deleted", "as in the backup"))
	must(t, a.write("d/same", "as in the backup"))
	must(t, a.write("d/moved", "as in the backup"))
	mustQuiet(t, a, b)
	restore := s.Backup()
	s.Start()
	must(t, a.write("d/edited", "sent after the backup"))
	must(t, a.unlink("d/deleted"))
	must(t, a.mkdir("d/new"))
	must(t, a.mkdir("d/new/deep"))
	must(t, a.write("d/new/deep/file", "new after the backup"))
	must(t, a.link("d/new/deep/file", "d/new/link"))
	must(t, a.symlink("deep", "d/new/symlink"))
	must(t, a.rename("d/moved", "d/new/moved", 0))
	must(t, b.write("b's", "b's, after the backup"))
	mustQuiet(t, a, b)
	b.wire.cut()
	must(t, b.write("d/unsent", "b's, unsent"))
	restore()
	s.Start()
	truth := mustQuiet(t, a, b)
	for path, want := range map[string]string{
		"d/edited": "sent after the backup", "d/new/deep/file": "new after the backup", "d/new/link": "new after the backup",
		"b's": "b's, after the backup", "d/unsent": "b's, unsent", "d/same": "as in the backup", "d/deleted": "as in the backup",
		"d/moved": "as in the backup",
	} {
		if truth[path].content != want {
			t.Errorf("%s has %q, not %q", path, truth[path].content, want)
		}
	}
	if truth["d/new/symlink"].target != "deep" || truth["d/new/link"].nlink != 2 || len(truth) != 12 {
		t.Errorf("the server has\n%v", truth)
	}
	if t.Failed() {
		t.Logf("--- a\n%s--- b\n%s", a.log, b.log)
	}
}

// After a restore what was moved since the backup keeps what was written into it, and what the server has never heard of
// survives also a move of it that was not sent; nor does the answer to that move, when it comes before the feed tells of the restore, take it.
func TestServerRestoredAfterMoves(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		a, b, s, _ := pair(t)
		must(t, a.mkdir("d"))
		must(t, a.write("edited", "as in the backup"))
		mustQuiet(t, a, b)
		restore := s.Backup()
		s.Start()
		must(t, a.write("edited", "sent after the backup"))
		must(t, a.rename("edited", "d/edited", 0))
		must(t, a.write("new", "new after the backup"))
		must(t, a.sync())
		a.wire.cut()
		must(t, a.rename("new", "d/new", 0))
		restore()
		s.Start()
		a.wire.faults(func(w *wire) { w.deaf = deaf })
		a.wire.mend()
		if deaf {
			must(t, a.sync())
			a.wire.faults(func(w *wire) { w.deaf = false })
		}
		truth := mustQuiet(t, a, b)
		for _, content := range []string{"sent after the backup", "new after the backup"} {
			if len(truth.find(content)) != 1 {
				t.Errorf("deaf %v: %q is at %q; the server has\n%v--- a\n%s", deaf, content, truth.find(content), truth, a.log)
			}
		}
	}
}

// What another device wrote into a file that was open here comes when it is closed unchanged, also where
// the file was moved meanwhile.
func TestOpenFileMovesWhileItIsWritten(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.mkdir("d"))
	must(t, a.write("e", "0"))
	mustQuiet(t, a, b)
	h, err := a.openFile("e", unix.O_RDWR)
	must(t, err)
	must(t, b.write("e", "b's"))
	must(t, b.sync())
	eventually(t, "a heard of it", func() bool {
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		return len(a.d.syn.doubt) > 0
	})
	must(t, a.rename("e", "d/e", 0))
	h.close()
	if truth := mustQuiet(t, a, b); truth["d/e"].content != "b's" {
		t.Errorf("the server has\n%v", truth)
	}
}

// The time that another device gave to a file that was open here is the file's when it is closed unchanged.
func TestOpenFileIsTouched(t *testing.T) {
	a, b, _, _ := pair(t)
	must(t, a.write("e", "0"))
	mustQuiet(t, a, b)
	h, err := a.openFile("e", unix.O_RDWR)
	must(t, err)
	e, err := b.stat("e")
	must(t, err)
	then := e.Mtime - int64(time.Hour)
	_, err = b.d.Setattr(e.FID, Change{Mtime: &then}, nil)
	must(t, err)
	must(t, b.sync())
	eventually(t, "a heard of it", func() bool {
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		return len(a.d.syn.doubt) > 0
	})
	h.close()
	if truth := mustQuiet(t, a, b); truth["e"].mtime != then {
		t.Errorf("the server has\n%v", truth)
	}
}

// A file that lost one of its names while the feed was interrupted, and is open here, has its other name yet.
func TestOpenFileLosesANameInAGap(t *testing.T) {
	a, b, _, u := pair(t)
	must(t, a.write("a", "0"))
	must(t, a.link("a", "b"))
	mustQuiet(t, a, b)
	h, err := a.openFile("a", unix.O_RDWR)
	must(t, err)
	a.wire.cut()
	must(t, b.unlink("b"))
	must(t, b.sync())
	must(t, u.ForgetChanges())
	a.wire.mend()
	eventually(t, "a listed again", func() bool {
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		return len(a.d.syn.doubt) > 0
	})
	a.wire.faults(func(w *wire) { w.dark = true }) // it would mend much
	h.close()
	must(t, a.sync())
	eventually(t, "the file is clean", func() bool { return a.d.Status().Unproven == 0 })
	must(t, a.check())
	if _, err := a.read("a"); err != nil {
		t.Errorf("the other name: %v", err)
	}
	a.wire.faults(func(w *wire) { w.dark = false })
	truth := mustQuiet(t, a, b)
	if truth["a"].content != "0" || len(truth) != 1 {
		t.Errorf("the server has\n%v", truth)
	}
}
