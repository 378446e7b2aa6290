package integration

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/integration/rig"
)

// office is a LibreOffice of its own: see office/office.py.
type office struct {
	in  io.WriteCloser
	out *bufio.Scanner
	log *lockedBuffer
}

// startOffice starts one with an empty profile, as if it were another person's.
func startOffice(t *testing.T) *office {
	t.Helper()
	// Debian's own, since the module belongs to it; setup.sh installs it.
	cmd := exec.Command("/usr/bin/python3", "office/office.py", filepath.Join(plainFolder(t, nil), "profile"))
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	o := &office{log: &lockedBuffer{}}
	cmd.Stderr = o.log
	var err error
	o.in, err = cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	o.out = bufio.NewScanner(out)
	must(t, cmd.Start())
	t.Cleanup(func() {
		o.in.Close()
		stuck := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		defer stuck.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("LibreOffice's end: %v\n%s", err, o.log)
		}
	})
	o.answer(t, "start")
	return o
}

func (o *office) answer(t *testing.T, asked string) string {
	t.Helper()
	if !o.out.Scan() {
		t.Fatalf("%s: LibreOffice has ended\n%s", asked, o.log)
	}
	said, ok := strings.CutPrefix(o.out.Text(), "ok")
	if !ok {
		t.Fatalf("%s: %s\n%s", asked, o.out.Text(), o.log)
	}
	return strings.TrimSpace(said)
}

// do has it do something, and is what it tells.
func (o *office) do(t *testing.T, words ...string) string {
	t.Helper()
	line := strings.Join(words, "\t")
	_, err := fmt.Fprintln(o.in, line)
	must(t, err)
	return o.answer(t, line)
}

// tells fails unless it does something and tells this.
func (o *office) tells(t *testing.T, want string, words ...string) {
	t.Helper()
	if got := o.do(t, words...); got != want {
		t.Errorf("%s: %q, not %q", strings.Join(words, " "), got, want)
	}
}

// officeLocks is one document that two people open, on one machine and on two. While the first has it open, the
// others are told that it is locked; it is saved in place, stays the same document, and arrives whole.
func officeLocks(t *testing.T, a *account, laptop, desk *rig.Device, first, second *office, kind string) {
	dir := "office-" + kind
	must(t, os.Mkdir(filepath.Join(laptop.Mount, dir), 0o755))
	name, lock := "letter."+kind, ".~lock.letter."+kind+"#"
	here, there := filepath.Join(laptop.Mount, dir, name), filepath.Join(desk.Mount, dir, name)
	arrives := func(what string, fn func() error) {
		t.Helper()
		t.Logf("%s was there after %v", what, eventually(t, 30*time.Second, fn).Round(time.Millisecond))
	}
	locked := func(mount string, want bool) error {
		b, err := os.ReadFile(filepath.Join(mount, dir, lock))
		switch {
		case os.IsNotExist(err) && !want:
			return nil
		case err == nil && !want:
			return fmt.Errorf("it is still locked by %s", b)
		case err == nil && !strings.HasSuffix(string(b), ";"): // LibreOffice writes it with one call
			return fmt.Errorf("half a lock: %q", b)
		}
		return err
	}
	current := func(path string) error { // that machine has what the server has
		b, err := os.ReadFile(path)
		if sum := api.Hash(sha256.Sum256(b)); err == nil && sum != a.node(t, dir+"/"+name).SHA256 {
			err = fmt.Errorf("%d bytes that are not the server's", len(b))
		}
		return err
	}

	first.do(t, "new", here, "Dear Anna")
	syncAll(t, laptop)
	made := a.node(t, dir+"/"+name)
	arrives("the new document", func() error { return current(there) })

	first.tells(t, "writable", "open", here)
	must(t, locked(laptop.Mount, true))
	second.tells(t, "locked, read-only", "open", here)
	second.tells(t, "Dear Anna", "text")
	second.do(t, "close")
	must(t, locked(laptop.Mount, true)) // who only read it has not taken it away
	arrives("the lock", func() error { return locked(desk.Mount, true) })
	second.tells(t, "locked, read-only", "open", there)
	second.do(t, "close")

	for _, text := range []string{"Dear Ben", "Dear Cleo"} { // saved twice while it is open
		first.do(t, "write", text)
		first.do(t, "save")
	}
	must(t, locked(laptop.Mount, true))
	first.do(t, "close")
	must(t, locked(laptop.Mount, false))
	arrives("the unlocking", func() error { return locked(desk.Mount, false) })
	syncAll(t, laptop)
	saved := a.node(t, dir+"/"+name)
	if saved.Document != made.Document || saved.SHA256 == made.SHA256 {
		t.Errorf("the document was %v with %v and is %v with %v", made.Document, made.SHA256, saved.Document, saved.SHA256)
	}
	arrives("what was saved", func() error { return current(there) })

	second.tells(t, "writable", "open", there)
	second.tells(t, "Dear Cleo", "text")
	second.do(t, "write", "Dear Dora")
	second.do(t, "save")
	second.do(t, "close")
	syncAll(t, desk)
	if back := a.node(t, dir+"/"+name); back.Document != made.Document || back.SHA256 == saved.SHA256 {
		t.Errorf("saved by the other machine: %+v, which was %+v", back, saved)
	}
	arrives("what the other machine saved", func() error { return current(here) })
	first.tells(t, "writable", "open", here)
	first.tells(t, "Dear Dora", "text")
	first.do(t, "close")
	for _, d := range []*rig.Device{laptop, desk} {
		arrives("the end of it all on "+d.Name, func() error {
			entries, err := os.ReadDir(filepath.Join(d.Mount, dir))
			if err == nil && (len(entries) != 1 || entries[0].Name() != name) {
				err = fmt.Errorf("%s has %v", dir, entries)
			}
			return err
		})
	}
}
