package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/integration/require"
)

// A sickDisk is a file system that shows a directory, and that fails when it is told to.
type sickDisk struct {
	dir    string // where it is mounted
	forget bool   // an fsync that fails loses the whole file

	mu    sync.Mutex
	fails map[string]syscall.Errno // by call: "read", "write", "fsync"
	calls map[string]int           // that failed
}

// newSickDisk mounts one at dir. It is well until it is told to fail.
func newSickDisk(t *testing.T, dir string) *sickDisk {
	t.Helper()
	require.Fuse(t)
	behind := dir + ".behind"
	must(t, os.MkdirAll(behind, 0o711))
	must(t, os.MkdirAll(dir, 0o711))
	d := &sickDisk{dir: dir, calls: map[string]int{}}
	var st syscall.Stat_t
	must(t, syscall.Stat(behind, &st))
	root := &fs.LoopbackRoot{Path: behind, Dev: st.Dev}
	node := &sickNode{&fs.LoopbackNode{RootData: root}, d}
	root.RootNode = node
	server, err := fs.Mount(dir, node, &fs.Options{MountOptions: fuse.MountOptions{AllowOther: true, DirectMount: true, FsName: "sick", Options: []string{"default_permissions"}}})
	must(t, err)
	t.Cleanup(func() { eventually(t, 20*time.Second, server.Unmount) })
	return d
}

// fail makes calls fail with an errno, until heal.
func (d *sickDisk) fail(errno syscall.Errno, calls ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = map[string]syscall.Errno{}
	for _, call := range calls {
		d.fails[call] = errno
	}
	clear(d.calls)
}

// heal ends it, and tells how many calls failed.
func (d *sickDisk) heal() (failed int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = nil
	for _, n := range d.calls {
		failed += n
	}
	return failed
}

func (d *sickDisk) at(call string) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	errno := d.fails[call]
	if errno != 0 {
		d.calls[call]++
	}
	return errno
}

type sickNode struct {
	*fs.LoopbackNode
	disk *sickDisk
}

// WrapChild is part of [fs.NodeWrapChilder].
func (n *sickNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &sickNode{child.(*fs.LoopbackNode), n.disk}
}

func (n *sickNode) Create(ctx context.Context, name string, flags uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	node, fh, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return node, &sickFile{fh.(*fs.LoopbackFile), n.disk}, fuseFlags, 0
}

func (n *sickNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	fh, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &sickFile{fh.(*fs.LoopbackFile), n.disk}, fuseFlags | fuse.FOPEN_DIRECT_IO, 0
}

// sickFile passes on what a disk does, but for what fails. (Not all of a LoopbackFile: its passthrough would go past it.)
type sickFile struct {
	file *fs.LoopbackFile
	disk *sickDisk
}

func (f *sickFile) Read(ctx context.Context, buf []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := f.disk.at("read"); errno != 0 {
		return nil, errno
	}
	return f.file.Read(ctx, buf, off)
}

func (f *sickFile) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := f.disk.at("write"); errno != 0 {
		return 0, errno
	}
	return f.file.Write(ctx, data, off)
}

// Fsync that fails may lose what was written, as the kernel does, which takes its pages for clean then
// (fsync(2), NOTES): a second one would say that all is well.
func (f *sickFile) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if errno := f.disk.at("fsync"); errno != 0 && f.disk.forget {
		var none fuse.AttrOut
		in := fuse.SetAttrIn{SetAttrInCommon: fuse.SetAttrInCommon{Valid: fuse.FATTR_SIZE}}
		f.file.Setattr(ctx, &in, &none)
		return errno
	} else if errno != 0 {
		return errno
	}
	return f.file.Fsync(ctx, flags)
}

func (f *sickFile) Getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	return f.file.Getattr(ctx, out)
}

func (f *sickFile) Setattr(ctx context.Context, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.file.Setattr(ctx, in, out)
}

func (f *sickFile) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	return f.file.Allocate(ctx, off, size, mode)
}

func (f *sickFile) Flush(ctx context.Context) syscall.Errno   { return f.file.Flush(ctx) }
func (f *sickFile) Release(ctx context.Context) syscall.Errno { return f.file.Release(ctx) }

