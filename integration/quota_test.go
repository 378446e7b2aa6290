package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestQuota: a quota shows in df, is told to programs before they have
// written in vain, and to HTTP clients before they have sent it; nothing is lost
// by it, and more room is used at once.
func TestQuota(t *testing.T) {
	s := server(t)
	anna := newAccount(t, s, "anna")
	const mib = 1 << 20
	set := func(size string) {
		t.Helper()
		_, err := s.Satcheld(t.Context(), "", "user", "quota", anna.email, size)
		must(t, err)
	}
	set("4M")
	laptop := anna.mountNew(t, "laptop")
	at := func(name string) string { return filepath.Join(laptop.Mount, name) }
	free := func(want int64) error {
		var fs unix.Statfs_t
		if err := unix.Statfs(laptop.Mount, &fs); err != nil {
			return err
		}
		total, left := int64(fs.Blocks)*fs.Bsize, int64(fs.Bavail)*fs.Bsize
		if total != 4*mib || left != want {
			return fmt.Errorf("df shows %d bytes of which %d are free, not %d", total, left, want)
		}
		return nil
	}
	must(t, free(4*mib))

	first := randomBytes(3 * mib)
	must(t, os.WriteFile(at("first"), first, 0o644))
	must(t, free(mib)) // before the server has it
	syncAll(t, laptop)
	must(t, anna.stored(t, "first", first))
	eventually(t, 10*time.Second, func() error { return free(mib) })

	// A program is told while it writes, and what fitted is there.
	f, err := os.Create(at("second"))
	must(t, err)
	written := 0
	for err == nil && written < 8*mib {
		var n int
		n, err = f.Write(make([]byte, 64<<10))
		written += n
	}
	f.Close()
	if !errors.Is(err, syscall.EDQUOT) || written < mib/2 || written > mib {
		t.Errorf("%d bytes were written beyond the quota, then %v", written, err)
	}
	for what, err := range map[string]error{
		"truncate": os.Truncate(at("first"), 5*mib),
		"create":   os.WriteFile(at("third"), []byte("more"), 0o644),
	} {
		if !errors.Is(err, syscall.EDQUOT) {
			t.Errorf("%s beyond the quota: %v", what, err)
		}
	}
	syncAll(t, laptop)

	// An HTTP client that says how much it has is told at once.
	got := anna.ask(t, "POST", "/rpc/store_file", map[string]string{"File-Path": "large", "Content-Type": "application/octet-stream"}, randomBytes(3*mib))
	if got.status != 507 || !strings.Contains(got.message(), "quota") {
		t.Errorf("store_file beyond the quota: %v", got)
	}

	// Room that is made, or granted, is used at once.
	must(t, os.Remove(at("second")))
	eventually(t, 10*time.Second, func() error { return os.WriteFile(at("third"), []byte("more"), 0o644) })
	set("none")
	big := randomBytes(9 * mib)
	eventually(t, 90*time.Second, func() error { return os.WriteFile(at("large"), big, 0o644) })
	syncAll(t, laptop)
	must(t, anna.stored(t, "large", big))
	must(t, anna.stored(t, "third", []byte("more")))
	if _, err := os.Stat(at("Recovered")); !os.IsNotExist(err) {
		t.Errorf("something was refused: %v", err)
	}
}

// TestAbsurdQuota: a quota larger than any disk shows as what there is room for.
func TestAbsurdQuota(t *testing.T) {
	s := server(t)
	anna := newAccount(t, s, "anna")
	_, err := s.Satcheld(t.Context(), "", "user", "quota", anna.email, "7000000T")
	must(t, err)
	laptop := anna.mountNew(t, "laptop")
	write(t, filepath.Join(laptop.Mount, "file"), "text")
	var disk, drive unix.Statfs_t
	must(t, unix.Statfs(laptop.Home, &disk))
	must(t, unix.Statfs(laptop.Mount, &drive))
	free, size := int64(drive.Bavail)*drive.Bsize, int64(drive.Blocks)*drive.Bsize
	if used := size - free; used < 0 || used > 1<<20 || free > int64(disk.Blocks)*disk.Bsize || free < 1<<20 {
		t.Errorf("df shows %d bytes of which %d are free, on a disk of %d", size, free, int64(disk.Blocks)*disk.Bsize)
	}
}
