package integration

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"satchel/integration/require"
)

// posixtestVariable is the folder in which this program runs go-fuse's tests, and nothing else: so another user can,
// and a test can fail without failing what asks how it ends.
const posixtestVariable = "SATCHEL_POSIXTEST_DIR"

// runPosixtest runs all of go-fuse's tests, each in a new folder of dir, and ends the process.
func runPosixtest(dir string) {
	var all []testing.InternalTest
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		all = append(all, testing.InternalTest{Name: name, F: func(t *testing.T) {
			path := filepath.Join(dir, name)
			must(t, os.Mkdir(path, 0o755))
			posixtest.All[name](t, path)
		}})
	}
	testing.Main(func(string, string) (bool, error) { return true, nil }, all, nil, nil)
}

// verdicts runs runPosixtest as a user (nil: this one) and tells how each test ended, and what was said.
func verdicts(t *testing.T, dir string, cred *syscall.Credential) (ends map[string]string, said string) {
	t.Helper()
	program := filepath.Join(parts.Bin, "posixtest") // others can't read where `go test` puts its programs
	if _, err := os.Stat(program); err != nil {
		self, err := os.Executable()
		must(t, err)
		command(t, "", "cp", self, program)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), posixtestVariable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	out, err := cmd.CombinedOutput()
	ends = map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^--- ([A-Z]+): (\w+) `).FindAllSubmatch(out, -1) {
		ends[string(m[2])] = string(m[1])
	}
	if len(ends) != len(posixtest.All) {
		t.Fatalf("%d of %d tests ended (%v)\n%s", len(ends), len(posixtest.All), err, out)
	}
	return ends, string(out)
}

// TestPosixSuite is all of go-fuse's own tests: each has to pass on the mount, or to end there as it does on a plain
// folder. What does not pass there go-fuse leaves out, too, when it tests a folder: FcntlFlockLocksFile wants two descriptors
// of one process to conflict over a POSIX lock, which fcntl(2) excludes.
func TestPosixSuite(t *testing.T) {
	want, said := verdicts(t, plainFolder(t, nil), nil)
	failed := 0
	for name, end := range want {
		if end != "PASS" {
			failed++
			t.Logf("on a plain folder %s ends with %s", name, end)
		}
	}
	if failed > 3 {
		t.Fatalf("so much fails on a plain folder that it proves nothing\n%s", said)
	}
	compare := func(t *testing.T, dir string, cred *syscall.Credential) {
		got, said := verdicts(t, dir, cred)
		for name, end := range want {
			if got[name] != "PASS" && got[name] != end {
				t.Errorf("%s: %s, and on a plain folder %s", name, got[name], end)
			} else if got[name] != "PASS" {
				t.Logf("%s ends with %s, as on a plain folder", name, end)
			}
		}
		if t.Failed() {
			t.Log(said)
		}
	}
	for _, mode := range mountModes {
		t.Run(mode.name, func(t *testing.T) {
			laptop := mode.mount(t)
			compare(t, laptop.Mount, nil)
			syncAll(t, laptop)
		})
	}
	if os.Getuid() != 0 {
		return // what follows is the same once more
	}
	require.Tool(t, "fusermount3")
	openFuse(t)
	cred := nobody(t)
	t.Run("ordinary user", func(t *testing.T) {
		compare(t, mountAs(t, cred, filepath.Join(t.TempDir(), "no-helper")).Mount, cred)
	})
	t.Run("ordinary user with satchel-helper", func(t *testing.T) { compare(t, mountAs(t, cred, startHelper(t)).Mount, cred) })
	t.Run("ordinary user, evicting", func(t *testing.T) { compare(t, evictingAs(t, cred), cred) })
}
