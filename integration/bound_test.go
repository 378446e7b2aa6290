package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// bind shows a folder of another's in an account's drive.
func (a *account) bind(t *testing.T, owner *account, source, target string) (id string) {
	t.Helper()
	got := a.ask(t, "POST", "/api/vfs/binds", asJSON, []byte(fmt.Sprintf(
		`{"source":{"mount":"user:%s","path":%q},"target":{"mount":"home","path":%q}}`, owner.id(t), source, target))).must(t, 201)
	var b struct{ ID string }
	must(t, json.Unmarshal(got.body, &b))
	return b.ID
}

func (a *account) revoke(t *testing.T, user, path string, permissions ...string) {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"path": path, "permissions": permissions, "userId": user})
	a.ask(t, "POST", "/api/vfs/acl/revoke/home", asJSON, body).must(t, 200)
}

func missing(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %v", path, err)
	}
	return nil
}

// errnoOf is an error unless err is want.
func errnoOf(err error, want syscall.Errno) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("%v, not %v", err, want)
	}
	return nil
}

// TestBoundFolder: what Anna shares with Boris he sees and changes in his mount where it is bound, as
// far as she lets him, and no longer than that.
func TestBoundFolder(t *testing.T) {
	s := server(t)
	anna, boris := newAccount(t, s, "anna"), newAccount(t, s, "boris")
	anna.store(t, "ours/letter", []byte("dear Boris"))
	anna.store(t, "ours/deep/er/file", []byte("deep"))
	anna.store(t, "hers/diary", []byte("secret"))
	must(t, grant(t, anna, boris.id(t), "/ours", "read", "list"))

	hers, his := anna.mountNew(t, "anna"), boris.mountNew(t, "boris")
	at := func(d *rig.Device, names ...string) string {
		return filepath.Join(append([]string{d.Mount}, names...)...)
	}
	his1 := func(names ...string) string { return at(his, append([]string{"from anna"}, names...)...) }
	write(t, at(his, "own"), "his own")
	id := boris.bind(t, anna, "ours", "from anna")

	took := eventually(t, time.Minute, func() error { return has(his1("letter"), "dear Boris") })
	t.Logf("a bind shows after %v", took)
	must(t, has(his1("deep", "er", "file"), "deep"))
	must(t, has(at(his, "own"), "his own"))
	command(t, "/", "diff", "-r", at(hers, "ours"), his1())

	// Anna's changes arrive.
	write(t, at(hers, "ours", "letter"), "dear Boris, again")
	syncAll(t, hers)
	t.Logf("her change arrives after %v", eventually(t, time.Minute, func() error { return has(his1("letter"), "dear Boris, again") }))
	must(t, os.Rename(at(hers, "hers", "diary"), at(hers, "ours", "diary")))
	syncAll(t, hers)
	eventually(t, time.Minute, func() error { return has(his1("diary"), "secret") })
	must(t, os.Rename(at(hers, "ours", "diary"), at(hers, "hers", "diary")))
	syncAll(t, hers)
	eventually(t, time.Minute, func() error { return missing(his1("diary")) })

	// To read is not to write.
	must(t, errnoOf(os.WriteFile(his1("letter"), []byte("x"), 0o644), syscall.EACCES))
	must(t, errnoOf(os.WriteFile(his1("new"), nil, 0o644), syscall.EACCES))
	must(t, errnoOf(os.Mkdir(his1("new"), 0o755), syscall.EACCES))
	must(t, errnoOf(os.Remove(his1("letter")), syscall.EACCES))
	must(t, errnoOf(os.Rename(his1("letter"), his1("moved")), syscall.EACCES))
	must(t, errnoOf(os.Chmod(his1("letter"), 0o600), syscall.EACCES))

	// Nothing moves between the drives, and the place of the bind stays.
	must(t, errnoOf(os.Rename(at(his, "own"), his1("own")), syscall.EXDEV))
	must(t, errnoOf(os.Link(at(his, "own"), his1("own")), syscall.EXDEV))
	must(t, errnoOf(syscall.Rmdir(his1()), syscall.EBUSY))
	must(t, os.Mkdir(at(his, "empty"), 0o755))
	must(t, errnoOf(syscall.Rename(at(his, "empty"), his1()), syscall.EBUSY))
	must(t, os.Rename(his1(), at(his, "renamed")))
	must(t, has(at(his, "renamed", "letter"), "dear Boris, again"))
	must(t, os.Rename(at(his, "renamed"), his1()))

	// What he may rename and not write gets no place, and no other name, where it could be written.
	must(t, grant(t, anna, boris.id(t), "/ours", "rename", "copy"))
	eventually(t, time.Minute, func() error { return os.Rename(his1("letter"), his1("letter 2")) })
	must(t, errnoOf(os.Rename(his1("letter 2"), his1("deep", "letter")), syscall.EACCES))
	must(t, errnoOf(os.Link(his1("letter 2"), his1("letter 3")), syscall.EACCES))
	must(t, os.Rename(his1("letter 2"), his1("letter")))

	// With more rights he works in it, and she sees it.
	must(t, grant(t, anna, boris.id(t), "/ours", "write", "mkdir", "delete", "rename", "copy"))
	eventually(t, time.Minute, func() error { return os.WriteFile(his1("reply"), []byte("dear Anna"), 0o644) })
	must(t, os.MkdirAll(his1("a", "b"), 0o755))
	big := randomBytes(6 << 20)
	must(t, os.WriteFile(his1("a", "b", "big"), big, 0o644))
	must(t, os.Rename(his1("reply"), his1("a", "answer")))
	must(t, os.Remove(his1("deep", "er", "file")))
	write(t, his1("letter"), "edited by Boris")
	command(t, "/", "cp", at(his, "own"), his1("copied in"))
	command(t, "/", "mv", his1("a", "answer"), at(his, "taken out")) // mv copies and removes
	syncAll(t, his)
	for path, content := range map[string]string{"a/b/big": string(big), "letter": "edited by Boris", "copied in": "his own"} {
		eventually(t, time.Minute, func() error { return has(at(hers, "ours", path), content) })
		must(t, anna.stored(t, "ours/"+path, []byte(content)))
	}
	eventually(t, time.Minute, func() error { return missing(at(hers, "ours", "deep", "er", "file")) })
	must(t, missing(at(hers, "ours", "reply")))
	must(t, has(at(his, "taken out"), "dear Anna"))

	// All of it is there again after a mount without the server's help.
	must(t, his.Unmount(t.Context()))
	mount(t, his)
	must(t, has(his1("letter"), "edited by Boris"))
	must(t, has(his1("a", "b", "big"), string(big)))

	// An open file of what is taken away is read no further than it was.
	open, err := os.Open(his1("deep"))
	must(t, err)
	defer open.Close()
	anna.revoke(t, boris.id(t), "/ours", "write", "mkdir", "delete", "rename", "copy")
	wrote := false // or he heard of it before he could
	eventually(t, time.Minute, func() error {
		err := os.WriteFile(his1("until then"), []byte("x"), 0o644)
		wrote = wrote || err == nil
		return errnoOf(err, syscall.EACCES)
	})
	must(t, has(his1("letter"), "edited by Boris"))
	// What he had written when he might no more is kept for him, and not in her folder.
	syncAll(t, his)
	eventually(t, time.Minute, func() error {
		if !wrote {
			return errors.Join(missing(at(his, "Recovered", "until then")), missing(at(hers, "ours", "until then")))
		}
		if errors.Is(has(at(his, "Recovered", "until then"), "x"), fs.ErrNotExist) {
			return has(at(hers, "ours", "until then"), "x") // it was in time
		}
		return has(at(his, "Recovered", "until then"), "x")
	})
	must(t, missing(his1("Recovered")))
	if kept := at(his, "Recovered", "until then"); missing(kept) != nil { // it is told until he has seen to it
		eventually(t, time.Minute, func() error { return unsettled(t, his, 1) })
		must(t, os.Remove(kept))
		must(t, unsettled(t, his, 0))
	}
	start := time.Now()
	anna.revoke(t, boris.id(t), "/ours")
	eventually(t, time.Minute, func() error { return missing(his1("letter")) })
	t.Logf("a revocation shows after %v", time.Since(start))
	if names, err := os.ReadDir(his1()); err != nil || len(names) != 0 {
		t.Errorf("the place of the bind has %v, %v", names, err)
	}
	// What he wrote there now nobody else would see.
	eventually(t, time.Minute, func() error { return errnoOf(os.WriteFile(his1("for nobody"), nil, 0o644), syscall.EACCES) })
	eventually(t, time.Minute, func() error { return errnoOf(os.Rename(at(his, "own"), his1("own")), syscall.EACCES) })
	if _, err := open.ReadDir(-1); err == nil {
		t.Error("what was taken away is still listed through an open directory")
	}
	eventually(t, 20*time.Second, func() error {
		if names, err := filepath.Glob(filepath.Join(his.Home, "cache/satchel/*/bound/*-*/content")); err != nil || len(names) != 0 {
			return fmt.Errorf("the cache of what was taken away is still there: %v %w", names, err)
		}
		return nil
	})

	// And once more, until the bind ends.
	must(t, grant(t, anna, boris.id(t), "/ours", "read", "list"))
	eventually(t, time.Minute, func() error { return has(his1("letter"), "edited by Boris") })
	boris.ask(t, "DELETE", "/api/vfs/binds/"+id, nil, nil).must(t, 200)
	eventually(t, time.Minute, func() error { return missing(his1("letter")) })
	must(t, os.Remove(his1()))
	syncAll(t, his)
}

