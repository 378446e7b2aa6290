package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"satchel/api"
)

// TestFaults copies through a line that fails: nothing may be lost, and
// nothing done twice.
func TestFaults(t *testing.T) {
	s, err := newServer(buildServer(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(); os.RemoveAll(s.data) })
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	var batches, packs, contents atomic.Int32
	var refuse atomic.Bool
	real := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.addr})
	line := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case strings.HasSuffix(path, "/packs") && packs.Add(1) == 1:
			problem(w, 503, api.Unavailable)
		case strings.HasSuffix(path, "/batches") && refuse.Load():
			answer := httptest.NewRecorder()
			r.Header.Del("Accept-Encoding")
			real.ServeHTTP(answer, r)
			var c api.Committed
			if err := json.NewDecoder(answer.Body).Decode(&c); err != nil {
				t.Error(err)
			}
			for i := range c.Outcomes {
				c.Outcomes[i] = api.Outcome{Status: api.Refused, Kind: api.Quota, Message: "no room"}
			}
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(c)
		case strings.HasSuffix(path, "/batches"):
			switch batches.Add(1) {
			case 1: // the chunks are gone again
				problem(w, 409, api.MissingChunks)
			case 2: // it is applied, and the answer is lost
				real.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			default:
				real.ServeHTTP(w, r)
			}
		case strings.HasSuffix(path, "/content") && contents.Add(1) <= 2:
			real.ServeHTTP(&cutWriter{ResponseWriter: w, left: 1 << 20}, r)
		default:
			real.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(line.Close)
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, t.TempDir())
	}
	satchel := func(in string, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(args, strings.NewReader(in), &out, &errs); code != 0 {
			t.Fatalf("satchel %v: exit code %d: %s", args, code, errs.String())
		}
		return out.String()
	}
	satchel("correct horse\n", "login", line.URL, "--email", "ada@example.org", "--password-stdin")

	dir := t.TempDir()
	want := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{1}).Read(want)
	if err := os.WriteFile(filepath.Join(dir, "film"), want, 0o600); err != nil {
		t.Fatal(err)
	}
	satchel("", "put", filepath.Join(dir, "film"), "films/film")
	if got := satchel("", "ls", "films"); got != "film\n" {
		t.Errorf("on the drive: %q", got)
	}
	satchel("", "get", "films/film", filepath.Join(dir, "copy"))
	got, err := os.ReadFile(filepath.Join(dir, "copy"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("came back with %d bytes, %v", len(got), err)
	}
	if batches.Load() != 3 || contents.Load() != 3 || packs.Load() < 2 {
		t.Errorf("%d batches, %d contents, %d packs: the faults did not happen", batches.Load(), contents.Load(), packs.Load())
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	refuse.Store(true)
	var out, errs bytes.Buffer
	var did copied
	code := run([]string{"put", "--json", filepath.Join(dir, "film"), "films/refused"}, strings.NewReader(""), &out, &errs)
	if err := json.Unmarshal(out.Bytes(), &did); code == 0 || err != nil || did != (copied{Failed: 1}) {
		t.Errorf("what the server refused: exit code %d, %s %v %s", code, out.String(), err, errs.String())
	}
}

func problem(w http.ResponseWriter, status int, kind api.Kind) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"status": status, "kind": kind, "detail": "a fault of the test"})
}

// cutWriter ends the connection in the middle of an answer.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(b []byte) (int, error) {
	if len(b) > c.left {
		c.ResponseWriter.Write(b[:c.left])
		http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}
