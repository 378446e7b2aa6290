package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSpine is the main road: what is copied into the mount is on the server,
// on another device, and the other way round.
func TestSpine(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")

	src := filepath.Join(goroot(t), "src", "net")
	command(t, "", "cp", "-r", src, laptop.Mount)
	film := randomBytes(64 << 20)
	must(t, os.WriteFile(filepath.Join(laptop.Mount, "film"), film, 0o644))
	syncAll(t, laptop)

	if status, err := laptop.Status(t.Context()); err != nil || status.PendingMutations != 0 || !status.Connected {
		t.Errorf("after sync --wait: %+v %v", status, err)
	}
	must(t, anna.stored(t, "film", film))
	code, err := os.ReadFile(filepath.Join(src, "http", "server.go"))
	must(t, err)
	must(t, anna.stored(t, "net/http/server.go", code))

	desk := anna.mountNew(t, "desk")
	command(t, "", "diff", "-r", "--no-dereference", src, filepath.Join(desk.Mount, "net"))
	got, err := os.ReadFile(filepath.Join(desk.Mount, "film"))
	if err != nil || !bytes.Equal(got, film) {
		t.Errorf("the film on the second device: %d bytes, %v", len(got), err)
	}

	anna.store(t, "from the web/letter.txt", []byte("Dear Anna"))
	for _, d := range []string{laptop.Mount, desk.Mount} {
		took := eventually(t, 2*time.Second, func() error { return has(filepath.Join(d, "from the web", "letter.txt"), "Dear Anna") })
		t.Logf("in the mount %v after /rpc/store_file", took)
	}
	anna.store(t, "from the web/letter.txt", []byte("Dear Anna, once more"))
	for _, d := range []string{laptop.Mount, desk.Mount} {
		eventually(t, 2*time.Second, func() error {
			return has(filepath.Join(d, "from the web", "letter.txt"), "Dear Anna, once more")
		})
	}
}

// TestDevicesFollowEachOther: each kind of change on one device is on the
// other without a command.
func TestDevicesFollowEachOther(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	a, b := anna.mountNew(t, "a"), anna.mountNew(t, "b")
	at := func(name string) (string, string) { return filepath.Join(a.Mount, name), filepath.Join(b.Mount, name) }
	gone := func(path string) error {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			return fmt.Errorf("%s is still there (%v)", path, err)
		}
		return nil
	}
	dirA, dirB := at("dir")
	must(t, os.Mkdir(dirA, 0o750))
	write(t, filepath.Join(dirA, "one"), "1")
	eventually(t, 5*time.Second, func() error { return has(filepath.Join(dirB, "one"), "1") })

	must(t, os.Rename(filepath.Join(dirA, "one"), filepath.Join(dirA, "two")))
	eventually(t, 5*time.Second, func() error {
		if err := has(filepath.Join(dirB, "two"), "1"); err != nil {
			return err
		}
		return gone(filepath.Join(dirB, "one"))
	})

	must(t, os.Symlink("two", filepath.Join(dirB, "link")))
	must(t, os.Link(filepath.Join(dirB, "two"), filepath.Join(dirB, "second")))
	must(t, os.Chmod(filepath.Join(dirB, "two"), 0o600))
	eventually(t, 5*time.Second, func() error {
		target, err := os.Readlink(filepath.Join(dirA, "link"))
		if err != nil || target != "two" {
			return fmt.Errorf("link: %q %v", target, err)
		}
		second, err := os.Stat(filepath.Join(dirA, "second"))
		if err != nil {
			return err
		}
		two, err := os.Stat(filepath.Join(dirA, "two"))
		if err != nil {
			return err
		}
		if !os.SameFile(two, second) || two.Mode().Perm() != 0o600 {
			return fmt.Errorf("hard link: same=%v mode=%v", os.SameFile(two, second), two.Mode())
		}
		return nil
	})

	write(t, filepath.Join(dirB, "two"), "from b")
	eventually(t, 5*time.Second, func() error { return has(filepath.Join(dirA, "second"), "from b") })

	must(t, os.RemoveAll(dirB))
	eventually(t, 5*time.Second, func() error { return gone(dirA) })
}

// TestCommandLine: the drive without a mount, and what it says about itself.
func TestCommandLine(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	d := anna.newDevice(t, "laptop")
	local := filepath.Join(t.TempDir(), "note.txt")
	write(t, local, "by put")

	who, err := d.Satchel(t.Context(), "", "whoami")
	if err != nil || !strings.Contains(who, anna.email) {
		t.Errorf("whoami: %q %v", who, err)
	}
	if _, err := d.Satchel(t.Context(), "", "put", local, "notes/note.txt"); err != nil {
		t.Fatal(err)
	}
	must(t, anna.stored(t, "notes/note.txt", []byte("by put")))
	out, err := d.Satchel(t.Context(), "", "ls", "notes")
	if err != nil || !strings.Contains(out, "note.txt") {
		t.Errorf("ls: %q %v", out, err)
	}
	back := filepath.Join(t.TempDir(), "back.txt")
	if _, err := d.Satchel(t.Context(), "", "get", "notes/note.txt", back); err != nil {
		t.Fatal(err)
	}
	must(t, has(back, "by put"))

	if _, err := d.Satchel(t.Context(), "", "logout"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Satchel(t.Context(), "", "ls"); err == nil {
		t.Error("ls works after logout")
	}
}
