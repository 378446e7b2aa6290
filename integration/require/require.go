// Package require lets a test say what it cannot do without. Where the part is
// missing the test is skipped with the reason; under CI=true it fails instead,
// so that a pipeline can't go green by having nothing installed.
package require

import (
	"os"
	"os/exec"
	"testing"
)

// CI tells whether missing parts are failures: CI is set, and not to "false".
func CI() bool {
	v := os.Getenv("CI")
	return v != "" && v != "false" && v != "0"
}

// Tool is the path of the first of names that is in PATH.
func Tool(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "none of %q is installed; `make setup` does it", names)
	return ""
}

// Fuse needs a device that can be opened: no mount works without.
func Fuse(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		missing(t, "nothing can be mounted here: %v; `make setup` mends it", err)
		return
	}
	f.Close()
}

// Root is for what only root can arrange, such as another user's process or a
// file system of a few MiB. An ordinary user's CI is not wrong for lacking it,
// so this skips there too.
func Root(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if CI() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
