package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRestoredServer: a server comes back from a backup, at its old address.
// The devices notice, without being mounted again, and give it what it lost:
// what they had sent since, and what they had not sent yet. What was only moved
// since is where the backup had it.
func TestRestoredServer(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop, desk := anna.mountNew(t, "laptop"), anna.mountNew(t, "desk")
	in := func(path string) string { return filepath.Join(laptop.Mount, path) }
	film := string(randomBytes(5 << 20))
	must(t, os.MkdirAll(in("letters/old"), 0o755))
	write(t, in("letters/old/kept"), "as in the backup")
	write(t, in("letters/edited"), "as in the backup")
	write(t, in("film"), film)
	syncAll(t, laptop)
	backup := filepath.Join(t.TempDir(), "backup")
	if _, err := s.Satcheld(t.Context(), "", "backup", backup); err != nil {
		t.Fatal(err)
	}

	write(t, in("letters/edited"), "after the backup")
	must(t, os.MkdirAll(in("photos/2026"), 0o755))
	photo := string(randomBytes(300_000))
	write(t, in("photos/2026/sea.jpg"), photo)
	must(t, os.Link(in("photos/2026/sea.jpg"), in("photos/best.jpg")))
	must(t, os.Symlink("2026/sea.jpg", in("photos/now")))
	must(t, os.Rename(in("film"), in("photos/film")))
	write(t, filepath.Join(desk.Mount, "of the desk"), "sent after the backup")
	syncAll(t, desk)
	syncAll(t, laptop)
	eventually(t, 20*time.Second, func() error { return has(in("of the desk"), "sent after the backup") })

	must(t, s.Stop())
	write(t, in("unsent"), "while there was no server")
	again, err := parts.NewServer(unique(t, "again"))
	must(t, err)
	again.Addr, again.URL = s.Addr, s.URL
	if _, err := again.Satcheld(t.Context(), "", "restore", backup); err != nil {
		t.Fatal(err)
	}
	must(t, again.Start(t.Context()))
	t.Cleanup(func() { must(t, again.Stop()) })
	showLogOnFailure(t, again)

	want := map[string]string{
		"letters/old/kept": "as in the backup", "letters/edited": "after the backup", "photos/2026/sea.jpg": photo, "photos/best.jpg": photo,
		"photos/now": photo, "film": film, "of the desk": "sent after the backup", "unsent": "while there was no server",
	}
	newcomer := &account{server: again, email: anna.email, password: anna.password}
	phone := newcomer.mountNew(t, "phone")
	for _, d := range []string{laptop.Mount, desk.Mount, phone.Mount} {
		for path, content := range want {
			eventually(t, time.Minute, func() error {
				if err := has(filepath.Join(d, path), content); err != nil {
					return fmt.Errorf("%s: %w", d, err)
				}
				return nil
			})
		}
	}
	syncAll(t, laptop)
	syncAll(t, desk)
	eventually(t, 20*time.Second, func() error { return same(laptop.Mount, desk.Mount) })
	eventually(t, 20*time.Second, func() error { return same(laptop.Mount, phone.Mount) })
	clean(t, again)
}