// TestSickBlobDisk: while the disk of the server's content fails, nothing is acknowledged that it does not have and
// nothing is read that is not right; devices go on, keep what they have, and send it when the disk is well again.
func TestSickBlobDisk(t *testing.T) {
	dir := filepath.Join(parts.Dir, unique(t, "disk"))
	disk := newSickDisk(t, dir)
	disk.forget = true
	s, err := parts.NewServer(unique(t, "server"))
	must(t, err)
	s.Setenv("SATCHELD_BLOBS", "file:"+filepath.Join(dir, "blobs"))
	must(t, s.Start(t.Context()))
	showLogOnFailure(t, s)
	t.Cleanup(func() { must(t, s.Stop()) })
	anna := newAccount(t, s, "anna")
	laptop := anna.mountNew(t, "laptop")
	stored := map[string][]byte{"before": randomBytes(300_000)}
	must(t, os.WriteFile(filepath.Join(laptop.Mount, "before"), stored["before"], 0o644))
	syncAll(t, laptop)

	for _, c := range []struct {
		name   string
		errno  syscall.Errno
		calls  []string
		status int
	}{
		{"EIO at fsync", syscall.EIO, []string{"fsync"}, http.StatusInternalServerError},
		{"EIO at write", syscall.EIO, []string{"write"}, http.StatusInternalServerError},
		{"ENOSPC at write", syscall.ENOSPC, []string{"write"}, http.StatusInsufficientStorage},
		{"EDQUOT at write", syscall.EDQUOT, []string{"write"}, http.StatusInsufficientStorage},
		{"EDQUOT at fsync", syscall.EDQUOT, []string{"fsync"}, http.StatusInsufficientStorage},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk.fail(c.errno, c.calls...)
			t.Cleanup(func() { disk.heal() })
			file := strings.ReplaceAll(c.name, " ", "-")
			got := anna.ask(t, "PUT", "/dav/refused-"+file, nil, randomBytes(200_000))
			if got.status != c.status {
				t.Errorf("a file was answered with %v, not %d", got, c.status)
			}
			// A device's fsync is its own disk's matter.
			content := randomBytes(400_000)
			must(t, writeSynced(filepath.Join(laptop.Mount, file), os.O_CREATE|os.O_EXCL|os.O_WRONLY, content))
			eventually(t, time.Minute, func() error { // it was tried
				disk.mu.Lock()
				defer disk.mu.Unlock()
				if n := disk.calls[c.calls[0]]; n < 2 {
					return fmt.Errorf("%d calls failed", n)
				}
				return nil
			})
			if got := anna.ask(t, "HEAD", "/dav/"+file, nil, nil); got.status != http.StatusNotFound {
				t.Errorf("a file whose content could not be kept is there: %v", got)
			}
			if failed := disk.heal(); failed == 0 {
				t.Error("nothing failed")
			}
			syncAll(t, laptop)
			stored[file] = content
			if got := anna.ask(t, "HEAD", "/dav/refused-"+file, nil, nil); got.status != http.StatusNotFound {
				t.Errorf("a file that was refused is there: %v", got)
			}
			for name, content := range stored {
				must(t, anna.stored(t, name, content))
			}
		})
	}
	t.Run("EIO at read", func(t *testing.T) {
		disk.fail(syscall.EIO, "read")
		t.Cleanup(func() { disk.heal() })
		if got := anna.ask(t, "GET", "/dav/before", nil, nil); got.status < 500 {
			t.Errorf("what can't be read was answered with %v", got)
		}
		disk.heal()
		must(t, anna.stored(t, "before", stored["before"]))
	})
	clean(t, s)
}

// TestSickCacheDisk: while the disk of a device's cache fails, calls fail. What fsync said was durable is there when it is
// well again, on that device and on another.
func TestSickCacheDisk(t *testing.T) {
	s := ownServer(t)
	anna := newAccount(t, s, "anna")
	laptop, desk := anna.newDevice(t, "laptop"), anna.mountNew(t, "desk")
	disk := newSickDisk(t, filepath.Join(laptop.Home, "cache"))
	mount(t, laptop)
	t.Cleanup(func() { // before its disk goes
		ctx, cancel := finish()
		defer cancel()
		if laptop.Mounted() {
			must(t, laptop.Unmount(ctx, "--now"))
		}
	})
	w := newWriter("laptop", laptop.Mount, 1)
	must(t, os.Mkdir(w.dir, 0o755))
	for _, c := range []struct {
		name  string
		errno syscall.Errno
		calls []string
	}{
		{"EIO at fsync", syscall.EIO, []string{"fsync"}},
		{"EIO at write", syscall.EIO, []string{"write"}},
		{"EIO at all", syscall.EIO, []string{"read", "write", "fsync"}},
		{"EDQUOT at write", syscall.EDQUOT, []string{"write"}},
		{"EDQUOT at fsync", syscall.EDQUOT, []string{"fsync"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.done, w.lost = 0, 0
			for w.done < 30 {
				if err := w.step(); err != nil {
					t.Fatalf("while the disk is well: %v", err)
				}
				w.done++
			}
			disk.fail(c.errno, c.calls...)
			t.Cleanup(func() { disk.heal() })
			for range 20 {
				if w.step() != nil {
					w.lost++
				}
			}
			failed := disk.heal()
			t.Logf("%d calls of the disk failed, and %d of 20 programs'", failed, w.lost)
			if failed == 0 || w.lost == 0 {
				t.Error("nothing failed")
			}
			eventually(t, time.Minute, func() error {
				if _, err := laptop.Status(t.Context()); err != nil { // it has ended, as after a crash
					if err := laptop.MountDrive(t.Context()); err != nil {
						return err
					}
				}
				return laptop.Sync(t.Context())
			})
			must(t, w.check(w.dir))
			must(t, w.settle())
			eventually(t, time.Minute, func() error { return w.check(filepath.Join(desk.Mount, w.name)) })
		})
	}
	clean(t, s)
}
