package cache

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/integration/live"
)

// ignoring is two devices of a drive whose top ignores build directories and object files.
func ignoring(t *testing.T) (a, b *device, u *live.User) {
	a, b, _, u = pair(t)
	must(t, a.write(ignoreFile, "build/\n*.o\n"))
	mustQuiet(t, a, b)
	return a, b, u
}

// listsAgain makes a list everything again, since the server does not know its cursor any more.
func listsAgain(t *testing.T, a, b *device, u *live.User) {
	t.Helper()
	a.wire.cut()
	must(t, b.write("gap", time.Now().String()))
	must(t, b.sync())
	must(t, u.ForgetChanges())
	a.wire.mend()
	want, err := b.read("gap")
	must(t, err)
	eventually(t, "a lists again", func() bool { got, err := a.read("gap"); return err == nil && got == want })
	if a.wire.resyncs == 0 {
		t.Error("there was no gap")
	}
	must(t, b.unlink("gap"))
	must(t, b.sync())
}

// others is what everybody else sees once a has sent all.
func others(t testing.TB, a, b *device) view {
	t.Helper()
	must(t, a.sync())
	return mustQuiet(t, b)
}

// wants compares the paths of a tree, but for the ignore file's.
func wants(t testing.TB, what string, tree view, paths ...string) {
	t.Helper()
	var have []string
	for path := range tree {
		if path != ignoreFile && path != "" {
			have = append(have, path)
		}
	}
	slices.Sort(have)
	slices.Sort(paths)
	if !slices.Equal(have, paths) {
		t.Errorf("%s: there is %q, not %q", what, have, paths)
	}
}

func (v *device) wantFiles(t testing.TB, what string, contents map[string]string) {
	t.Helper()
	for path, want := range contents {
		if got, err := v.read(path); err != nil || got != want {
			t.Errorf("%s: %s has %q, %v; want %q", what, path, got, err, want)
		}
	}
}

// wantStaying waits until so many nodes stay here and nothing else is unsent or unproven.
func (v *device) wantStaying(t testing.TB, what string, n int) {
	t.Helper()
	eventually(t, what, func() bool {
		s := v.d.Status()
		return s.LocalOnly == n && s.PendingMutations == 0 && s.PendingBytes == 0 && s.Unproven == 0
	})
}

// What an ignore file names is here, and nowhere else: not in batches, not in packs; nothing waits for it.
// It survives what unsent work survives.
func TestIgnoredStaysHere(t *testing.T) {
	a, b, _ := ignoring(t)
	var mu sync.Mutex
	var sent []byte
	a.wire.faults(func(w *wire) {
		w.packs = func(pack []byte) error {
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, pack...)
			return nil
		}
	})
	must(t, a.mkdir("src"))
	must(t, a.write("src/main.c", "the source"))
	must(t, a.write("src/main.o", "the object"))
	must(t, a.mkdir("build"))
	must(t, a.mkdir("build/deep"))
	must(t, a.write("build/deep/app", "the program"))
	must(t, a.symlink("deep/app", "build/app"))
	must(t, a.link("build/deep/app", "build/deep/copy"))
	must(t, a.chmod("build/deep/app", 0o755))
	must(t, a.write("build/deep/app", "the program, again"))
	wants(t, "elsewhere", others(t, a, b), "src", "src/main.c")
	a.wantStaying(t, "after sync", 5)
	mu.Lock()
	if !bytes.Contains(sent, []byte("the source")) || bytes.Contains(sent, []byte("the program")) || bytes.Contains(sent, []byte("the object")) {
		t.Error("packs have the wrong things")
	}
	mu.Unlock()

	all := map[string]string{"src/main.o": "the object", "build/deep/app": "the program, again", "build/deep/copy": "the program, again", "src/main.c": "the source"}
	a.restart()
	a.wantFiles(t, "after a restart", all)
	a.settled()
	a.kill(false)
	a.start()
	a.wantFiles(t, "after kill -9", all)
	wants(t, "elsewhere after kill -9", others(t, a, b), "src", "src/main.c")
	must(t, a.write("build/deep/app", "synced"))
	h, err := a.openFile("build/deep/app", unix.O_RDONLY)
	must(t, err)
	must(t, h.fsync())
	h.close()
	a.unkind = true
	a.kill(true)
	a.start()
	all["build/deep/app"], all["build/deep/copy"] = "synced", "synced"
	delete(all, "src/main.o") // which nobody had synced: anything may be left of it
	a.wantFiles(t, "after power loss", all)
	wants(t, "elsewhere after power loss", others(t, a, b), "src", "src/main.c")

	for _, path := range []string{"build/app", "build/deep/app", "build/deep/copy"} {
		must(t, a.unlink(path))
	}
	must(t, a.rmdir("build/deep"))
	must(t, a.rmdir("build"))
	must(t, a.unlink("src/main.o"))
	a.wantStaying(t, "removed", 0)
	wants(t, "elsewhere in the end", others(t, a, b), "src", "src/main.c")
	mustQuiet(t, a, b)
}

