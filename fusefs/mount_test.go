package fusefs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"satchel/api"
	"satchel/cache"
	"satchel/fusefs"
)

// noServer is a drive whose server answered once, at the first mount, and
// can't be reached since.
type noServer struct{ drive api.DriveInfo }

var errGone = api.Errorf(api.Unavailable, "no server")

func (s *noServer) Info(context.Context) (api.DriveInfo, error)    { return s.drive, nil }
func (s *noServer) Node(context.Context, api.ID) (api.Node, error) { return api.Node{}, errGone }
func (s *noServer) Commit(context.Context, api.Batch) (api.Committed, error) {
	return api.Committed{}, errGone
}
func (s *noServer) Missing(context.Context, []api.Hash) ([]api.Hash, error) { return nil, errGone }
func (s *noServer) PutPack(context.Context, []byte) error                   { return errGone }
func (s *noServer) Content(context.Context, api.ID, api.ID, int64, int64) (io.ReadCloser, error) {
	return nil, errGone
}
func (s *noServer) Holes(context.Context, api.ID, api.ID) ([]api.Hole, error) { return nil, errGone }
func (s *noServer) Contents(context.Context, []api.ContentRef, func(int, api.Version, io.Reader) error) error {
	return errGone
}
func (s *noServer) Changes(ctx context.Context, _, _ api.ID, _ int64, _ time.Duration) (api.Changes, error) {
	return api.Changes{}, errGone
}
func (s *noServer) Children(_ context.Context, dir api.ID, _ api.Name, _ int, _ func(api.Name)) (api.Listing, error) {
	if dir != s.drive.Root {
		return api.Listing{}, errGone
	}
	root := api.Node{ID: dir, Type: api.Directory, Mode: 0o755, UID: api.Self, GID: api.Self, Nlink: 2}
	return api.Listing{State: api.State{Epoch: s.drive.Epoch, Seq: 1, Nodes: []api.Node{root}}}, nil
}

func (s *noServer) Listings(context.Context, []api.ID, int) ([]api.Listed, error) {
	return nil, errGone
}

func (s *noServer) Reconnect() {}

// mountAlone mounts a drive that has no server, and unmounts it at the test's end.
func mountAlone(t *testing.T, cacheDir string, remote cache.Remote, opts fusefs.Options) (dir string, unmount func()) {
	t.Helper()
	_, dir, unmount = mountWith(t, cache.Config{Dir: cacheDir, Remote: remote}, opts)
	return dir, unmount
}

// mountWith is mountAlone with a configuration, in which who mounts and the log are filled in.
func mountWith(t *testing.T, config cache.Config, opts fusefs.Options) (d *cache.Drive, dir string, unmount func()) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	config.DeviceName, config.UID, config.GID, config.Log = "test", uint32(os.Getuid()), uint32(os.Getgid()), log
	d, err := cache.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	opts.Log = log
	s, err := fusefs.Mount(dir, d, opts)
	if err != nil {
		t.Fatal(err)
	}
	done := false
	unmount = func() {
		if done {
			return
		}
		done = true
		if err := s.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
			syscall.Unmount(dir, syscall.MNT_DETACH)
		}
		s.Wait()
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	t.Cleanup(unmount)
	return d, dir, unmount
}

func newDrive() *noServer {
	return &noServer{api.DriveInfo{ID: api.NewID(), Root: api.NewID(), Epoch: api.NewID(), Seq: 1}}
}

func TestWorksWithoutServer(t *testing.T) {
	for _, opts := range []struct {
		name string
		fusefs.Options
	}{{name: "passthrough"}, {name: "through the daemon", Options: fusefs.Options{NoPassthrough: true}}} {
		t.Run(opts.name, func(t *testing.T) {
			cacheDir, drive := t.TempDir(), newDrive()
			dir, unmount := mountAlone(t, cacheDir, drive, opts.Options)
			big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
			must(t, os.Mkdir(filepath.Join(dir, "d"), 0o750))
			must(t, os.WriteFile(filepath.Join(dir, "d", "big"), big, 0o640))
			must(t, os.WriteFile(filepath.Join(dir, "small"), []byte("hello"), 0o600))
			must(t, os.Rename(filepath.Join(dir, "small"), filepath.Join(dir, "d", "moved")))
			must(t, os.Symlink("d/moved", filepath.Join(dir, "link")))
			must(t, os.Link(filepath.Join(dir, "d", "big"), filepath.Join(dir, "hard")))
			must(t, os.WriteFile(filepath.Join(dir, "gone"), []byte("x"), 0o600))
			must(t, os.Remove(filepath.Join(dir, "gone")))
			check := func(dir string) {
				t.Helper()
				if b, err := os.ReadFile(filepath.Join(dir, "link")); err != nil || string(b) != "hello" {
					t.Errorf("through the symlink: %q, %v", b, err)
				}
				if b, err := os.ReadFile(filepath.Join(dir, "hard")); err != nil || !bytes.Equal(b, big) {
					t.Errorf("through the hard link: %d bytes, %v", len(b), err)
				}
				if _, err := os.Stat(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a removed file: %v", err)
				}
				st, err := os.Stat(filepath.Join(dir, "d", "big"))
				if err != nil || st.Mode() != 0o640 || st.Size() != int64(len(big)) || st.Sys().(*syscall.Stat_t).Nlink != 2 {
					t.Errorf("stat: %+v, %v", st, err)
				}
				if out, err := exec.Command("find", dir, "-printf", "%P %y\n").CombinedOutput(); err != nil || bytes.Count(out, []byte("\n")) != 6 {
					t.Errorf("find: %s, %v", out, err)
				}
			}
			check(dir)
			unmount()
			dir, _ = mountAlone(t, cacheDir, drive, opts.Options)
			check(dir)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
