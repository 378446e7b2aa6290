package fusefs_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"satchel/api"
	"satchel/cache"
	"satchel/fusefs"
)

// A meetingServer answers reads of its film once so many are under way at once.
type meetingServer struct {
	*filmServer
	mu      sync.Mutex
	left    int
	all     chan struct{} // closed when they are
	givenUp int           // reads that were given up before
}

func (s *meetingServer) Content(ctx context.Context, node, version api.ID, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	if s.left--; s.left == 0 {
		close(s.all)
	}
	s.mu.Unlock()
	select {
	case <-s.all:
		return s.filmServer.Content(ctx, node, version, off, n)
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.givenUp++
		return nil, ctx.Err()
	}
}

// Many programs read one cold file at once, each from somewhere else: the kernel and the daemon ask for all of it at once.
func TestManyReadersOfAColdFile(t *testing.T) {
	const readers, apart = 24, 2 << 20
	s := &meetingServer{filmServer: newFilmServer((readers + 1) * apart), left: readers, all: make(chan struct{})}
	_, dir, unmount := mountWith(t, cache.Config{Dir: t.TempDir(), Remote: s}, fusefs.Options{})
	defer unmount()
	f, err := os.Open(filepath.Join(dir, "film"))
	must(t, err)
	defer f.Close()
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() {
			off := int64(i+1) * apart
			got, want := make([]byte, 4096), make([]byte, 4096)
			s.ReadAt(want, off)
			if _, err := f.ReadAt(got, off); err != nil || string(got) != string(want) {
				t.Errorf("at %d: %v", off, err)
			}
		})
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.givenUp > 0 { // the kernel asks again then, and not in the background
		t.Errorf("%d reads were given up before all came", s.givenUp)
	}
}
