package fusefs

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/cache"
	"satchel/cache/locks"
	"satchel/fusefs/backing"
)

// Options of a mount.
type Options struct {
	AllowOther    bool // other users may enter, as far as the modes allow
	ReadOnly      bool
	NoPassthrough bool // all content goes through the daemon
	Writeback     bool // without passthrough, the kernel collects what programs write until they close the file
	NoXattr       bool // extended attributes are not served: `ls -l` asks for two per file
	FsName        string
	Debug         bool   // log every request
	Helper        string // socket of satchel-helper, which gives ordinary users passthrough; "" = backing.DefaultSocket
	Log           *slog.Logger
}

// A Server is a mounted drive.
type Server struct {
	fs  *filesystem
	srv *fuse.Server
	dir string

	mu   locks.Mutex // held while what is bound changes
	tags uint64      // how many drives were ever bound
}

// maxRequest is how much a READ or WRITE carries at most, bytes: what a pipe, which has room for 1 MiB, takes of a file
// besides the header of the answer, so that content goes to the kernel without a copy in between.
const maxRequest = 1<<20 - 2*4096

// maxBackground is how many of the requests that no program waits for by itself are under way at a time: reads ahead, and those of asynchronous I/O. Reads
// of what is cold take a round trip to the server each.
const maxBackground = 64

// Mount mounts a drive on a directory, starts serving and the drive's
// background work. The caller closes the drive after Wait returned.
func Mount(dir string, d *cache.Drive, o Options) (*Server, error) {
	f := &filesystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), d: d, log: o.Log, noXattr: o.NoXattr}
	o.NoPassthrough = o.NoPassthrough || !d.Leases()
	// Root alone in his mount may do everything. Letting the kernel find that out (ACLs make it look
	// too) would cost a GETATTR of the directory after every change in it.
	alone := os.Getuid() == 0 && !o.AllowOther
	mo := &fuse.MountOptions{
		AllowOther:               o.AllowOther,
		FsName:                   o.FsName,
		Name:                     "satchel",
		Debug:                    o.Debug,
		DirectMount:              os.Getuid() == 0,
		MaxWrite:                 maxRequest,
		MaxBackground:            maxBackground,
		EnableLocks:              false, // the kernel keeps them
		EnableSymlinkCaching:     true,
		ExplicitDataCacheControl: true,
		EnableAcl:                !o.NoXattr && !alone,
		ExtraCapabilities:        capabilities,
	}
	if o.Log != nil {
		mo.Logger = slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	} else {
		mo.Logger = log.New(os.Stderr, "fuse: ", 0)
	}
	mo.Options = systemOptions()
	if !alone {
		mo.Options = append(mo.Options, "default_permissions")
	}
	if o.ReadOnly {
		mo.Options = append(mo.Options, "ro")
	}
	if !o.NoPassthrough {
		mo.MaxStackDepth = 1
	}
	target, err := f.target(dir, o)
	if err != nil {
		return nil, fmt.Errorf("mount on %s: %w", dir, err)
	}
	passes := !o.NoPassthrough && (os.Getuid() == 0 || f.helper != nil)
	if o.Writeback && !passes { // the kernel has one or the other
		mo.ExtraCapabilities |= fuse.CAP_WRITEBACK_CACHE
		mo.MaxStackDepth = 0
	}
	srv, err := fuse.NewServer(&router{RawFileSystem: f.RawFileSystem, home: f}, target, mo)
	if err != nil {
		if target != dir {
			unmount(dir)
		}
		return nil, fmt.Errorf("mount on %s: %w", dir, err)
	}
	f.srv, f.dir = srv, dir
	s := &Server{fs: f, srv: srv, dir: dir}
	// The kernel has said what it can (FUSE_INIT) before NewServer returned.
	offered := srv.KernelSettings().Flags64()
	f.pass.Store(passes && offered&fuse.CAP_PASSTHROUGH != 0)
	f.never.Store(!f.pass.Load())
	f.writeback.Store(o.Writeback && !passes && offered&fuse.CAP_WRITEBACK_CACHE != 0)
	d.Start(f)
	go srv.Serve()
	if err := srv.WaitMount(); err != nil {
		s.Unmount()
		return nil, fmt.Errorf("mount on %s: %w", dir, err)
	}
	widenReads(dir)
	return s, nil
}

// Passthrough tells whether programs read and write content without the daemon.
func (s *Server) Passthrough() bool { return s.fs.pass.Load() }

