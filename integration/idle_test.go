package integration

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// idleSeconds is for how long TestIdle looks.
const idleSeconds = "SATCHEL_IDLE_SECONDS"

// TestIdle counts how often a mounted daemon and its server wake up when nobody does anything: for a heartbeat,
// and for no polling. A slow machine does not make more of it.
func TestIdle(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	for i := range 20 {
		write(t, filepath.Join(laptop.Mount, fmt.Sprint("file ", i)), "content")
	}
	syncAll(t, laptop)
	status, err := laptop.Status(t.Context())
	must(t, err)
	seconds := setting(idleSeconds, 10)
	// What follows work: content proven final, a journal made durable, connections that nobody needs.
	time.Sleep(12 * time.Second)
	pids := map[string]int{"the daemon": status.PID, "the server": s.Pid()}
	before := map[string]wakes{}
	for who, pid := range pids {
		before[who] = wakesOf(t, pid)
	}
	time.Sleep(time.Duration(seconds) * time.Second)
	for who, pid := range pids {
		after := wakesOf(t, pid)
		n, cpu := after.times-before[who].times, after.cpu-before[who].cpu
		t.Logf("%s, idle for %d s: %d wake-ups, %v of processor time", who, seconds, n, cpu)
		// Each request and each timer wakes several threads of Go's. A poll of anything ten times a second makes fifty.
		if n > 12*seconds+60 {
			t.Errorf("%s woke up %d times in %d s", who, n, seconds)
		}
	}
}

// wakes is how often the threads of a process went to sleep by themselves, and what they ran.
type wakes struct {
	times int
	cpu   time.Duration
}

func wakesOf(t *testing.T, pid int) (w wakes) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("process %d has no threads: %v", pid, err)
	}
	for _, task := range tasks {
		f, err := os.Open(filepath.Join(task, "status"))
		if err != nil {
			continue // it has just ended
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if n, ok := strings.CutPrefix(lines.Text(), "voluntary_ctxt_switches:"); ok {
				times, err := strconv.Atoi(strings.TrimSpace(n))
				must(t, err)
				w.times += times
			}
		}
		f.Close()
		if b, err := os.ReadFile(filepath.Join(task, "schedstat")); err == nil {
			ran, _, _ := strings.Cut(string(b), " ")
			ns, err := strconv.ParseInt(ran, 10, 64)
			must(t, err)
			w.cpu += time.Duration(ns)
		}
	}
	return w
}
