package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/cache"
)

// Events that come together are one notice on the desktop.
func TestNotices(t *testing.T) {
	bin, out := t.TempDir(), filepath.Join(t.TempDir(), "shown")
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" >>" + out + "\nprintf 'END\\n' >>" + out + "\n"
	if err := os.WriteFile(filepath.Join(bin, "notify-send"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	n := newNotices(slog.New(slog.DiscardHandler))
	go n.run(t.Context())
	n.tell([]cache.Event{{What: cache.EventConflict, Path: "plan.txt", Now: "plan (conflict, desk, 2026-01-02 15.04).txt", Why: "another device changed it first"}})
	n.tell([]cache.Event{{What: cache.EventKept, Path: "notes", Why: "another device changed it"}})
	var shown string
	for start := time.Now(); strings.Count(shown, "END") == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("shown: %q", shown)
		}
		b, _ := os.ReadFile(out)
		shown = string(b)
	}
	for _, want := range []string{"Satchel kept both", `plan.txt: another device changed it first; yours is "plan (conflict, desk, 2026-01-02 15.04).txt"`, "notes: not deleted"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in %q", want, shown)
		}
	}
	if strings.Count(shown, "END") != 1 {
		t.Errorf("%d notices", strings.Count(shown, "END"))
	}
}
