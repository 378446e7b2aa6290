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
	checkout, err := os.MkdirTemp(parts.Dir, "checkout with space ")
	must(t, err)
	must(t, os.Chmod(checkout, 0o755)) // PostgreSQL's user passes through it
	must(t, os.Mkdir(filepath.Join(checkout, "integration"), 0o755))
	must(t, os.Symlink(parts.Bin, filepath.Join(checkout, "bin")))
	script, err := os.ReadFile("run.sh")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(checkout, "integration", "run.sh"), script, 0o755))
	drive := filepath.Join(checkout, ".run", "drive")

	for round, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		printed := &lockedBuffer{}
		cmd := exec.Command(filepath.Join(checkout, "integration", "run.sh"))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
		cmd.Stdout, cmd.Stderr = printed, printed
		cmd.WaitDelay = 5 * time.Second
		child, err := rig.StartChild(cmd)
		must(t, err)
		t.Cleanup(func() { child.End(syscall.SIGTERM) })
		if err := child.WaitReady(t.Context(), time.Minute, func() bool { return strings.Contains(printed.String(), "Ctrl-C ends") }); err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		said := printed.String()
		if !strings.Contains(said, drive) {
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
		if page := demo.ask(t, "GET", "/", map[string]string{"Accept": "text/html"}, nil); page.status != 200 || !strings.Contains(string(page.body), "satchel mount") {
			t.Errorf("the page says %v", page)
		}
		for i := range round {
			must(t, has(filepath.Join(drive, fmt.Sprint("file-", i)), "kept"))
		}
		name := fmt.Sprint("file-", round)
		write(t, filepath.Join(drive, name), "kept")
		eventually(t, 10*time.Second, func() error { return demo.stored(t, name, []byte("kept")) })

		// A program that stands in the folder holds nothing up, and is told of.
		holder := exec.Command("sleep", "1000")
		holder.Dir = drive
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
		for _, left := range rig.Leftovers(checkout) {
			t.Errorf("after %v there is left: %s", signal, left)
		}
	}
}
