package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
)

// refusals are the answers to a change that PostgreSQL's disk can't take: nothing but these, since a client does something
// else with each.
var refusals = []int{http.StatusServiceUnavailable, http.StatusInsufficientStorage}

// TestSickDatabaseDisk: while the disk of the server's own PostgreSQL fails, changes are refused, what was acknowledged stays, and
// when it is well again the server is, too, with nobody's help: also when PostgreSQL gave up, as it does when its log of
// writes can't be written.
func TestSickDatabaseDisk(t *testing.T) {
	require.Fuse(t)
	s, err := parts.NewServer(unique(t, "server"))
	must(t, err)
	must(t, os.Mkdir(s.Data, 0o711))
	disk := newSickDisk(t, filepath.Join(s.Data, "postgres"))
	must(t, s.Start(t.Context()))
	showLogOnFailure(t, s)
	t.Cleanup(func() { must(t, s.Stop()) })
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	if _, err := os.ReadDir(laptop.Mount); err != nil { // what was never listed can't be changed while the server is away
		t.Fatal(err)
	}
	stored := map[string][]byte{}

	for _, c := range []struct {
		name  string
		errno syscall.Errno
		calls []string
		until string // what the log says; "": nothing is waited for
	}{
		{"EIO at fsync", syscall.EIO, []string{"fsync"}, ""},
		{"EDQUOT at write", syscall.EDQUOT, []string{"write"}, ""},
		{"EIO at all", syscall.EIO, []string{"read", "write", "fsync"}, "PostgreSQL does not start"}, // it can't repair itself either
	} {
		t.Run(c.name, func(t *testing.T) {
			disk.fail(c.errno, c.calls...)
			t.Cleanup(func() { disk.heal() })
			file := strings.ReplaceAll(c.name, " ", "-")
			for i := range 5 {
				name := fmt.Sprintf("%s-%d", file, i)
				content := randomBytes(100_000)
				switch got := anna.ask(t, "PUT", "/api/vfs/write/home/"+name, nil, content); {
				case got.status < 300:
					t.Errorf("%s was acknowledged, although its rows can't be durable", name)
				case !slices.Contains(refusals, got.status):
					t.Errorf("%s was refused with %v", name, got)
				case got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "":
					t.Errorf("%s was refused without Retry-After: %v", name, got)
				}
			}
			// A device's fsync is its own disk's matter.
			content := randomBytes(200_000)
			must(t, writeSynced(filepath.Join(laptop.Mount, file), os.O_CREATE|os.O_EXCL|os.O_WRONLY, content))
			stored[file] = content
			eventually(t, time.Minute, func() error {
				if log, err := os.ReadFile(s.Log); err != nil || !strings.Contains(string(log), c.until) {
					return fmt.Errorf("the log does not say %q: %w", c.until, err)
				}
				return nil
			})
			if failed := disk.heal(); failed == 0 {
				t.Error("nothing failed")
			}
			eventually(t, time.Minute, func() error {
				if got := anna.ask(t, "GET", "/health", nil, nil); got.status != http.StatusOK {
					return fmt.Errorf("the server says %v", got)
				}
				return nil
			})
			syncAll(t, laptop)
			for name, content := range stored {
				must(t, anna.stored(t, name, content))
			}
		})
	}
	clean(t, s)
}

// TestFullDatabaseDisk: while the disk of the server's own PostgreSQL is full, changes are refused, all that was acknowledged is
// there, and when there is room again so is the server.
func TestFullDatabaseDisk(t *testing.T) {
	require.Root(t)
	s, err := parts.NewServer(unique(t, "server"))
	must(t, err)
	must(t, os.Mkdir(s.Data, 0o711))
	disk := smallDisk(t, filepath.Join(s.Data, "postgres"), 250<<20)
	must(t, s.Start(t.Context()))
	showLogOnFailure(t, s)
	t.Cleanup(func() { must(t, s.Stop()) })
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	before := randomBytes(300_000)
	stored := map[string][]byte{"before": before}
	must(t, os.WriteFile(filepath.Join(laptop.Mount, "before"), before, 0o644))
	syncAll(t, laptop)

	must(t, fill(disk))
	var mu sync.Mutex // guards stored and what is below
	refused, served := 0, 0
	var all sync.WaitGroup
	for who := range 4 {
		all.Go(func() {
			for i := 0; i < 400; i++ {
				name, content := fmt.Sprintf("full-%d-%d", who, i), randomBytes(2000)
				got := anna.ask(t, "PUT", "/api/vfs/write/home/"+name, nil, content)
				mu.Lock()
				enough := false
				switch {
				case got.status < 300:
					stored[name] = content
				case slices.Contains(refusals, got.status):
					refused++
					enough = refused > 20
				default:
					t.Errorf("%s was answered with %v", name, got)
					enough = true
				}
				mu.Unlock()
				switch got := anna.ask(t, "GET", "/api/vfs/get/home/before", nil, nil); {
				case got.status == http.StatusOK && bytes.Equal(got.body, before):
					mu.Lock()
					served++
					mu.Unlock()
				case got.status != http.StatusServiceUnavailable: // PostgreSQL repairs itself
					t.Errorf("what was there before was answered with %d", got.status)
				}
				if enough {
					return
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d changes were stored yet, %d refused; %d reads were served", len(stored)-1, refused, served)
	if refused == 0 {
		t.Error("the disk was never full")
	}
	content := randomBytes(200_000)
	must(t, writeSynced(filepath.Join(laptop.Mount, "meanwhile"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, content))
	stored["meanwhile"] = content

	must(t, drain(disk))
	eventually(t, time.Minute, func() error {
		if got := anna.ask(t, "PUT", "/api/vfs/write/home/after", nil, []byte("after")); got.status >= 300 {
			return fmt.Errorf("with room again: %v", got)
		}
		return nil
	})
	stored["after"] = []byte("after")
	syncAll(t, laptop)
	for name, content := range stored {
		must(t, anna.stored(t, name, content))
	}
	clean(t, s)
}
