package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/integration/require"
)

// TestGetOutlivesPowerLoss: what get gives a name is on the disk before, and all names are when it returns.
func TestGetOutlivesPowerLoss(t *testing.T) {
	disk := newNotingDisk(t)
	s, err := newServer(buildServer(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(); os.RemoveAll(s.data) })
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		t.Setenv(name, t.TempDir())
	}
	satchel := func(in string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(args, strings.NewReader(in), &out, &errs); code != 0 {
			t.Fatalf("satchel %v: exit code %d: %s", args, code, errs.String())
		}
	}
	box := filepath.Join(t.TempDir(), "box")
	for name, content := range map[string]string{"letter": "Dear Ada", "zeros": "x" + strings.Repeat("\x00", 1<<20), "sub/deep/note": "hello"} {
		path := filepath.Join(box, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("letter", filepath.Join(box, "link")); err != nil {
		t.Fatal(err)
	}
	satchel("correct horse\n", "login", "http://"+s.addr, "--email", "ada@example.org", "--password-stdin")
	satchel("", "put", box, "Box")
	old := filepath.Join(disk.dir, "old")
	if err := os.WriteFile(old, []byte("the one before"), 0o600); err != nil {
		t.Fatal(err)
	}
	disk.forget()
	satchel("", "get", "Box", filepath.Join(disk.dir, "new"))
	satchel("", "get", "Box/letter", old)
	early, lost := disk.noted()
	if len(early) > 0 {
		t.Errorf("got their names before they were durable: %q", early)
	}
	if len(lost) > 0 {
		t.Errorf("get returned before these were durable: %q", lost)
	}
}

// A notingDisk is a file system that shows a directory and notes what a loss of power would take from it.
type notingDisk struct {
	dir string

	mu    sync.Mutex
	young map[*fs.Inode]bool // files with content or attributes, and directories with names, of after their last fsync
	early []string           // names that young files got
}

func newNotingDisk(t *testing.T) *notingDisk {
	t.Helper()
	require.Fuse(t)
	d := &notingDisk{dir: t.TempDir(), young: map[*fs.Inode]bool{}}
	root, err := fs.NewLoopbackRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mounted, err := fs.Mount(d.dir, &notingNode{root.(*fs.LoopbackNode), d}, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mounted.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// note notes that something was done to nodes, if it was.
func (d *notingDisk) note(errno syscall.Errno, nodes ...*fs.Inode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range nodes {
		if errno == 0 {
			d.young[n] = true
		}
	}
}

// settled notes that a node was made durable, if it was.
func (d *notingDisk) settled(errno syscall.Errno, n *fs.Inode) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errno == 0 {
		delete(d.young, n)
	}
	return errno
}

func (d *notingDisk) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.young)
	d.early = nil
}

// noted are the names that were too early, and what is not durable now.
func (d *notingDisk) noted() (early, lost []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range d.young {
		lost = append(lost, "/"+n.Path(nil))
	}
	return d.early, lost
}

type notingNode struct {
	*fs.LoopbackNode
	disk *notingDisk
}

// WrapChild is part of [fs.NodeWrapChilder].
func (n *notingNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &notingNode{child.(*fs.LoopbackNode), n.disk}
}

func (n *notingNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	node, fh, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno == 0 {
		n.disk.note(0, n.EmbeddedInode(), node)
	}
	return node, fh, fuseFlags, errno
}

func (n *notingNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	node, errno := n.LoopbackNode.Mkdir(ctx, name, mode, out)
	n.disk.note(errno, n.EmbeddedInode())
	return node, errno
}

func (n *notingNode) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	node, errno := n.LoopbackNode.Symlink(ctx, target, name, out)
	n.disk.note(errno, n.EmbeddedInode())
	return node, errno
}

func (n *notingNode) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	n.disk.mu.Lock()
	if n.disk.young[n.GetChild(name)] {
		n.disk.early = append(n.disk.early, newName)
	}
	n.disk.mu.Unlock()
	errno := n.LoopbackNode.Rename(ctx, name, newParent, newName, flags)
	n.disk.note(errno, n.EmbeddedInode(), newParent.EmbeddedInode())
	return errno
}

func (n *notingNode) Write(ctx context.Context, f fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	written, errno := f.(fs.FileWriter).Write(ctx, data, off)
	n.disk.note(errno, n.EmbeddedInode())
	return written, errno
}

func (n *notingNode) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	errno := n.LoopbackNode.Setattr(ctx, f, in, out)
	n.disk.note(errno, n.EmbeddedInode())
	return errno
}

func (n *notingNode) Fsync(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	return n.disk.settled(f.(fs.FileFsyncer).Fsync(ctx, flags), n.EmbeddedInode())
}

func (n *notingNode) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	dir, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &notingDir{dir.(openDir), n}, fuseFlags, 0
}

// openDir is what an open directory of a loopback can do.
type openDir interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
	fs.FileFsyncdirer
}

type notingDir struct {
	openDir
	node *notingNode
}

func (d *notingDir) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	return d.node.disk.settled(d.openDir.Fsyncdir(ctx, flags), d.node.EmbeddedInode())
}
