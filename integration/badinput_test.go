package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// refused is a command that must fail with code 1 and say something of words.
func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	var e *rig.CommandError
	if !errors.As(err, &e) {
		t.Errorf("the command was not refused: %v", err)
		return
	}
	if e.Code != 1 {
		t.Errorf("exit code %d, not 1: %v", e.Code, e)
	}
	said := strings.ToLower(e.Stderr)
	for _, w := range words {
		if strings.Contains(said, w) {
			if strings.Contains(said, "panic") || strings.Contains(said, "goroutine ") {
				t.Errorf("a person should not read this: %s", e.Stderr)
			}
			return
		}
	}
	t.Errorf("the message has none of %q: %s", words, e.Stderr)
}

func TestBadLogins(t *testing.T) {
	s := server(t)
	anna := newAccount(t, s, "anna")
	d := anna.newDevice(t, "laptop")

	stranger, err := parts.NewDevice(unique(t, "stranger"), nil)
	must(t, err)
	refused(t, stranger.Login(t.Context(), s.URL, anna.email, "not her password"), "password")
	refused(t, stranger.Login(t.Context(), s.URL, "nobody@example.org", "x"), "password")
	addr, err := rig.FreeAddr()
	must(t, err)
	start := time.Now()
	refused(t, stranger.Login(t.Context(), "http://"+addr, anna.email, anna.password), "reach", "connect", "no server", "answer")
	if took := time.Since(start); took > time.Minute {
		t.Errorf("without a server, login took %v to say so", took)
	}
	var e *rig.CommandError
	if _, err := d.Satchel(t.Context(), "", "no-such-command"); !errors.As(err, &e) || e.Code != 2 {
		t.Errorf("wrong usage: %v, wanted exit code 2", err)
	}

	// The good login from before is not hurt.
	if out, err := d.Satchel(t.Context(), "", "whoami"); err != nil || !strings.Contains(out, anna.email) {
		t.Errorf("whoami: %q %v", out, err)
	}

	ended := newAccount(t, s, "ended")
	if got := ended.ask(t, "POST", "/v1/logout", nil, nil); got.status != 204 {
		t.Errorf("logout: %v", got)
	}
	for what, token := range map[string]string{
		"no token":   "",
		"logged out": ended.token,
		"garbage":    "garbage",
		"tampered":   anna.token[:len(anna.token)-4] + "AAAA",
		"alg none":   "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
		"other key":  "eyJhbGciOiJFZERTQSIsImtpZCI6IngifQ.eyJzdWIiOiJ4In0.AAAA",
	} {
		mallory := &account{server: s, token: token}
		for _, path := range []string{"/files", "/v1/drives", "/v1/whoami"} {
			if got := mallory.ask(t, "GET", path, nil, nil); got.status != 401 || got.message() == "" {
				t.Errorf("%s: GET %s: %v", what, path, got)
			}
		}
	}
}

// TestRevokedDevice: a device whose login is gone is offline and says so; its
// unsent work is kept until it is logged in again.
func TestRevokedDevice(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	write(t, filepath.Join(laptop.Mount, "before"), "sent")
	syncAll(t, laptop)
	anna.revokeLogin(t, laptop)
	write(t, filepath.Join(laptop.Mount, "after"), "not sent")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := laptop.Satchel(ctx, "", "sync", "--wait", "--timeout", "10s")
	refused(t, err, "log in")
	must(t, has(filepath.Join(laptop.Mount, "before"), "sent"))
	must(t, has(filepath.Join(laptop.Mount, "after"), "not sent"))

	must(t, laptop.Unmount(t.Context(), "--now"))
	must(t, laptop.Login(t.Context(), anna.server.URL, anna.email, anna.password))
	mount(t, laptop)
	syncAll(t, laptop)
	must(t, anna.stored(t, "after", []byte("not sent")))
}

func TestBadMountPoints(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	d := anna.newDevice(t, "laptop")
	tryMount := func(dir string) error {
		_, err := d.Satchel(t.Context(), "", "mount", dir)
		return err
	}
	full := filepath.Join(d.Home, "full")
	must(t, os.Mkdir(full, 0o755))
	write(t, filepath.Join(full, "mine"), "precious")
	refused(t, tryMount(full), "not empty")
	must(t, has(filepath.Join(full, "mine"), "precious"))

	refused(t, tryMount(filepath.Join(full, "mine")), "not a directory")
	must(t, has(filepath.Join(full, "mine"), "precious"))
	refused(t, tryMount(filepath.Join(full, "nowhere")), "no such", "not exist", "does not exist")

	mount(t, d)
	write(t, filepath.Join(d.Mount, "kept"), "here")
	refused(t, tryMount(d.Mount), "mounted", "in use", "busy")
	other := anna.newDevice(t, "other")
	_, err := other.Satchel(t.Context(), "", "mount", d.Mount)
	refused(t, err, "mounted", "in use", "busy")
	must(t, has(filepath.Join(d.Mount, "kept"), "here"))

	// A program that stands in the folder: the message says so, and after it
	// has left the folder can be unmounted.
	f, err := os.Open(filepath.Join(d.Mount, "kept"))
	must(t, err)
	if _, err := d.Satchel(t.Context(), "", "umount", d.Mount); err != nil {
		refused(t, err, "busy", "in use")
	}
	f.Close()
	if d.Mounted() {
		must(t, d.Unmount(t.Context()))
	}
}

