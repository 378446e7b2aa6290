package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// asked is what came of one of many requests at once.
type asked struct {
	status int
	after  string // Retry-After
	body   []byte
	err    error
}

// askAll makes so many requests at once and gives their answers as they come.
func askAll(t *testing.T, n int, a *account, path string) <-chan asked {
	t.Helper()
	answers := make(chan asked, n)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // which would hold goroutines of the server's
	for range n {
		go func() {
			req, err := http.NewRequest(http.MethodGet, a.server.URL+path, nil)
			if err != nil {
				answers <- asked{err: err}
				return
			}
			req.Header.Set("Authorization", "Bearer "+a.token)
			res, err := client.Do(req)
			if err != nil {
				answers <- asked{err: err}
				return
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			answers <- asked{res.StatusCode, res.Header.Get("Retry-After"), b, err}
		}()
	}
	return answers
}

// next is the next answer. One that never comes fails the test.
func next(t *testing.T, answers <-chan asked) asked {
	t.Helper()
	select {
	case got := <-answers:
		if got.err != nil {
			t.Fatal(got.err)
		}
		return got
	case <-time.After(3 * time.Minute):
		t.Fatal("no answer")
		return asked{}
	}
}

// refusedAtOnce takes n answers, all of which must be that the server is too busy.
func refusedAtOnce(t *testing.T, n int, answers <-chan asked) {
	t.Helper()
	for range n {
		if got := next(t, answers); got.status != http.StatusServiceUnavailable || got.after == "" {
			t.Fatalf("beyond what the server takes on: %d, Retry-After %q: %.200s", got.status, got.after, got.body)
		}
	}
}

// goroutines is how many a server has that tells of itself at an address.
func goroutines(t *testing.T, metrics string) int {
	t.Helper()
	res, err := http.Get("http://" + metrics + "/metrics")
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			must(t, err)
			return n
		}
	}
	t.Fatal("no go_goroutines")
	return 0
}

// ready is an error unless both probes say what is wanted.
func ready(s *rig.Server, metrics string, want int) error {
	for _, url := range []string{s.URL + "/health", "http://" + metrics + "/ready"} {
		res, err := http.Get(url)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != want {
			return fmt.Errorf("%s says %d, not %d", url, res.StatusCode, want)
		}
	}
	return nil
}

// aFewMore is what a server does by itself every now and then.
const aFewMore = 12

// recovered waits until the server is as it was before.
func recovered(t *testing.T, s *rig.Server, metrics string, before int) {
	t.Helper()
	eventually(t, 2*time.Minute, func() error { return ready(s, metrics, http.StatusOK) })
	http.DefaultClient.CloseIdleConnections()
	eventually(t, 2*time.Minute, func() error {
		if n := goroutines(t, metrics); n > before+aFewMore {
			return fmt.Errorf("%d goroutines, and %d before", n, before)
		}
		return nil
	})
}

// signalCluster sends a signal to a PostgreSQL and all its children.
func signalCluster(t *testing.T, dir string, signal syscall.Signal) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	must(t, err)
	pid, err := strconv.Atoi(strings.SplitN(string(b), "\n", 2)[0])
	must(t, err)
	must(t, syscall.Kill(pid, signal)) // first, so that it makes no more
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, stat := range stats {
		b, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			must(t, err)
			if err := syscall.Kill(child, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
		}
	}
}

// TestOverload: what is beyond what a server takes on is refused while the rest waits, its probes say how it is, and as
// soon as what held it up is over all is as before.
func TestOverload(t *testing.T) {
	const most, all = 40, 120
	t.Run("PostgreSQL stands still", func(t *testing.T) {
		metrics, err := rig.FreeAddr()
		must(t, err)
		s := ownServer(t, "--metrics-listen", metrics, "--max-requests", strconv.Itoa(most))
		anna := newAccount(t, s, "anna")
		if got := anna.ask(t, "GET", "/v1/drives/home", nil, nil); got.status != http.StatusOK {
			t.Fatal(got)
		}
		before := goroutines(t, metrics)
		cluster := filepath.Join(s.Data, "postgres")
		signalCluster(t, cluster, syscall.SIGSTOP)
		going := false
		t.Cleanup(func() {
			if !going {
				signalCluster(t, cluster, syscall.SIGCONT)
			}
		})
		answers := askAll(t, all, anna, "/v1/drives/home")
		refusedAtOnce(t, all-most, answers)
		must(t, ready(s, metrics, http.StatusServiceUnavailable))
		signalCluster(t, cluster, syscall.SIGCONT)
		going = true
		for range most {
			if got := next(t, answers); got.status != http.StatusOK && (got.status != http.StatusServiceUnavailable || got.after == "") {
				t.Errorf("one that waited: %d, Retry-After %q: %.200s", got.status, got.after, got.body)
			}
		}
		recovered(t, s, metrics, before)
		if got := anna.ask(t, "GET", "/v1/drives/home", nil, nil); got.status != http.StatusOK {
			t.Errorf("afterwards: %v", got)
		}
	})
	t.Run("the store hangs", func(t *testing.T) {
		metrics, err := rig.FreeAddr()
		must(t, err)
		s, err := parts.NewServer(unique(t, "server"), "--metrics-listen", metrics, "--max-requests", strconv.Itoa(most))
		must(t, err)
		must(t, parts.ShareBucket(t.Context(), require.Tool(t, "versitygw"), unique(t, "bucket"), s))
		var l *link
		through(t, s, func(host string) string {
			l = newLink(t, "s3", host)
			return l.addr
		})
		must(t, s.Start(t.Context()))
		showLogOnFailure(t, s)
		t.Cleanup(func() { must(t, s.Stop()) })
		anna := newAccount(t, s, "anna")
		content := randomBytes(200_000)
		if got := anna.ask(t, "PUT", "/dav/file", nil, content); got.status != http.StatusCreated {
			t.Fatal(got)
		}
		before := goroutines(t, metrics)
		must(t, l.disturb("timeout", map[string]any{"timeout": 0}))
		answers := askAll(t, all, anna, "/dav/file")
		refusedAtOnce(t, all-most, answers)
		must(t, ready(s, metrics, http.StatusOK)) // of the database, which is well
		must(t, l.cut())                          // what hangs ends now, not when its patience does
		l.heal(t)
		for range most {
			switch got := next(t, answers); {
			case got.status == http.StatusOK && bytes.Equal(got.body, content):
			case got.status == http.StatusServiceUnavailable && got.after != "":
			default:
				t.Errorf("one that waited: %d, Retry-After %q, %d bytes", got.status, got.after, len(got.body))
			}
		}
		recovered(t, s, metrics, before)
		must(t, anna.stored(t, "file", content))
	})
}
