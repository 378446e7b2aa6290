// Package require lets a test say what it cannot do without. Where the part is
// missing the test is skipped with the reason; under CI=true it fails instead,
// so that a pipeline can't go green by having nothing installed.
package require

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs a package's tests, then what ends the parts that they shared (nil: nothing), and fails when goroutines are
// still there after half a minute.
func Main(m *testing.M, end func()) {
	code := m.Run()
	if end != nil {
		end()
	}
	if code == 0 {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		err := goleak.Find()
		for until := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(until); {
			err = goleak.Find()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "the tests left goroutines behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// CI tells whether missing parts are failures: CI is set, and not to "false".
func CI() bool {
	v := os.Getenv("CI")
	return v != "" && v != "false" && v != "0"
}

// Tool is the path of the first of names that `make setup` has built into
// bin/tools, or that is in PATH.
func Tool(t testing.TB, names ...string) string {
	t.Helper()
	path := Find(names...)
	if path == "" {
		missing(t, "none of %q is installed; `make setup` does it", names)
	}
	return path
}

// Find is Tool for what is no test: "" where there is none.
func Find(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(filepath.Join(checkout(), "bin", "tools", name)); err == nil {
			return path
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// File is the path of a file that `make setup` has put into bin/tools.
func File(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(checkout(), "bin", "tools", name)
	if _, err := os.Stat(path); err != nil {
		missing(t, "there is no %s; `make setup` fetches it", path)
	}
	return path
}

// checkout is the nearest directory above a test's, which is its package's,
// that has a go.mod.
func checkout() string {
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	return "/"
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