// What stays is not looked for on the server.
func TestIgnoredSurvivesRelisting(t *testing.T) {
	a, b, u := ignoring(t)
	must(t, a.mkdir("build"))
	must(t, a.write("build/app", "the program"))
	must(t, a.write("x.o", "an object"))
	must(t, a.sync())
	listsAgain(t, a, b, u)
	a.wantFiles(t, "listed again", map[string]string{"build/app": "the program", "x.o": "an object"})
	wants(t, "elsewhere", others(t, a, b))
	a.wantStaying(t, "listed again", 3)
}

// Renames over the border: for others a name comes or goes.
func TestRenameOverTheBorder(t *testing.T) {
	a, b, _ := ignoring(t)
	must(t, a.write("doc", "first"))
	must(t, a.write("sent", "was sent"))
	must(t, a.mkdir("empty"))
	must(t, a.mkdir("full"))
	must(t, a.write("full/file", "x"))
	others(t, a, b)
	id := a.document(t, "doc")

	// As compilers and editors save: nobody hears of the first name.
	must(t, a.write("tmp1", "object"))
	must(t, a.rename("tmp1", "main.o", 0))
	must(t, a.write("tmp2", "object 2"))
	must(t, a.rename("tmp2", "main.o", 0))
	must(t, a.write("save.o", "second"))
	must(t, a.rename("save.o", "doc", 0))
	a.wantFiles(t, "saved", map[string]string{"main.o": "object 2", "doc": "second"})
	wants(t, "after saves", others(t, a, b), "doc", "sent", "empty", "full", "full/file")
	b.wantFiles(t, "elsewhere", map[string]string{"doc": "second"})
	if now := a.document(t, "doc"); now != id {
		t.Errorf("the document was %s and is %s", id, now)
	}

	// What the server has becomes what stays, and the other way.
	must(t, a.rename("sent", "sent.o", 0))
	must(t, a.rename("empty", "build", 0))
	must(t, a.write("build/app", "program"))
	must(t, a.mkdir("build/sub"))
	must(t, a.write("build/sub/lib", "library"))
	wants(t, "gone", others(t, a, b), "doc", "full", "full/file")
	a.wantFiles(t, "here", map[string]string{"sent.o": "was sent", "build/app": "program"})
	a.wantStaying(t, "here", 6)
	must(t, a.rename("sent.o", "sent", 0))
	must(t, a.rename("build", "release", 0))
	must(t, a.link("release/app", "release/sub/app"))
	wants(t, "back", others(t, a, b), "doc", "full", "full/file", "sent", "release", "release/app", "release/sub", "release/sub/lib", "release/sub/app")
	b.wantFiles(t, "back", map[string]string{"sent": "was sent", "release/app": "program", "release/sub/lib": "library", "release/sub/app": "program"})
	a.wantStaying(t, "back", 1)

	// Inside, nobody hears of anything.
	must(t, a.mkdir("build"))
	must(t, a.mkdir("build/x"))
	must(t, a.rename("main.o", "build/x/main.o", 0))
	must(t, a.rename("build/x", "build/y", 0))
	must(t, a.write("other.o", "other"))
	must(t, a.rename("other.o", "build/y/main.o", unix.RENAME_EXCHANGE))
	a.wantFiles(t, "inside", map[string]string{"other.o": "object 2", "build/y/main.o": "other"})
	a.restart()
	a.wantFiles(t, "inside, after a restart", map[string]string{"other.o": "object 2", "build/y/main.o": "other"})

	// As between file systems.
	for what, err := range map[string]error{
		"a directory with something in it": a.rename("full", "build/full", 0),
		"a hard link out":                  a.link("other.o", "other"),
		"a hard link in":                   a.link("doc", "doc.o"),
		"an exchange":                      a.rename("doc", "other.o", unix.RENAME_EXCHANGE),
	} {
		if !errors.Is(err, unix.EXDEV) {
			t.Errorf("%s: %v", what, err)
		}
	}
	others(t, a, b)
	must(t, a.unlink("build/y/main.o"))
	must(t, a.unlink("other.o"))
	must(t, a.rmdir("build/y"))
	must(t, a.rmdir("build"))
	a.wantStaying(t, "in the end", 0)
	mustQuiet(t, a, b)
}

