package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// Content comes into a file as it was sent, whichever way it takes, and what passes through memory does so in large pieces.
func TestTakeAndPut(t *testing.T) {
	const off, size = 77, 3<<20 + 12345
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(content)
	want := content[off:]
	for _, row := range []struct {
		name         string
		serve        http.HandlerFunc // nil = as satcheld does
		tls          bool
		rate         int64
		flag         int
		socket, file unix.Errno // of splice(2)
		moves        bool       // by the kernel
		piped        bool       // is to be
	}{
		{name: "plain", moves: true, piped: true},
		{name: "piece by piece", moves: true, piped: true, serve: func(w http.ResponseWriter, r *http.Request) {
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
		{name: "into a file that can't", flag: unix.O_APPEND, moves: true, piped: true}, // splice(2): EINVAL
		{name: "into a file that may not", file: unix.EPERM, moves: true, piped: true},
		{name: "from a socket that can't", socket: unix.EINVAL, piped: true},
		{name: "from one that does not do it", socket: unix.EOPNOTSUPP, piped: true},
		{name: "on a kernel that can't", socket: unix.ENOSYS, piped: true},
		{name: "in a sandbox", socket: unix.EPERM, piped: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Cleanup(func() { sysSplice = unix.Splice })
			sysSplice = func(r int, _ *int64, w int, off *int64, n int, flags int) (int64, error) {
				if off == nil && row.socket != 0 {
					return -1, row.socket
				}
				if off != nil && row.file != 0 {
					return -1, row.file
				}
				return unix.Splice(r, nil, w, off, n, flags)
			}
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
				took, err := takeInto(t.Context(), c, name, row.flag, off, size-off)
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(name)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("the file has %d bytes, or others than the %d sent: %v", len(got), len(want), err)
				}
				if row.moves != (took.moved > 0) || row.piped != took.piped {
					t.Errorf("the kernel moved %d bytes; there was a pipe: %v", took.moved, took.piped)
				}
				if !row.moves && took.puts > (size-off+least-1)/least {
					t.Errorf("written in %d pieces", took.puts)
				}
			}
		})
	}
}

// least is how many bytes takeInto collects before it puts them, where it can.
const least = 64 << 10

// taken is how content came into a file.
type taken struct {
	kept  int64 // bytes that the file has
	moved int   // bytes that the kernel held meanwhile
	puts  int
	piped bool
}

// takeInto fetches content into a file, on which a flag is set.
func takeInto(ctx context.Context, c *Client, name string, flag int, off, n int64) (t taken, err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return t, err
	}
	defer f.Close()
	if flag != 0 { // package os is not to know of it
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFL, flag); err != nil {
			return t, err
		}
	}
	r, err := c.Drive("home").Content(ctx, node, epoch, off, n)
	if err != nil {
		return t, err
	}
	defer r.Close()
	body := r.(*contentBody)
	for t.kept < n {
		var got int
		for took := 1; got < least && took > 0 && err == nil; got += took {
			took, err = body.Take(int(n-t.kept) - got)
		}
		if body.pipe != nil {
			t.piped = true
			t.moved += body.pipe.held
		}
		put, failed := body.Put(f, t.kept)
		t.puts++
		if t.kept += int64(put); failed != nil {
			return t, failed
		}
		if put != got || err != nil && t.kept < n {
			return t, fmt.Errorf("took %d bytes, put %d: %w", got, put, err)
		}
	}
	return t, nil
}

// Where less is in a pipe than was moved there, nothing else is put in its place.
func TestPutOfAPipeThatBreaksOff(t *testing.T) {
	b := &contentBody{ReadCloser: http.NoBody, buf: new([takeAtOnce]byte), n: 10}
	defer b.Close()
	copy(b.buf[:], "another file's")
	b.pipe = newPipe(b.buf)
	b.pipe.held = 10
	if _, err := unix.Write(b.pipe.w, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Dup3(int(f.Fd()), b.pipe.w, unix.O_CLOEXEC); err != nil { // nothing more comes
		t.Fatal(err)
	}
	t.Cleanup(func() { sysSplice = unix.Splice })
	sysSplice = func(int, *int64, int, *int64, int, int) (int64, error) { return -1, unix.EINVAL }
	if n, err := b.Put(f, 0); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("put %d bytes: %v", n, err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the file has %d bytes: %v", info.Size(), err)
	}
}

// What a file does not take is the file's error, not the connection's, and what it took counts.
func TestPutIntoWhatIsFull(t *testing.T) {
	content := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	e := newEdge(t)
	e.mux.HandleFunc("GET /v1/drives/home/nodes/{node}/content", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	if _, err := takeInto(t.Context(), e.client(t), "/dev/full", 0, 0, 3<<20); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("into a full device: %v", err)
	}
	require.Root(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	name := filepath.Join(dir, "file")
	took, err := takeInto(t.Context(), e.client(t), name, 0, 0, 3<<20)
	got, readErr := os.ReadFile(name)
	if !errors.Is(err, unix.ENOSPC) || took.moved == 0 {
		t.Errorf("into a disk of 1 MiB: %v; the kernel moved %d bytes", err, took.moved)
	}
	if readErr != nil || took.kept == 0 || int64(len(got)) != took.kept || !bytes.Equal(got, content[:took.kept]) {
		t.Errorf("%d bytes count, and %d are there: %v", took.kept, len(got), readErr)
	}
}
