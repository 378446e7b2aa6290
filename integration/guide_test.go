package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// TestGuide types what docs/guide.md says, in a home where nothing is yet.
func TestGuide(t *testing.T) {
	require.Fuse(t)
	guide, err := os.ReadFile("../docs/guide.md")
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	dir := filepath.Join(parts.Dir, "guide")
	for _, sub := range []string{"home", "work", "run"} {
		must(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}

	var script strings.Builder
	script.WriteString("set -eu\ntrap 'kill $(jobs -p); wait' EXIT\n")
	typed := 0
	for line := range strings.Lines(strings.ReplaceAll(string(guide), "127.0.0.1:7070", address)) {
		command, ok := strings.CutPrefix(line, "    $ ")
		if !ok {
			continue
		}
		typed++
		command = strings.TrimSpace(command)
		fmt.Fprintf(&script, "echo '$' %s\n%s\n", strings.NewReplacer("'", `\'`, "&", `\&`, "<", `\<`, ">", `\>`, "$", `\$`, `"`, `\"`).Replace(command), command)
		if strings.HasSuffix(command, "&") { // who types takes longer than the server
			fmt.Fprintf(&script, "until (exec 3<>/dev/tcp/%s) 2>/dev/null; do kill -0 $!; sleep 0.1; done\n", strings.Replace(address, ":", "/", 1))
		}
	}
	if typed < 20 {
		t.Fatalf("the guide has %d commands", typed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // its trap ends the server
	cmd.WaitDelay = 20 * time.Second
	cmd.Dir = filepath.Join(dir, "work")
	cmd.Env = []string{"PATH=" + parts.Bin + ":" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"), "XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"),
		"DATA=" + filepath.Join(dir, "data")}
	out, err := cmd.CombinedOutput()
	said := string(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{
		"you@example.org", "everything is on the server", "\nDear Ada\n", "current", "Letters/charles.txt", "Letters/charles.txt is back", "ada.txt\n",
		"Letters is in your drive now: Letters", "Letters is shared with nobody",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	must(t, has(filepath.Join(dir, "work", "copy"), "correct horse battery\n"))
	must(t, has(filepath.Join(dir, "work", "from-ada", "charles.txt"), "Dear Charles\n"))
	for _, left := range rig.Leftovers(dir) {
		t.Errorf("there is left: %s", left)
	}
}
