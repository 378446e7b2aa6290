package integration

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/integration/rig"
)

// With --writeback the kernel collects what programs write, and believes only itself about sizes and times of files
// that it knows. Few writes reach the daemon, all are there when the file is closed, and what another device does to such a file is
// seen as ever.
func TestWriteback(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.newDevice(t, "laptop")
	laptop.Args = []string{"--no-passthrough", "--writeback"}
	mount(t, laptop)
	desk := anna.mountNew(t, "desk")
	if out, err := laptop.Satchel(t.Context(), "", "status", "--json"); err != nil || !strings.Contains(out, `"writeback": true`) {
		t.Fatalf("status --json: %v\n%s", err, out)
	}
	here := func(name string) string { return filepath.Join(laptop.Mount, name) }
	there := func(name string) string { return filepath.Join(desk.Mount, name) }

	const pieces = 20_000
	before := reads(t, laptop)
	f, err := os.Create(here("pieces"))
	must(t, err)
	var all []byte
	for i := range pieces {
		piece := strconv.AppendInt(nil, int64(i), 36)
		all = append(all, piece...)
		_, err := f.Write(piece)
		must(t, err)
	}
	must(t, f.Close())
	if n := reads(t, laptop) - before; n > pieces/10 {
		t.Errorf("%d small writes were %d requests", pieces, n)
	}
	set := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	must(t, os.Chtimes(here("pieces"), set, set))
	syncAll(t, laptop)
	becomes(t, there("pieces"), all)
	if i, err := os.Stat(there("pieces")); err != nil || !i.ModTime().Equal(set) {
		t.Errorf("a time that was set is %v on another device (%v)", i.ModTime(), err)
	}

	// What comes from elsewhere: a larger version, a smaller one, a time, while the kernel here knows the file and has its pages.
	for _, size := range []int{3 << 20, 5, 70_000} {
		next := bytes.Repeat([]byte{byte(size % 251)}, size)
		must(t, os.WriteFile(there("pieces"), next, 0o644))
		syncAll(t, desk)
		becomes(t, here("pieces"), next)
	}
	must(t, os.Chtimes(there("pieces"), set, set))
	syncAll(t, desk)
	eventually(t, 30*time.Second, func() error {
		i, err := os.Stat(here("pieces"))
		if err == nil && !i.ModTime().Equal(set) {
			err = fmt.Errorf("a time that another device set is %v", i.ModTime())
		}
		return err
	})

	// A handle keeps what it opened.
	old, err := os.Open(here("pieces"))
	must(t, err)
	defer old.Close()
	must(t, os.WriteFile(there("pieces"), []byte("from the desk"), 0o644))
	syncAll(t, desk)
	becomes(t, here("pieces"), []byte("from the desk"))
	if b, err := io.ReadAll(io.NewSectionReader(old, 0, 1<<20)); err != nil || len(b) != 70_000 {
		t.Errorf("through the old handle: %d bytes, %v", len(b), err)
	}

	// Both write: there are both.
	mine, err := os.OpenFile(here("pieces"), os.O_RDWR, 0)
	must(t, err)
	defer mine.Close()
	must(t, os.WriteFile(there("pieces"), []byte("from the desk again"), 0o644))
	syncAll(t, desk)
	_, err = mine.WriteAt([]byte("mine"), 0)
	must(t, err)
	must(t, mine.Close())
	syncAll(t, laptop)
	becomes(t, here("pieces"), []byte("from the desk again"))
	copies, err := filepath.Glob(here("pieces (conflict, *"))
	if err != nil || len(copies) != 1 {
		t.Fatalf("conflict copies: %q, %v", copies, err)
	}
	if err := has(copies[0], "mine the desk"); err != nil {
		t.Error(err)
	}

	// Stores through a mapping, after the file was closed.
	must(t, os.WriteFile(here("mapped"), make([]byte, 8192), 0o644))
	f, err = os.OpenFile(here("mapped"), os.O_RDWR, 0)
	must(t, err)
	m, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	must(t, f.Close())
	copy(m[5000:], "late")
	must(t, unix.Munmap(m))
	want := make([]byte, 8192)
	copy(want[5000:], "late")
	eventually(t, 30*time.Second, func() error {
		syncAll(t, laptop)
		return has(there("mapped"), string(want))
	})

	must(t, laptop.KillDaemon(t.Context()))
	mount(t, laptop)
	becomes(t, here("pieces"), []byte("from the desk again"))
	becomes(t, here("mapped"), want)
}

// becomes waits until a file has some content.
func becomes(t *testing.T, path string, want []byte) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		i, err := os.Stat(path)
		if err == nil && i.Size() != int64(len(want)) {
			err = fmt.Errorf("it has %d bytes, not %d", i.Size(), len(want))
		}
		return cmp.Or(err, has(path, string(want)))
	})
}

// reads is how many calls to read something the device's daemon has made: each request of the kernel is one.
func reads(t *testing.T, d *rig.Device) (n int) {
	t.Helper()
	status, err := d.Status(t.Context())
	must(t, err)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", status.PID))
	must(t, err)
	if _, err := fmt.Sscanf(string(b[bytes.Index(b, []byte("syscr:")):]), "syscr: %d", &n); err != nil {
		t.Fatalf("%v in %q", err, b)
	}
	return n
}
