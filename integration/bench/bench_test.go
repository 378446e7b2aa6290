package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/fusefs/everyday"
	"satchel/integration/require"
	"satchel/integration/rig"
)

func TestMain(m *testing.M) {
	rig.Janitor()
	os.Exit(m.Run())
}

// TestRowsAreRight runs every row once, tiny, on every system that is here.
// Rows check their own results; how long they took is nobody's business here.
func TestRowsAreRight(t *testing.T) {
	require.Fuse(t)
	for _, tool := range []string{"tar", "git", "sqlite3"} {
		require.Tool(t, tool)
	}
	file := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(file, []byte("# Title\n<!-- bench: begin -->\nan earlier table\n<!-- bench: end -->\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, log strings.Builder
	err := run(t.Context(), []string{"-quick", "-rounds", "1", "-write", file}, &out, &log)
	t.Log(log.String())
	if err != nil {
		t.Fatal(err)
	}
	table := out.String()
	for _, row := range everyday.Tiny.Rows() {
		if !strings.Contains(table, "| "+row.Name+" | ") {
			t.Errorf("the table has no row %q:\n%s", row.Name, table)
		}
	}
	if strings.Contains(table, "failed on satchel") || strings.Contains(table, "failed on loopback") {
		t.Errorf("the table tells of failures:\n%s", table)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(got); !strings.Contains(s, table) || !strings.HasPrefix(s, "# Title\n") || !strings.HasSuffix(s, "after\n") || strings.Contains(s, "an earlier table") {
		t.Errorf("-write made of the file:\n%s", s)
	}
}

// TestUsersRowsAreRight does the same as an ordinary user, through fusermount3.
func TestUsersRowsAreRight(t *testing.T) {
	require.Fuse(t)
	require.Root(t)
	require.Tool(t, "fusermount3")
	var out, log strings.Builder
	err := run(t.Context(), []string{"-quick", "-rounds", "1", "-user"}, &out, &log)
	t.Log(log.String())
	if err != nil {
		t.Fatal(err)
	}
	if table := out.String(); strings.Contains(table, "failed on") || !strings.Contains(table, "**satchel-user ÷ loopback-user** |\n") {
		t.Errorf("the table:\n%s", table)
	}
}
