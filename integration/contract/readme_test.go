package contract

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"satchel/integration/require"
)

// TestReadme runs README.md's commands with curl as they are printed there.
func TestReadme(t *testing.T) {
	require.Tool(t, "curl")
	require.Tool(t, "jq")
	b, err := os.ReadFile("../../README.md")
	must(t, err)
	_, section, found := strings.Cut(string(b), "The same files over HTTP")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		t.Fatal("README.md has no such section")
	}
	script := "set -e\n"
	for l := range strings.SplitSeq(section, "\n") {
		if strings.HasPrefix(l, "    ") {
			script += l + "\n"
		}
	}
	p := worldOf(t, "file").newPerson(t)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "URL="+p.w.server.URL, "EMAIL="+p.email, "PASSWORD="+p.password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	for _, want := range []string{`[{"file_path":"notes/today.txt","size":11}]`, `[{"is_public":true}]`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the commands print no %s:\n%s", want, out)
		}
	}
	if n := strings.Count(string(out), "Buy bread.\n"); n != 2 {
		t.Errorf("the file is printed %d times:\n%s", n, out)
	}
}