// TestBoundWithinOneDrive: a folder is shown in another place of the same
// drive, and what is done in one place shows in the other.
func TestBoundWithinOneDrive(t *testing.T) {
	a := newAccount(t, server(t), "anna")
	a.store(t, "a/one", []byte("1"))
	d := a.mountNew(t, "mount")
	a.bind(t, a, "a", "b/c")
	in := func(names ...string) string { return filepath.Join(append([]string{d.Mount}, names...)...) }
	eventually(t, time.Minute, func() error { return has(in("b", "c", "one"), "1") })
	write(t, in("a", "two"), "2")
	write(t, in("b", "c", "three"), "3")
	eventually(t, time.Minute, func() error { return has(in("b", "c", "two"), "2") })
	eventually(t, time.Minute, func() error { return has(in("a", "three"), "3") })
	write(t, in("a", "three"), "3, changed")
	eventually(t, time.Minute, func() error { return has(in("b", "c", "three"), "3, changed") })
	command(t, "/", "find", d.Mount, "-ls") // finds no loop
}

// What is bound shows when a mount returns, also the first one of a device: what programs write there at once is in the shared
// folder, not hidden under it.
func TestFirstMountShowsWhatIsBound(t *testing.T) {
	s := server(t)
	anna, boris := newAccount(t, s, "anna"), newAccount(t, s, "boris")
	anna.store(t, "ours/letter", []byte("dear Boris"))
	must(t, grant(t, anna, boris.id(t), "/ours", "read", "list", "write", "mkdir"))
	boris.bind(t, anna, "ours", "hers")
	for i := range 3 {
		his := boris.mountNew(t, fmt.Sprint("his-", i))
		name := fmt.Sprint("answer-", i)
		if err := os.WriteFile(filepath.Join(his.Mount, "hers", name), []byte("dear Anna"), 0o644); err != nil {
			t.Fatal(err)
		}
		must(t, has(filepath.Join(his.Mount, "hers", "letter"), "dear Boris"))
		syncAll(t, his)
		must(t, anna.stored(t, "ours/"+name, []byte("dear Anna")))
	}
}