// Rules that change: what is no longer ignored is sent, with what is below it; what the server has stays
// there although a rule names it now.
func TestIgnoreRulesChange(t *testing.T) {
	a, b, _ := ignoring(t)
	must(t, a.mkdir("build"))
	must(t, a.mkdir("build/sub"))
	must(t, a.write("build/sub/app", "program"))
	must(t, a.write("x.o", "object"))
	must(t, a.write("old.log", "sent"))
	wants(t, "at first", others(t, a, b), "old.log")
	must(t, b.write(ignoreFile, "*.o\n*.log\n")) // it comes from elsewhere
	must(t, b.sync())
	eventually(t, "what is no longer ignored is sent", func() bool { return a.d.Status().LocalOnly == 1 })
	wants(t, "then", others(t, a, b), "old.log", "build", "build/sub", "build/sub/app")
	must(t, a.write("old.log", "sent again"))
	must(t, a.write("new.log", "stays"))
	others(t, a, b)
	b.wantFiles(t, "what the server has", map[string]string{"old.log": "sent again"})
	a.wantStaying(t, "then", 2)

	// A nearer file counts for more, and is saved by rename.
	must(t, a.mkdir("keep"))
	must(t, a.write("keep/tmp", "!*.log\n"))
	must(t, a.rename("keep/tmp", "keep/"+ignoreFile, 0))
	must(t, a.write("keep/a.log", "sent"))
	must(t, a.write("keep/a.o", "stays"))
	wants(t, "a nearer one", others(t, a, b), "old.log", "build", "build/sub", "build/sub/app", "keep", "keep/a.log", "keep/"+ignoreFile)
	must(t, a.unlink(ignoreFile))
	eventually(t, "all is sent", func() bool { return a.d.Status().LocalOnly == 0 })
	others(t, a, b)
	b.wantFiles(t, "without rules", map[string]string{"new.log": "stays", "x.o": "object", "keep/a.o": "stays"})
	mustQuiet(t, a, b)
}

// A name that stays here hides what others put there; theirs shows when it is gone.
func TestIgnoredGivesWay(t *testing.T) {
	a, b, _ := ignoring(t)
	must(t, a.mkdir("build"))
	must(t, a.write("build/mine", "mine"))
	must(t, a.write("x.o", "mine"))
	must(t, a.sync())
	b.d.mu.Lock() // b is a client that knows no rules
	b.d.root.rules, b.d.root.rulesAt = nil, b.d.ignores.gen
	b.d.mu.Unlock()
	must(t, b.mkdir("build"))
	must(t, b.write("build/theirs", "theirs"))
	must(t, b.write("x.o", "theirs"))
	must(t, b.sync())
	wants(t, "the server's", mustQuiet(t, b), "build", "build/theirs", "x.o")
	must(t, b.write("news", "x"))
	must(t, b.sync())
	eventually(t, "a hears", func() bool { _, err := a.stat("news"); return err == nil })
	a.wantFiles(t, "mine hide theirs", map[string]string{"build/mine": "mine", "x.o": "mine"})
	if _, err := a.stat("build/theirs"); api.KindOf(err) != api.NotFound {
		t.Errorf("two directories in one: %v", err)
	}
	must(t, a.unlink("x.o"))
	must(t, a.unlink("build/mine"))
	must(t, a.rmdir("build"))
	eventually(t, "theirs show", func() bool {
		one, err := a.read("x.o")
		two, err2 := a.read("build/theirs")
		return err == nil && err2 == nil && one == "theirs" && two == "theirs"
	})
	mustQuiet(t, a, b)
}

// A directory that another device removed stays as long as something in it stays here, and goes with it.
func TestIgnoredInARemovedDirectory(t *testing.T) {
	a, b, u := ignoring(t)
	must(t, a.mkdir("project"))
	must(t, a.write("project/main.c", "source"))
	must(t, a.mkdir("project/build"))
	must(t, a.write("project/build/app", "program"))
	others(t, a, b)
	must(t, b.unlink("project/main.c"))
	must(t, b.rmdir("project"))
	must(t, b.sync())
	eventually(t, "the source is gone", func() bool { _, err := a.stat("project/main.c"); return api.KindOf(err) == api.NotFound })
	a.wantFiles(t, "what stays here", map[string]string{"project/build/app": "program"})
	listsAgain(t, a, b, u)
	a.wantFiles(t, "listed again", map[string]string{"project/build/app": "program"})
	a.restart()
	a.wantFiles(t, "after a restart", map[string]string{"project/build/app": "program"})
	must(t, a.unlink("project/build/app"))
	must(t, a.rmdir("project/build"))
	eventually(t, "the directory goes too", func() bool { _, err := a.stat("project"); return api.KindOf(err) == api.NotFound })
	mustQuiet(t, a, b)

	// And what is made in it meanwhile brings it back.
	must(t, a.mkdir("again"))
	must(t, a.write("again/x.o", "object"))
	others(t, a, b)
	must(t, b.rmdir("again"))
	must(t, b.sync())
	must(t, b.write("news", "x"))
	must(t, b.sync())
	eventually(t, "a hears", func() bool { _, err := a.stat("news"); return err == nil })
	must(t, a.write("again/file", "new"))
	wants(t, "brought back", others(t, a, b), "again", "again/file", "news")
}

