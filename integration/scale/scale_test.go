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

// TestScaleIsRight measures a small drive. The measurements look at what they
// get; how long that took is nobody's business here.
func TestScaleIsRight(t *testing.T) {
	require.Root(t)
	require.Fuse(t)
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(file, []byte("before\n<!-- scale: begin -->\nan earlier table\n<!-- scale: end -->\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, log strings.Builder
	err := run(t.Context(), []string{"-files", "4100", "-nodes", "12000", "-wide", "2500", "-write", file}, &out, &log)
	t.Log(log.String())
	if err != nil {
		t.Fatal(err)
	}
	if rows := strings.Count(out.String(), "\n| "); rows != 28 {
		t.Errorf("the table has %d rows:\n%s", rows, out.String())
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(got); !strings.Contains(s, out.String()) || !strings.HasPrefix(s, "before\n") || !strings.HasSuffix(s, "after\n") || strings.Contains(s, "an earlier table") {
		t.Errorf("-write made of the file:\n%s", s)
	}
}