// Writeback tells whether the kernel collects what programs write, until they close the file.
func (s *Server) Writeback() bool { return s.fs.writeback.Load() }

// Wait returns when the drive is unmounted, by whomever.
func (s *Server) Wait() {
	s.srv.Wait()
	s.fs.gone.Store(true)
	s.fs.mounts.close()
	if s.fs.helper != nil {
		s.fs.helper.Close()
	}
}

// Unmount unmounts; it fails while a program uses the mount. It does not wait for the end of what [Server.Wait] waits for: another
// mount namespace (of a container, or of a service of the system) may have a copy of the mount, which lives until that ends or this process does.
func (s *Server) Unmount() (err error) {
	for wait := 5 * time.Millisecond; wait < 200*time.Millisecond; wait *= 2 {
		if err = unmount(s.dir); err == nil {
			break
		}
		time.Sleep(wait) // the kernel may not know yet of files that were just closed
	}
	return err
}

// The cache's Kernel

func (f *filesystem) Register(fd int) int32 {
	if f.home != nil {
		return f.home.Register(fd)
	}
	if f.never.Load() || f.gone.Load() {
		return 0
	}
	var id int32
	var err error
	if f.helper != nil {
		id, err = f.helper.Register(fd)
	} else if n, errno := registerBacking(f.srv, fd); errno != 0 {
		err = errno
	} else {
		id = n
	}
	switch {
	case err == nil:
		f.pass.Store(true) // satchel-helper may have been away
		return id
	case f.gone.Load(), errors.Is(err, syscall.EBADF): // it was unmounted meanwhile
	case errors.Is(err, syscall.EMFILE): // this user has as many as one may, in all his mounts
	case errors.Is(err, backing.ErrGone):
		if f.pass.Swap(false) {
			f.warn("satchel-helper is gone; until it is back, content of files that are opened for the first time goes through the daemon", err)
		}
	default:
		f.never.Store(true)
		f.pass.Store(false)
		f.warn("passthrough is not to be had; content goes through the daemon from now on", err)
	}
	return 0
}

func (f *filesystem) Dear() bool {
	if f.home != nil {
		return f.home.Dear()
	}
	return f.helper != nil && f.pass.Load()
}

func (f *filesystem) Unregister(id int32) {
	if f.home != nil {
		f.home.Unregister(id)
		return
	}
	if f.gone.Load() { // and with the mount all that was registered
		return
	}
	if f.helper == nil {
		unregisterBacking(f.srv, id)
	} else if err := f.helper.Unregister(id); err != nil && !errors.Is(err, backing.ErrGone) && !errors.Is(err, syscall.ENOENT) { // the kernel keeps what a helper registered that is gone
		f.warn("give a backing file back", err)
	}
}

func (f *filesystem) EntryChanged(parent uint64, name string) {
	if f.home != nil {
		f.home.EntryChanged(parent|f.tag, name)
		return
	}
	if st := f.srv.EntryNotify(parent, name); !st.Ok() && st != fuse.ENOENT {
		f.warn("tell the kernel of a changed name", st)
	}
}

func (f *filesystem) InodeChanged(fid uint64, data bool) {
	if f.home != nil {
		f.home.InodeChanged(fid|f.tag, data)
		return
	}
	off := int64(-1) // attributes only
	if data {
		off = 0
	}
	if st := f.srv.InodeNotify(fid, off, 0); !st.Ok() && st != fuse.ENOENT {
		f.warn("tell the kernel of a changed inode", st)
	}
}

// pruneNotify is a seam for tests of kernels that have no such notification: before Linux 6.18.
var pruneNotify = (*fuse.Server).PruneNotify

func (f *filesystem) Prune(fids []uint64) bool {
	if f.home != nil {
		for i := range fids {
			fids[i] |= f.tag
		}
		return f.home.Prune(fids)
	}
	st := pruneNotify(f.srv, fids)
	if !st.Ok() && st != fuse.ENOSYS {
		f.warn("let the kernel forget nodes", st)
	}
	return st.Ok()
}

func (f *filesystem) Covered() bool {
	if f.home != nil {
		return f.home.Covered()
	}
	return f.gone.Load() || f.mounts.mountedBelow(f.dir)
}

func (f *filesystem) Writeback() bool {
	if f.home != nil {
		return f.home.Writeback()
	}
	return f.writeback.Load()
}

func (f *filesystem) warn(what string, why any) {
	if f.log != nil {
		f.log.Warn(what, "err", why)
	}
}
