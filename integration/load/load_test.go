package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/integration/require"
	"satchel/integration/rig"
)

func TestMain(m *testing.M) {
	rig.Janitor()
	os.Exit(m.Run())
}

// TestLoad is a small load for some seconds, on one server and on two. How much they do is nobody's
// business here: that all is right, and that nothing stays behind, run looks for itself.
func TestLoad(t *testing.T) {
	require.Tool(t, "rclone")
	require.Tool(t, "nginx", "/usr/sbin/nginx")
	file := filepath.Join(t.TempDir(), "reliability.md")
	if err := os.WriteFile(file, []byte("before\n<!-- load: begin -->\nan earlier table\n<!-- load: end -->\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, log strings.Builder
	err := run(t.Context(), []string{"-idle", "60", "-writing", "6", "-reading", "6", "-fast", "1s", "-duration", "2s", "-pause", "100ms", "-compared", "300ms", "-write", file}, &out, &log)
	t.Log(log.String())
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(out.String()) {
		if strings.Contains(row, "a second") && (strings.Contains(row, "| 0;") || strings.HasPrefix(row, "| writes a second") && strings.Contains(row, "–")) {
			t.Errorf("nothing was done: %s", row)
		}
	}
	if rows := strings.Count(out.String(), "\n| "); rows != 19 {
		t.Errorf("the tables have %d rows:\n%s", rows, out.String())
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(got); !strings.Contains(s, out.String()) || strings.Contains(s, "an earlier table") {
		t.Errorf("-write made of the file:\n%s", s)
	}
}