func TestBadNames(t *testing.T) {
	anna := newAccount(t, server(t), "anna")
	laptop := anna.mountNew(t, "laptop")
	long := strings.Repeat("n", 256)
	at := func(name string) string { return filepath.Join(laptop.Mount, name) }
	write(t, at("file"), "kept")
	for call, err := range map[string]error{
		"open":    os.WriteFile(at(long), nil, 0o644),
		"mkdir":   os.Mkdir(at(long), 0o755),
		"rename":  os.Rename(at("file"), at(long)),
		"link":    os.Link(at("file"), at(long)),
		"symlink": os.Symlink("file", at(long)),
		"stat":    func() error { _, err := os.Stat(at(long)); return err }(),
	} {
		if !errors.Is(err, syscall.ENAMETOOLONG) {
			t.Errorf("%s with a name of 256 bytes: %v", call, err)
		}
	}
	must(t, has(at("file"), "kept"))

	odd := []string{strings.Repeat("n", 255), strings.Repeat("ü", 127), "[a].txt", "100%25.txt", " spaces ", "emoji 🎒", "new\nline", "bad\xff\xfeutf8", "back\\slash", `"quoted"`, "-rf", "~", "file (conflict)", "\u0301"}
	for _, name := range odd {
		write(t, at(name), "content of "+name)
	}
	syncAll(t, laptop)
	desk := anna.mountNew(t, "desk")
	for _, name := range odd {
		if err := has(filepath.Join(desk.Mount, name), "content of "+name); err != nil {
			t.Errorf("%q on the other device: %v", name, err)
		}
	}

	for _, path := range []string{"../escape", "a/../../escape", "..", "a/..", long, "x/" + long} {
		got := anna.ask(t, "POST", "/rpc/store_file", map[string]string{"Content-Type": "application/octet-stream", "File-Path": path}, []byte("x"))
		if got.status/100 != 4 || got.message() == "" {
			t.Errorf("File-Path %.40q: %v", path, got)
		}
	}
	got := anna.ask(t, "POST", "/rpc/store_file", map[string]string{"Content-Type": "application/octet-stream"}, []byte("x"))
	if got.status != 400 || got.message() != "Mandatory 'File-Path' header is missing." {
		t.Errorf("no File-Path: %v", got)
	}
	if n := len(anna.files(t, "select=id")); n != len(odd)+1 {
		t.Errorf("there are %d files, not %d", n, len(odd)+1)
	}
}

// TestFullDisk: with the disk under the cache full, writers get ENOSPC, what
// was saved before is safe, and after making room work goes on.
func TestFullDisk(t *testing.T) {
	require.Root(t)
	anna := newAccount(t, server(t), "anna")
	laptop := anna.newDevice(t, "laptop")
	disk := filepath.Join(laptop.Home, "small-disk")
	must(t, os.Mkdir(disk, 0o700))
	must(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m,mode=0700"))
	t.Cleanup(func() {
		if laptop.Mounted() {
			ctx, cancel := finish()
			defer cancel()
			if err := laptop.Unmount(ctx, "--now"); err != nil {
				t.Error(err)
			}
		}
		// The kernel closes a dead process's files a little later.
		eventually(t, 5*time.Second, func() error { return syscall.Unmount(disk, 0) })
	})
	laptop.Args = []string{"--cache-dir", filepath.Join(disk, "cache")}
	mount(t, laptop)

	saved := map[string][]byte{}
	for i := range 5 {
		name := fmt.Sprint("saved-", i)
		saved[name] = randomBytes(100_000)
		f, err := os.Create(filepath.Join(laptop.Mount, name))
		must(t, err)
		_, err = f.Write(saved[name])
		must(t, errors.Join(err, f.Sync(), f.Close()))
	}

	big := filepath.Join(laptop.Mount, "too-big")
	f, err := os.Create(big)
	must(t, err)
	block := randomBytes(1 << 20)
	var full error
	for range 128 {
		if _, full = f.Write(block); full != nil {
			break
		}
	}
	full = errors.Join(full, f.Sync(), f.Close())
	if !errors.Is(full, syscall.ENOSPC) {
		t.Errorf("writing 128 MiB to a disk of 64: %v, wanted ENOSPC", full)
	}

	// All is there, and small things may even work; but nothing hangs or lies.
	for name, content := range saved {
		got, err := os.ReadFile(filepath.Join(laptop.Mount, name))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s on the full disk: %d bytes, %v", name, len(got), err)
		}
	}
	must(t, os.Remove(big))
	eventually(t, 10*time.Second, func() error {
		return os.WriteFile(filepath.Join(laptop.Mount, "after"), []byte("room again"), 0o644)
	})
	syncAll(t, laptop)
	for name, content := range saved {
		must(t, anna.stored(t, name, content))
	}
	must(t, anna.stored(t, "after", []byte("room again")))
	if got := anna.retrieve(t, "too-big"); got.status == 200 {
		t.Errorf("the removed file is on the server")
	}
}
