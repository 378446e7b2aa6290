package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/integration/require"
)

// Content comes into a file as it was sent, whichever way it takes.
func TestTakeAndPut(t *testing.T) {
	const off, size = 77, 3<<20 + 12345
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(content)
	want := content[off:]
	for _, row := range []struct {
		name  string
		serve http.HandlerFunc // nil = as satcheld does
		tls   bool
		rate  int64
		flag  int
		moves bool // by the kernel
	}{
		{name: "plain", moves: true},
		{name: "piece by piece", moves: true, serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3158084")
			w.WriteHeader(http.StatusPartialContent)
			for p := want; len(p) > 0; p = p[min(len(p), 77777):] {
				w.Write(p[:min(len(p), 77777)])
				http.NewResponseController(w).Flush()
			}
		}},
		{name: "without a length", serve: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			w.Write(want)
		}},
		{name: "under TLS", tls: true},
		{name: "slowly", rate: 64 << 20},
		{name: "into a file that can't", flag: unix.O_APPEND, moves: true}, // splice(2): EINVAL
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newEdge(t)
			e.mux.HandleFunc("GET /v1/drives/home/nodes/{node}/content", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Range", "bytes 77-3158160/3158161")
				if row.serve == nil {
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
					return
				}
				row.serve(w, r)
			})
			hc := NewHTTPClient(Rates{Down: row.rate})
			if row.tls {
				s := httptest.NewTLSServer(e.Config.Handler)
				t.Cleanup(s.Close)
				e.URL = s.URL
				hc.Transport.(*limited).TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
			}
			c, err := New(e.URL, api.Credentials{Secret: "s3cret"}, hc)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			for range 2 { // the second time over the same connection, if it is one that can be used again
				name := filepath.Join(t.TempDir(), "file")
				_, moved, err := takeInto(t.Context(), c, name, row.flag, off, size-off)
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(name)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("the file has %d bytes, or others than the %d sent: %v", len(got), len(want), err)
				}
				if row.moves != (moved > 0) {
					t.Errorf("the kernel moved %d bytes", moved)
				}
			}
		})
	}
}

// takeInto fetches content into a file, and tells how many bytes that has, and how many the kernel held meanwhile. A flag is set on the file.
func takeInto(ctx context.Context, c *Client, name string, flag int, off, n int64) (kept int64, moved int, err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if flag != 0 { // package os is not to know of it
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFL, flag); err != nil {
			return 0, 0, err
		}
	}
	r, err := c.Drive("home").Content(ctx, node, epoch, off, n)
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	body := r.(*contentBody)
	for kept < n {
		took, err := body.Take(int(n - kept))
		if body.pipe != nil {
			moved += body.pipe.held
		}
		put, failed := body.Put(f, kept)
		if kept += int64(put); failed != nil {
			return kept, moved, failed
		}
		if put != took || err != nil && kept < n {
			return kept, moved, fmt.Errorf("took %d bytes, put %d: %w", took, put, err)
		}
	}
	return kept, moved, nil
}

// What a file does not take is the file's error, not the connection's, and what it took counts.
func TestPutIntoWhatIsFull(t *testing.T) {
	content := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	e := newEdge(t)
	e.mux.HandleFunc("GET /v1/drives/home/nodes/{node}/content", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	if _, _, err := takeInto(t.Context(), e.client(t), "/dev/full", 0, 0, 3<<20); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("into a full device: %v", err)
	}
	require.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	name := filepath.Join(dir, "file")
	kept, moved, err := takeInto(t.Context(), e.client(t), name, 0, 0, 3<<20)
	got, readErr := os.ReadFile(name)
	if !errors.Is(err, unix.ENOSPC) || moved == 0 {
		t.Errorf("into a disk of 1 MiB: %v; the kernel moved %d bytes", err, moved)
	}
	if readErr != nil || kept == 0 || int64(len(got)) != kept || !bytes.Equal(got, content[:kept]) {
		t.Errorf("%d bytes count, and %d are there: %v", kept, len(got), readErr)
	}
}
