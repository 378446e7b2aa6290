package fusefs

import (
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/cache"
)

// Options of a mount.
type Options struct {
	AllowOther    bool // other users may enter, as far as the modes allow
	ReadOnly      bool
	NoPassthrough bool // all content goes through the daemon
	NoXattr       bool // extended attributes are not served: `ls -l` asks for two per file
	FsName        string
	Debug         bool // log every request
	Log           *slog.Logger
}

// A Server is a mounted drive.
type Server struct {
	fs  *filesystem
	srv *fuse.Server
}

// Mount mounts a drive on a directory, starts serving and the drive's
// background work. The caller closes the drive after Wait returned.
func Mount(dir string, d *cache.Drive, o Options) (*Server, error) {
	f := &filesystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), d: d, log: o.Log, readOnly: o.ReadOnly, noXattr: o.NoXattr}
	mo := &fuse.MountOptions{
		AllowOther:               o.AllowOther,
		FsName:                   o.FsName,
		Name:                     "satchel",
		Debug:                    o.Debug,
		DirectMount:              os.Getuid() == 0,
		MaxWrite:                 1 << 20,
		EnableLocks:              false, // the kernel keeps them
		EnableSymlinkCaching:     true,
		ExplicitDataCacheControl: true,
		Options:                  []string{"default_permissions"},
		// Without these the kernel asks on every write for security.capability,
		// truncates in a second request, and opens directories.
		ExtraCapabilities: fuse.CAP_HANDLE_KILLPRIV_V2 | fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_NO_OPENDIR_SUPPORT,
	}
	if o.Log != nil {
		mo.Logger = slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	} else {
		mo.Logger = log.New(os.Stderr, "fuse: ", 0)
	}
	if o.ReadOnly {
		mo.Options = append(mo.Options, "ro")
	}
	if !o.NoPassthrough {
		mo.MaxStackDepth = 1
	}
	srv, err := fuse.NewServer(f, dir, mo)
	if err != nil {
		return nil, fmt.Errorf("mount on %s: %w", dir, err)
	}
	f.srv = srv
	// The kernel has said what it can (FUSE_INIT) before NewServer returned. Only root may register backing files.
	f.pass.Store(!o.NoPassthrough && os.Getuid() == 0 && srv.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH != 0)
	d.Start(f)
	go srv.Serve()
	if err := srv.WaitMount(); err != nil {
		srv.Unmount()
		return nil, fmt.Errorf("mount on %s: %w", dir, err)
	}
	return &Server{f, srv}, nil
}

// Passthrough tells whether programs read and write content without the daemon.
func (s *Server) Passthrough() bool { return s.fs.pass.Load() }

// Wait returns when the drive is unmounted, by whomever.
func (s *Server) Wait() { s.srv.Wait() }

// Unmount unmounts; it fails while a program uses the mount.
func (s *Server) Unmount() error { return s.srv.Unmount() }

// The cache's Kernel

func (f *filesystem) Register(fd int) int32 {
	if !f.pass.Load() {
		return 0
	}
	id, errno := f.srv.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
	if errno != 0 {
		f.pass.Store(false)
		f.warn("passthrough is not to be had; content goes through the daemon", errno)
		return 0
	}
	return id
}

func (f *filesystem) Unregister(id int32) { f.srv.UnregisterBackingFd(id) }

func (f *filesystem) EntryChanged(parent uint64, name string) {
	if st := f.srv.EntryNotify(parent, name); !st.Ok() && st != fuse.ENOENT {
		f.warn("tell the kernel of a changed name", st)
	}
}

func (f *filesystem) InodeChanged(fid uint64, data bool) {
	off := int64(-1) // attributes only
	if data {
		off = 0
	}
	if st := f.srv.InodeNotify(fid, off, 0); !st.Ok() && st != fuse.ENOENT {
		f.warn("tell the kernel of a changed inode", st)
	}
}

func (f *filesystem) warn(what string, why any) {
	if f.log != nil {
		f.log.Warn(what, "err", why)
	}
}