// What stays in a directory that another device had made too, under a name that theirs has, is there when the two are one; and theirs when it is gone.
func TestIgnoredInMergedDirectories(t *testing.T) {
	a, b, _ := ignoring(t)
	a.wire.cut()
	must(t, b.write("renamed", "theirs"))
	must(t, b.mkdir("d"))
	must(t, b.rename("renamed", "d/build", 0))
	must(t, b.sync())
	must(t, a.mkdir("d"))
	must(t, a.mkdir("d/build"))
	must(t, a.write("d/build/app", "program"))
	a.wire.mend()
	must(t, a.sync())
	eventually(t, "the directories are one", func() bool {
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		return len(a.d.syn.unions) == 0 && len(a.d.syn.shadow) > 0
	})
	a.wantFiles(t, "merged", map[string]string{"d/build/app": "program"})
	a.restart()
	a.wantFiles(t, "after a restart", map[string]string{"d/build/app": "program"})
	must(t, a.unlink("d/build/app"))
	must(t, a.rmdir("d/build"))
	eventually(t, "theirs is shown", func() bool { s, err := a.read("d/build"); return err == nil && s == "theirs" })
	mustQuiet(t, a, b)
}

// While the rules can't be read everything stays, since it might have to.
func TestIgnoreRulesUnread(t *testing.T) {
	a, b, _ := ignoring(t)
	must(t, a.mkdir("sub"))
	must(t, a.write("sub/"+ignoreFile, "*.tmp\n"))
	must(t, a.sync())
	eventually(t, "b hears", func() bool { _, err := b.stat("sub/" + ignoreFile); return err == nil })
	b.wire.cut()
	eventually(t, "b knows", func() bool { return !b.d.connected.Load() })
	must(t, b.write("sub/a.tmp", "stays"))
	must(t, b.write("sub/a.txt", "goes"))
	must(t, b.mkdir("sub/more"))
	must(t, b.write("sub/more/b.txt", "goes with it"))
	if s := b.d.Status(); s.LocalOnly != 4 || s.Undecided != 4 {
		t.Errorf("%d stay while the rules are not known, %d of them undecided", s.LocalOnly, s.Undecided)
	}
	undecided := map[string]string{"sub/": "", "sub/a.tmp": "stays", "sub/a.txt": "goes", "sub/more/": "", "sub/more/b.txt": "goes with it"}
	exported := func(d *Drive, when string) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "out")
		x, err := d.Export(t.Context(), dir, false)
		must(t, err)
		if got := filesBelow(t, dir); x.Files != 4 || !maps.Equal(got, undecided) {
			t.Errorf("exported %s: %q, %+v", when, got, x)
		}
	}
	exported(b.d, "at work")
	must(t, b.d.Close())
	at := b.cfg
	at.Remote = nil
	rest, err := OpenForExport(at)
	must(t, err)
	if s := rest.Status(); s.Undecided != 4 {
		t.Errorf("at rest %d names are undecided", s.Undecided)
	}
	exported(rest, "at rest")
	must(t, rest.Close())
	b.start()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.d.Sync(ctx, true, nil); api.KindOf(err) != api.Unavailable {
		t.Errorf("offline, waiting for everything to be sent says %v", err)
	}
	b.wire.mend()
	must(t, b.d.Sync(t.Context(), true, nil))
	if s := b.d.Status(); s.LocalOnly != 1 || s.Undecided != 0 || s.PendingMutations != 0 {
		t.Errorf("%d stay once the rules are known, %d of them undecided, and %d changes wait", s.LocalOnly, s.Undecided, s.PendingMutations)
	}
	wants(t, "elsewhere", others(t, b, a), "sub", "sub/"+ignoreFile, "sub/a.txt", "sub/more", "sub/more/b.txt")
	b.wantFiles(t, "here", map[string]string{"sub/a.tmp": "stays"})
}

// Content that stays is no cache: eviction leaves it, and the ignore file too.
func TestIgnoredIsNotEvicted(t *testing.T) {
	a, b, _ := ignoring(t)
	must(t, a.write("x.o", "object"))
	must(t, a.write("doc", "sent"))
	others(t, a, b)
	a.d.mu.Lock()
	a.d.cfg.Limit = 1
	a.d.evict()
	a.d.mu.Unlock()
	cold := func(path string) bool {
		s, err := a.stat(path)
		must(t, err)
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		return a.d.byFID[s.FID].slot == 0
	}
	if !cold("doc") || cold("x.o") || cold(ignoreFile) {
		t.Errorf("evicted: doc %v, x.o %v, %s %v", cold("doc"), cold("x.o"), ignoreFile, cold(ignoreFile))
	}
}
