package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/integration/rig"
)

// TestStuckServer: a server that takes connections and answers nothing holds up no work on what is here, what was never
// fetched fails instead of hanging, the daemon does not grow meanwhile, and all arrives when the server goes on.
func TestStuckServer(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	desk := anna.mountNew(t, "desk")
	for i := range 32 {
		dir := filepath.Join(desk.Mount, fmt.Sprint("unseen-", i))
		must(t, os.Mkdir(dir, 0o755))
		write(t, filepath.Join(dir, "file"), "never fetched")
	}
	must(t, os.Mkdir(filepath.Join(desk.Mount, "work"), 0o755))
	syncAll(t, desk)
	laptop := anna.mountNew(t, "laptop")
	work := filepath.Join(laptop.Mount, "work")
	// So that both folders are known here; listing them would make the others be listed ahead.
	if _, err := os.Stat(filepath.Join(work, "none")); !os.IsNotExist(err) {
		t.Fatal(err)
	}
	status, err := laptop.Status(t.Context())
	must(t, err)
	files, memory := inUse(t, status.PID)

	must(t, syscall.Kill(s.Pid(), syscall.SIGSTOP))
	goOn := sync.OnceFunc(func() { syscall.Kill(s.Pid(), syscall.SIGCONT) })
	defer goOn()
	var waiting sync.WaitGroup
	for i := range 32 {
		waiting.Go(func() {
			dir := filepath.Join(laptop.Mount, fmt.Sprint("unseen-", i))
			start := time.Now()
			if _, err := os.ReadDir(dir); err == nil {
				t.Errorf("%s was never fetched, and is listed", dir)
			} else if took := time.Since(start); took > time.Minute {
				t.Errorf("%s failed only after %v: %v", dir, took, err)
			}
		})
	}
	const rounds = 3000
	for i := range rounds {
		name := filepath.Join(work, fmt.Sprint("new-", i%50))
		write(t, name+"~", fmt.Sprint("version ", i))
		must(t, os.Rename(name+"~", name))
		must(t, has(name, fmt.Sprint("version ", i)))
		if i%3 == 0 {
			must(t, os.Remove(name))
		}
		if _, err := os.Stat(filepath.Join(work, fmt.Sprint("none-", i))); !os.IsNotExist(err) {
			t.Fatalf("a name that does not exist: %v", err)
		}
	}
	waiting.Wait()
	moreFiles, moreMemory := inUse(t, status.PID)
	const spare = 2700 // empty content files that are kept for the next ones, and those that wait to become so
	if moreFiles > files+spare || moreMemory > memory+(128<<20) && !rig.Race {
		t.Errorf("the daemon had %d descriptors and %d MiB, and has %d and %d", files, memory>>20, moreFiles, moreMemory>>20)
	}

	goOn()
	syncAll(t, laptop)
	names, err := os.ReadDir(work)
	must(t, err)
	eventually(t, time.Minute, func() error {
		there, err := os.ReadDir(filepath.Join(desk.Mount, "work"))
		if err == nil && len(there) != len(names) {
			err = fmt.Errorf("the desk has %d files, the laptop %d", len(there), len(names))
		}
		return err
	})
	for _, e := range names {
		mine, err := os.ReadFile(filepath.Join(work, e.Name()))
		must(t, err)
		must(t, has(filepath.Join(desk.Mount, "work", e.Name()), string(mine)))
	}
	must(t, has(filepath.Join(laptop.Mount, "unseen-7", "file"), "never fetched"))
}

// inUse is how many descriptors a process has, and how many bytes of memory of its own.
func inUse(t *testing.T, pid int) (descriptors int, memory int64) {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must(t, err)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(b), "RssAnon:")
	if _, err := fmt.Sscan(rest, &memory); err != nil {
		t.Fatal(err)
	}
	return len(fds), memory << 10
}