// TestMapInAFolderThatIsBoundNoMore: a program stores through a map when nobody can know whether it does. What it stored is in the folder's
// cache, which is kept.
func TestMapInAFolderThatIsBoundNoMore(t *testing.T) {
	s := server(t)
	anna, boris := newAccount(t, s, "anna"), newAccount(t, s, "boris")
	anna.store(t, "ours/letter", []byte("dear Boris"))
	must(t, grant(t, anna, boris.id(t), "/ours", "read", "list", "write", "mkdir"))
	id := boris.bind(t, anna, "ours", "hers")
	his := boris.mountNew(t, "boris")
	status, err := his.Status(t.Context())
	must(t, err)
	if !status.Passthrough {
		if require.CI() {
			t.Fatal("the mount has no passthrough: it needs Linux 6.9 and root")
		}
		t.Skip("without passthrough the daemon hears of stores: this test needs Linux 6.9 and root")
	}
	h := hold(t, filepath.Join(his.Mount, "hers", "mapped"))
	h.do(t, "map %d", 8192)
	h.do(t, "store %d %s", 0, "first")
	h.do(t, "close")
	syncAll(t, his)
	boris.ask(t, "DELETE", "/api/vfs/binds/"+id, nil, nil).must(t, 200)
	eventually(t, time.Minute, func() error { return missing(filepath.Join(his.Mount, "hers", "letter")) })
	h.do(t, "store %d %s", 0, "after the end")
	eventually(t, time.Minute, func() error {
		out := satchel(t, his, "status")
		if !strings.Contains(out, "hers") {
			return fmt.Errorf("the status tells nothing of it:\n%s", out)
		}
		return nil
	})
	files, err := filepath.Glob(filepath.Join(his.Home, "cache/satchel/*/bound/*/content/*/*"))
	must(t, err)
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), "after the end") {
			return
		}
	}
	t.Errorf("what was stored is in none of the %d content files", len(files))
}

// unsettled is an error unless the device's status tells of so many things that somebody has to look at.
func unsettled(t *testing.T, d *rig.Device, want int) error {
	t.Helper()
	status, err := d.Status(t.Context())
	if err == nil && status.Unsettled != want {
		err = fmt.Errorf("%d things are to be looked at, not %d", status.Unsettled, want)
	}
	return err
}

// TestBoundFolderWithoutList: what Boris may read and not list, his mount opens by its name and shows in no listing.
func TestBoundFolderWithoutList(t *testing.T) {
	s := server(t)
	anna, boris := newAccount(t, s, "anna"), newAccount(t, s, "boris")
	anna.store(t, "ours/letter", []byte("dear Boris"))
	must(t, grant(t, anna, boris.id(t), "/ours", "read", "write"))
	boris.bind(t, anna, "ours", "from anna")
	his := boris.mountNew(t, "boris")
	at := func(name string) string { return filepath.Join(his.Mount, "from anna", name) }

	eventually(t, time.Minute, func() error { return has(at("letter"), "dear Boris") })
	_, err := os.ReadDir(at(""))
	must(t, errnoOf(err, syscall.EACCES))
	anna.store(t, "ours/later", []byte("and this"))
	eventually(t, time.Minute, func() error { return has(at("later"), "and this") })
	must(t, os.WriteFile(at("reply"), []byte("dear Anna"), 0o644))
	syncAll(t, his)
	must(t, anna.stored(t, "ours/reply", []byte("dear Anna")))
}
