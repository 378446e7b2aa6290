package fusefs_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/cache"
	"satchel/fusefs"
)

// A newsServer tells of changes when it is let. It has two files, and a folder that it lists when it is let.
type newsServer struct {
	noServer
	file, other, folder api.Node
	texts               map[api.ID]string // by version
	news                chan api.State
	asked, list         chan bool
}

func newNewsServer(text string) *newsServer {
	s := &newsServer{noServer: *newDrive(), texts: map[api.ID]string{}, news: make(chan api.State), asked: make(chan bool, 1), list: make(chan bool)}
	node := api.Node{Type: api.File, Mode: 0o644, UID: api.Self, GID: api.Self, Nlink: 1}
	s.file, s.other, s.folder = node, node, node
	s.file.ID, s.other.ID, s.folder.ID = api.NewID(), api.NewID(), api.NewID()
	s.folder.Type, s.folder.Mode, s.folder.Nlink = api.Directory, 0o755, 2
	s.save(text)
	return s
}

// save gives the file another version, of which nobody is told.
func (s *newsServer) save(text string) {
	s.file.Version, s.file.Size, s.file.SHA256 = api.NewID(), int64(len(text)), sha256.Sum256([]byte(text))
	s.file.Mtime += 1e9
	s.texts[s.file.Version] = text
}

// tell tells of a change, and returns when it is known here.
func (s *newsServer) tell(t *testing.T, d *cache.Drive, news api.State) {
	t.Helper()
	s.drive.Seq++
	news.Epoch, news.Seq = s.drive.Epoch, s.drive.Seq
	s.news <- news
	soon(t, "the news is known", func() bool { return d.Status().Seq == news.Seq })
}

func (s *newsServer) Children(ctx context.Context, dir api.ID, after api.Name, limit int, next func(api.Name)) (api.Listing, error) {
	if dir == s.folder.ID {
		select {
		case s.asked <- true:
		default:
		}
		<-s.list
		return api.Listing{State: api.State{Epoch: s.drive.Epoch, Seq: s.drive.Seq, Nodes: []api.Node{s.folder}}}, nil
	}
	l, err := s.noServer.Children(ctx, dir, after, limit, next)
	l.Nodes = append(l.Nodes, s.file, s.folder, s.other)
	l.Entries = []api.EntryState{{Parent: dir, Name: "file", Node: s.file.ID}, {Parent: dir, Name: "folder", Node: s.folder.ID}, {Parent: dir, Name: "other", Node: s.other.ID}}
	return l, err
}

func (s *newsServer) Changes(ctx context.Context, _, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	select {
	case news := <-s.news:
		return api.Changes{State: news}, nil
	case <-ctx.Done():
	case <-time.After(wait):
	}
	return api.Changes{State: api.State{Epoch: epoch, Seq: after}}, nil
}

func (s *newsServer) Content(_ context.Context, _, version api.ID, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(s.texts[version][off : off+n])), nil
}

func (s *newsServer) Contents(_ context.Context, files []api.ContentRef, fn func(int, api.Version, io.Reader) error) error {
	for i, f := range files {
		text := s.texts[s.file.Version]
		if f.Node != s.file.ID {
			text = ""
		}
		if err := fn(i, api.Version{ID: s.file.Version, Size: int64(len(text)), SHA256: sha256.Sum256([]byte(text))}, strings.NewReader(text)); err != nil {
			return err
		}
	}
	return nil
}

func soon(t *testing.T, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !fn(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 20 s: ", what)
		}
	}
}

// Who opens a file after a new version has come reads that, whole, though the kernel has pages and the size of the one before, and can't be told yet: what is to be told
// before waits for a call that waits for the server.
func TestOpenBeforeTheKernelIsTold(t *testing.T) {
	const small, large = 1 << 20, 6 << 20
	for name, c := range map[string]struct{ before, after int }{
		"of the same size": {small, small}, "longer": {small, small + 5000}, "shorter": {small, small - 5000},
		"large": {large, large}, "large and longer": {large, large + 5000},
	} {
		t.Run(name, func(t *testing.T) {
			s := newNewsServer(strings.Repeat("1", c.before))
			d, dir, unmount := mountWith(t, cache.Config{Dir: t.TempDir(), Remote: s}, fusefs.Options{NoPassthrough: true})
			defer unmount()
			path := func(name string) string { return filepath.Join(dir, name) }
			f, err := os.Open(path("file"))
			must(t, err)
			must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM)) // no more than is asked for
			_, err = f.Read(make([]byte, 4096))
			must(t, err)
			must(t, f.Close())

			if _, err := os.Lstat(path("fresh")); !errors.Is(err, fs.ErrNotExist) { // which the kernel remembers
				t.Fatal(err)
			}
			moved := make(chan error, 1)
			defer func() {
				close(s.list)
				<-moved
			}()
			go func() {
				moved <- unix.Rename(path("other"), path("folder/other"))
				close(moved)
			}()
			<-s.asked
			fresh := api.Node{ID: api.NewID(), Type: api.Symlink, Target: "x", Nlink: 1}
			s.tell(t, d, api.State{Nodes: []api.Node{fresh}, Entries: []api.EntryState{{Parent: s.drive.Root, Name: "fresh", Node: fresh.ID}}})
			soon(t, "the kernel is being told of a name", func() bool {
				b := make([]byte, 1<<20)
				return strings.Contains(string(b[:runtime.Stack(b, true)]), "EntryNotify(")
			})
			s.save(strings.Repeat("2", c.after))
			s.tell(t, d, api.State{Nodes: []api.Node{s.file}})
			select {
			case err := <-moved:
				t.Fatalf("it moved before the kernel was told: %v", err)
			default:
			}
			got, err := os.ReadFile(path("file"))
			if twos := strings.Count(string(got), "2"); err != nil || twos != c.after || len(got) != c.after {
				t.Errorf("%d bytes were read, of which %d are of the new version, which has %d: %v", len(got), twos, c.after, err)
			}
		})
	}
}
