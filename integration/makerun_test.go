package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// TestMakeRun runs what `make run` runs after building, in a checkout that has
// only that, with an empty HOME: twice, since data is kept.
func TestMakeRun(t *testing.T) {
	require.Fuse(t)
	run := newMakeRun(t)
	for round, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		child, printed, demo := run.start(t)
		if strings.HasSuffix(demo.server.URL, ":7070") {
			t.Errorf("it is at %s, where the guide's server is to be", demo.server.URL)
		}
		if page := demo.ask(t, "GET", "/", map[string]string{"Accept": "text/html"}, nil); page.status != 200 || !strings.Contains(string(page.body), "satchel mount") {
			t.Errorf("the page says %v", page)
		}
		for i := range round {
			must(t, has(filepath.Join(run.drive, fmt.Sprint("file-", i)), "kept"))
		}
		name := fmt.Sprint("file-", round)
		write(t, filepath.Join(run.drive, name), "kept")
		eventually(t, 10*time.Second, func() error { return demo.stored(t, name, []byte("kept")) })

		// A program that stands in the folder holds nothing up, and is told of.
		holder := exec.Command("sleep", "1000")
		holder.Dir = run.drive
		if round == 0 {
			must(t, holder.Start())
		}
		if err := child.End(signal); err != nil {
			t.Error(err)
		}
		if round == 0 {
			holder.Process.Kill()
			holder.Wait()
			if said := printed.String(); !strings.Contains(said, fmt.Sprintf("sleep (process %d)", holder.Process.Pid)) || strings.Contains(said, "try again") {
				t.Errorf("with a program in the folder it said at the end:\n%s", said)
			}
		}
		if !strings.Contains(printed.String(), "Your files are kept") {
			t.Errorf("at the end it said:\n%s", printed)
		}
		for _, left := range rig.Leftovers(run.checkout) {
			t.Errorf("after %v there is left: %s", signal, left)
		}
	}
}

// TestMakeRunAfterAKill kills the script, and with it nobody who could end the server and the mount: nothing is
// removed under them, and the next run has all of it, with nothing left of the first.
func TestMakeRunAfterAKill(t *testing.T) {
	require.Fuse(t)
	run := newMakeRun(t)
	child, _, demo := run.start(t)
	t.Cleanup(func() {
		for _, left := range rig.Leftovers(run.checkout) {
			t.Errorf("there is left: %s", left)
		}
	})
	write(t, filepath.Join(run.drive, "file"), "kept")
	clean := func() string {
		out, err := run.command("--clean").CombinedOutput()
		if err == nil {
			t.Error("what is at work was removed")
		}
		return string(out)
	}
	if said := clean(); !strings.Contains(said, "Ctrl-C in its terminal") {
		t.Errorf("beside a run, cleaning said %q", said)
	}

	child.End(syscall.SIGKILL)
	if said := clean(); !strings.Contains(said, "'make run' and Ctrl-C") {
		t.Errorf("after the kill, cleaning said %q", said)
	}
	must(t, has(filepath.Join(run.drive, "file"), "kept"))
	write(t, filepath.Join(run.drive, "later"), "kept too")

	child, printed, again := run.start(t)
	if again.server.URL != demo.server.URL {
		t.Errorf("the server was at %s and is at %s: the old one has its port still\n%s", demo.server.URL, again.server.URL, printed)
	}
	must(t, has(filepath.Join(run.drive, "file"), "kept"))
	must(t, has(filepath.Join(run.drive, "later"), "kept too"))
	must(t, again.stored(t, "later", []byte("kept too")))
	must(t, child.End(syscall.SIGTERM))
	if out, err := run.command("--clean").CombinedOutput(); err != nil || exists(filepath.Join(run.checkout, ".run")) {
		t.Errorf("cleaning after the end: %v: %s", err, out)
	}
}

// makeRun is a checkout that has what `make run` needs after building.
type makeRun struct{ checkout, drive, home string }

func newMakeRun(t *testing.T) makeRun {
	checkout, err := os.MkdirTemp(parts.Dir, "checkout with space ")
	must(t, err)
	must(t, os.Chmod(checkout, 0o755)) // PostgreSQL's user passes through it
	must(t, os.Mkdir(filepath.Join(checkout, "integration"), 0o755))
	must(t, os.Symlink(parts.Bin, filepath.Join(checkout, "bin")))
	script, err := os.ReadFile("run.sh")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(checkout, "integration", "run.sh"), script, 0o755))
	return makeRun{checkout, filepath.Join(checkout, ".run", "drive"), t.TempDir()}
}

func (r makeRun) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(r.checkout, "integration", "run.sh"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.home}
	return cmd
}

// start returns when the script says that all is ready: it, what it printed and prints, and the demo's account.
func (r makeRun) start(t *testing.T) (*rig.Child, *lockedBuffer, *account) {
	t.Helper()
	printed := &lockedBuffer{}
	cmd := r.command()
	cmd.Stdout, cmd.Stderr = printed, printed
	cmd.WaitDelay = 5 * time.Second
	child, err := rig.StartChild(cmd)
	must(t, err)
	t.Cleanup(func() { child.End(syscall.SIGTERM) })
	if err := child.WaitReady(t.Context(), time.Minute, func() bool { return strings.Contains(printed.String(), "Ctrl-C ends") }); err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	said := printed.String()
	if !strings.Contains(said, r.drive) {
		t.Fatalf("the folder is not printed:\n%s", said)
	}
	get := func(label string) string {
		m := regexp.MustCompile(label + `\s+(\S+)`).FindStringSubmatch(said)
		if m == nil {
			t.Fatalf("no %s in\n%s", label, said)
		}
		return m[1]
	}
	demo := &account{server: &rig.Server{URL: strings.TrimSuffix(get("Web page"), "/")}, email: get("Login"), password: get("Password")}
	demo.token = demo.login(t)
	return child, printed, demo
}
