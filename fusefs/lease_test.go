package fusefs_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/cache"
	"satchel/fusefs"
)

// soleServer is the server of one device: it applies all, since there is
// nobody to disagree with, and keeps the content of each node's last version.
type soleServer struct {
	noServer
	mu      sync.Mutex
	seq     int64
	chunks  map[api.Hash][]byte
	content map[api.ID][]byte
	commits int
}

func newSoleServer() *soleServer {
	return &soleServer{noServer: *newDrive(), seq: 1, chunks: map[api.Hash][]byte{}, content: map[api.ID][]byte{}}
}

func (s *soleServer) Missing(_ context.Context, hashes []api.Hash) (missing []api.Hash, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range hashes {
		if s.chunks[h] == nil {
			missing = append(missing, h)
		}
	}
	return missing, nil
}

func (s *soleServer) PutPack(_ context.Context, pack []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return chunk.ReadPack(bytes.NewReader(pack), func(h api.Hash, _ int64, data []byte) error {
		s.chunks[h] = bytes.Clone(data)
		return nil
	})
}

func (s *soleServer) Commit(_ context.Context, b api.Batch) (c api.Committed, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	for _, m := range b.Mutations {
		s.seq++
		if m.Version != nil {
			var all []byte
			for _, k := range m.Version.Chunks {
				all = append(all, s.chunks[k.Hash]...)
			}
			s.content[m.Node] = all
		}
		c.Outcomes = append(c.Outcomes, api.Outcome{Status: api.Applied, Seq: s.seq})
	}
	c.Epoch, c.Seq = s.drive.Epoch, s.seq
	return c, nil
}

func (s *soleServer) Changes(ctx context.Context, _, epoch api.ID, _ int64, wait time.Duration) (api.Changes, error) {
	select {
	case <-ctx.Done():
		return api.Changes{}, ctx.Err()
	case <-time.After(wait):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return api.Changes{State: api.State{Epoch: epoch, Seq: s.seq}}, nil
}

func (s *soleServer) Reconnect() {}

// holds tells whether some node's last version is this content.
func (s *soleServer) holds(want []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.content {
		if bytes.Equal(c, want) {
			return true
		}
	}
	return false
}

// A file is not clean as long as somebody could write it, and is soon after.
// The descriptor registered with the kernel must be O_RDONLY: with one that can
// write the lease would never be granted and the second half of this test fails.
func TestCleanOnlyWhenNobodyCanWrite(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("passthrough needs root here")
	}
	server := newSoleServer()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	d, err := cache.Open(cache.Config{Dir: t.TempDir(), Remote: server, DeviceName: "test", Log: log})
	must(t, err)
	dir := t.TempDir()
	s, err := fusefs.Mount(dir, d, fusefs.Options{Log: log})
	must(t, err)
	defer func() {
		must(t, s.Unmount())
		s.Wait()
		must(t, d.Close())
	}()
	if !s.Passthrough() {
		t.Fatal("no passthrough as root")
	}

	f, err := os.OpenFile(filepath.Join(dir, "mapped"), os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	must(t, f.Truncate(8192))
	mem, err := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	copy(mem, "first")
	must(t, f.Close())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, d.Sync(ctx, true, nil))

	// The page stays dirty from here on: further stores move neither mtime nor ctime.
	for i := range 15 {
		copy(mem[100:], "store after close")
		mem[4096+i] = byte('a' + i)
		time.Sleep(100 * time.Millisecond)
		if n := d.Status().Unproven; n != 1 {
			t.Fatalf("%d files unproven while one is mapped for writing", n)
		}
	}
	copy(mem[200:], "the last store")
	want := bytes.Clone(mem)
	must(t, unix.Munmap(mem))
	unmapped := time.Now()
	for d.Status().Unproven != 0 || !server.holds(want) {
		if time.Since(unmapped) > time.Minute {
			t.Fatalf("unproven %d, last stores sent: %v, a minute after munmap", d.Status().Unproven, server.holds(want))
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("clean %v after munmap; 2 s are promised of a machine that has time", time.Since(unmapped))

	// What is clean costs nothing to open for writing and close unchanged.
	commits := server.commits
	f, err = os.OpenFile(filepath.Join(dir, "mapped"), os.O_RDWR, 0)
	must(t, err)
	must(t, f.Close())
	must(t, d.Sync(ctx, true, nil))
	if server.commits != commits {
		t.Errorf("opening for writing without a change was sent to the server")
	}
}
