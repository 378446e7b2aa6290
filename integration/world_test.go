package integration

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"satchel/integration/rig"
)

var counter atomic.Int64

// unique is a short name that no other test has.
func unique(t *testing.T, what string) string {
	name := strings.NewReplacer("/", "-", " ", "-").Replace(strings.TrimPrefix(t.Name(), "Test"))
	return fmt.Sprintf("%.20s-%s-%d", name, what, counter.Add(1))
}

// line is a line of docs/contract.md, as it is written there, and what shows it.
type line[W any] struct {
	text string
	show func(*testing.T, W)
}

func showLines[W any](t *testing.T, w W, lines []line[W]) {
	for _, l := range lines {
		t.Run(l.text, func(t *testing.T) { l.show(t, w) })
	}
}

// account is a user of one server.
type account struct {
	server   *rig.Server
	email    string
	password string
	token    string // for the HTTP APIs
	dav      string // an app password
}

func newAccount(t *testing.T, s *rig.Server, name string) *account {
	t.Helper()
	a := &account{server: s, email: strings.ToLower(unique(t, name)) + "@example.org", password: "a password for " + name}
	if err := s.AddUser(t.Context(), a.email, a.password, "editor"); err != nil {
		t.Fatal(err)
	}
	a.token = a.login(t)
	return a
}

// newDevice is a logged-in device with an empty cache.
func (a *account) newDevice(t *testing.T, name string) *rig.Device {
	t.Helper()
	return a.newDeviceAs(t, name, nil)
}

func (a *account) newDeviceAs(t *testing.T, name string, cred *syscall.Credential) *rig.Device {
	t.Helper()
	return a.deviceOf(t, name, a.server.URL, cred)
}

// newDeviceAt is newDevice of a server that is reached by another URL.
func (a *account) newDeviceAt(t *testing.T, name, url string) *rig.Device {
	t.Helper()
	return a.deviceOf(t, name, url, nil)
}

func (a *account) deviceOf(t *testing.T, name, url string, cred *syscall.Credential) *rig.Device {
	t.Helper()
	d, err := parts.NewDevice(unique(t, name), cred)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Login(t.Context(), url, a.email, a.password); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.Logs())
		}
		if !d.Mounted() {
			return
		}
		ctx, cancel := finish()
		defer cancel()
		if err := d.Unmount(ctx, "--now"); err != nil {
			t.Error(err)
		}
	})
	return d
}

// mountNew is newDevice and its drive, mounted.
func (a *account) mountNew(t *testing.T, name string) *rig.Device {
	t.Helper()
	d := a.newDevice(t, name)
	mount(t, d)
	return d
}

func mount(t *testing.T, d *rig.Device) {
	t.Helper()
	if err := d.MountDrive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !d.Mounted() {
		t.Fatalf("satchel mount ended well, but nothing is mounted at %s", d.Mount)
	}
}

func syncAll(t *testing.T, d *rig.Device) {
	t.Helper()
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// eventually asks until fn has no error, at most for limit.
func eventually(t *testing.T, limit time.Duration, fn func() error) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		err := fn()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			t.Fatalf("not after %v: %v", limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// command runs a program in dir and returns its output.
func command(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%.4000s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// has is an error unless the file has this content.
func has(path, content string) error {
	got, err := os.ReadFile(path)
	if err == nil && string(got) != content {
		err = fmt.Errorf("%s has %.80q (%d bytes), not %.80q (%d bytes)", filepath.Base(path), got, len(got), content, len(content))
	}
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func goroot(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(command(t, "", "go", "env", "GOROOT"))
}

// holder is a program that holds a file open or mapped: see ./holder.
type holder struct {
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

func hold(t *testing.T, path string) *holder {
	t.Helper()
	cmd := exec.Command(holderProgram(), path)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	h := &holder{in: in, out: bufio.NewScanner(out), cmd: cmd}
	t.Cleanup(h.end)
	h.answer(t, "open")
	return h
}

func (h *holder) do(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintln(h.in, line); err != nil {
		t.Fatal(err)
	}
	h.answer(t, line)
}

// try is do where an error is all right.
func (h *holder) try(line string) {
	fmt.Fprintln(h.in, line)
	h.out.Scan()
}

func (h *holder) answer(t *testing.T, line string) {
	t.Helper()
	if !h.out.Scan() || h.out.Text() != "ok" {
		t.Fatalf("holder: %s: %q %v", line, h.out.Text(), h.out.Err())
	}
}

// end lets the program close and unmap everything by ending.
func (h *holder) end() {
	h.in.Close()
	h.cmd.Wait()
}

// lockedBuffer collects a program's output while the test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
