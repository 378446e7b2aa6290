package fusefs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/cache"
	"satchel/fusefs"
	"satchel/integration/require"
)

// A filmServer has one file, as long as one likes.
type filmServer struct {
	noServer
	film  api.Node
	block []byte // which the film repeats
}

func newFilmServer(size int64) *filmServer {
	s := &filmServer{noServer: noServer{api.DriveInfo{ID: api.NewID(), Root: api.NewID(), Epoch: api.NewID(), Seq: 1}}, block: make([]byte, 1<<20-3)}
	rand.NewChaCha8([32]byte{1}).Read(s.block)
	s.film = api.Node{ID: api.NewID(), Type: api.File, Mode: 0o644, UID: api.Self, GID: api.Self, Nlink: 1, Size: size, Version: api.NewID(), Mtime: 1e18}
	h := sha256.New()
	io.Copy(h, io.NewSectionReader(s, 0, size))
	h.Sum(s.film.SHA256[:0])
	return s
}

// ReadAt is the film's content, without an end.
func (s *filmServer) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		n += copy(p[n:], s.block[(off+int64(n))%int64(len(s.block)):])
	}
	return n, nil
}

func (s *filmServer) Content(_ context.Context, _, _ api.ID, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(s, off, n)), nil
}

func (s *filmServer) Children(ctx context.Context, dir api.ID, after api.Name, limit int, next func(api.Name)) (api.Listing, error) {
	l, err := s.noServer.Children(ctx, dir, after, limit, next)
	l.Nodes = append(l.Nodes, s.film)
	l.Entries = []api.EntryState{{Parent: dir, Name: "film", Node: s.film.ID}}
	return l, err
}

func (s *filmServer) Changes(ctx context.Context, _, _ api.ID, after int64, wait time.Duration) (api.Changes, error) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return api.Changes{State: api.State{Epoch: s.drive.Epoch, Seq: after}}, nil
}

// Programs read a file that is larger than the disk under the cache: from the start, from the middle, and through a mapping.
func TestFileLargerThanTheDisk(t *testing.T) {
	require.Root(t)
	small := t.TempDir()
	must(t, unix.Mount("tmpfs", small, "tmpfs", 0, "size=128m"))
	t.Cleanup(func() { must(t, unix.Unmount(small, unix.MNT_DETACH)) })
	const size = 320<<20 + 12345
	s := newFilmServer(size)
	_, dir, unmount := mountWith(t, cache.Config{Dir: small, Remote: s}, fusefs.Options{})
	defer unmount()
	path := filepath.Join(dir, "film")
	read := func(from, to int64) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		got, want := make([]byte, 1<<20), make([]byte, 1<<20)
		for off := from; off < to; off += int64(len(got)) {
			n, err := f.ReadAt(got[:min(int64(len(got)), to-off)], off)
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("at %d: %w", off, err)
			}
			s.ReadAt(want[:n], off)
			if n == 0 || !bytes.Equal(got[:n], want[:n]) {
				return fmt.Errorf("at %d: %d bytes, or others", off, n)
			}
		}
		return nil
	}
	if err := read(0, size); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for _, from := range []int64{0, size / 2} {
		readers.Go(func() {
			if err := errors.Join(read(from, size), read(0, from)); err != nil {
				t.Errorf("from %d on: %v", from, err)
			}
		})
	}
	readers.Wait()

	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	must(t, err)
	for off := int64(0); off < size; off += 8 << 20 {
		if want := s.block[off%int64(len(s.block))]; mapped[off] != want {
			t.Errorf("mapped, at %d: %d, not %d", off, mapped[off], want)
		}
	}
	must(t, unix.Munmap(mapped))
}
