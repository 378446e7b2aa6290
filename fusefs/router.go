package fusefs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/cache"
)

// router is what the kernel talks to: it finds the drive that a request is
// about, the mounted one or one that is shown within it.
type router struct {
	fuse.RawFileSystem
	home *filesystem
}

var _ fuse.RawFileSystem = (*router)(nil)

func (r *router) String() string { return r.home.String() }

func (r *router) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, o *fuse.EntryOut) fuse.Status {
	f, done := r.at(&h.NodeId)
	if f == nil {
		return stale
	}
	defer done()
	return patiently(cancel, h.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Lookup(cancel, h, name, o) })
}

func (r *router) Forget(nodeid, nlookup uint64) {
	if f, done := r.at(&nodeid); f != nil {
		defer done()
		f.Forget(nodeid, nlookup)
	}
}

func (r *router) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, o *fuse.AttrOut) fuse.Status {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return stale
	}
	defer done()
	return f.GetAttr(cancel, in, o)
}

func (r *router) Statx(cancel <-chan struct{}, in *fuse.StatxIn, o *fuse.StatxOut) fuse.Status {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return stale
	}
	defer done()
	return f.Statx(cancel, in, o)
}

func (r *router) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, o *fuse.AttrOut) fuse.Status {
	f, done, st := r.to(&in.NodeId, api.PermWrite)
	if f == nil {
		return st
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.SetAttr(cancel, in, o) })
}

func (r *router) StatFs(cancel <-chan struct{}, h *fuse.InHeader, o *fuse.StatfsOut) fuse.Status {
	f, done := r.at(&h.NodeId)
	if f == nil {
		return stale
	}
	defer done()
	return f.StatFs(cancel, h, o)
}

func (r *router) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return stale
	}
	defer done()
	return f.Access(cancel, in)
}

func (r *router) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, bufIn []byte, o *fuse.IoctlOut, bufOut []byte) fuse.Status {
	return r.home.Ioctl(cancel, in, bufIn, o, bufOut)
}

// Directories

func (r *router) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, o *fuse.EntryOut) fuse.Status {
	f, done, st := r.to(&in.NodeId, api.PermWrite)
	if f == nil {
		return st
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Mknod(cancel, in, name, o) })
}

func (r *router) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, o *fuse.EntryOut) fuse.Status {
	f, done, st := r.to(&in.NodeId, api.PermMkdir)
	if f == nil {
		return st
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Mkdir(cancel, in, name, o) })
}

func (r *router) Symlink(cancel <-chan struct{}, h *fuse.InHeader, target, name string, o *fuse.EntryOut) fuse.Status {
	f, done, st := r.to(&h.NodeId, api.PermWrite)
	if f == nil {
		return st
	}
	defer done()
	return patiently(cancel, h.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Symlink(cancel, h, target, name, o) })
}

func (r *router) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	f, done := r.at(&h.NodeId)
	if f == nil {
		return nil, stale
	}
	defer done()
	return f.Readlink(cancel, h)
}

func (r *router) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, o *fuse.EntryOut) fuse.Status {
	if (in.NodeId^in.Oldnodeid)&^idMask != 0 {
		return fuse.EXDEV
	}
	f, done, st := r.to(&in.NodeId, api.PermRead|api.PermWrite|api.PermCopy)
	if f == nil {
		return st
	}
	defer done()
	in.Oldnodeid &= idMask
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Link(cancel, in, name, o) })
}

func (r *router) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	f, done, st := r.to(&h.NodeId, api.PermDelete)
	if f == nil {
		return st
	}
	defer done()
	return patiently(cancel, h.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Unlink(cancel, h, name) })
}

func (r *router) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	f, done, st := r.to(&h.NodeId, api.PermDelete)
	if f == nil {
		return st
	}
	defer done()
	if f.holds(h.NodeId, name, cancel) {
		return fuse.EBUSY
	}
	return patiently(cancel, h.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Rmdir(cancel, h, name) })
}

func (r *router) Rename(cancel <-chan struct{}, in *fuse.RenameIn, name, newName string) fuse.Status {
	if (in.NodeId^in.Newdir)&^idMask != 0 {
		return fuse.EXDEV
	}
	f, done, st := r.to(&in.NodeId, api.PermRename)
	if f == nil {
		return st
	}
	defer done()
	in.Newdir &= idMask
	if f.barred(in.Newdir) || in.NodeId != in.Newdir && f.lacks(api.PermRead|api.PermWrite) {
		return fuse.EACCES
	}
	if in.Flags&cache.RenameExchange == 0 && f.holds(in.Newdir, newName, cancel) {
		return fuse.EBUSY
	}
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Rename(cancel, in, name, newName) })
}

func (r *router) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, o *fuse.OpenOut) fuse.Status {
	return r.home.OpenDir(cancel, in, o)
}

func (r *router) ReleaseDir(*fuse.ReleaseIn) {}

func (r *router) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, l *fuse.DirEntryList) fuse.Status {
	f, done, st := r.to(&in.NodeId, api.PermList)
	if f == nil {
		return st
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.ReadDir(cancel, in, l) })
}

func (r *router) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, l *fuse.DirEntryList) fuse.Status {
	f, done, st := r.to(&in.NodeId, api.PermList)
	if f == nil {
		return st
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.ReadDirPlus(cancel, in, l) })
}

func (r *router) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return stale
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.FsyncDir(cancel, in) })
}

// Files

func (r *router) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, o *fuse.CreateOut) fuse.Status {
	f, done, st := r.to(&in.NodeId, api.PermWrite)
	if f == nil {
		return st
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Create(cancel, in, name, o) })
}

func (r *router) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, o *fuse.CreateOut) fuse.Status {
	f, done, st := r.to(&in.NodeId, api.PermWrite)
	if f == nil {
		return st
	}
	defer done()
	return f.Tmpfile(cancel, in, o)
}

func (r *router) Open(cancel <-chan struct{}, in *fuse.OpenIn, o *fuse.OpenOut) fuse.Status {
	needs := api.PermRead
	if in.Flags&(unix.O_ACCMODE|unix.O_TRUNC) != unix.O_RDONLY {
		needs |= api.PermWrite
	}
	f, done, st := r.to(&in.NodeId, needs)
	if f == nil {
		return st
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Open(cancel, in, o) })
}

func (r *router) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return nil, stale
	}
	defer done()
	var result fuse.ReadResult
	st := patiently(cancel, in.Pid, func(cancel <-chan struct{}) (st fuse.Status) {
		result, st = f.Read(cancel, in, buf)
		return st
	})
	return result, st
}

func (r *router) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return 0, stale
	}
	defer done()
	return f.Write(cancel, in, data)
}

func (r *router) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return fuse.OK
	}
	defer done()
	return f.Flush(cancel, in)
}

func (r *router) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	if f, done := r.at(&in.NodeId); f != nil {
		defer done()
		f.Release(cancel, in)
	}
}

func (r *router) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return stale
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Fsync(cancel, in) })
}

func (r *router) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return stale
	}
	defer done()
	return f.Fallocate(cancel, in)
}

func (r *router) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, o *fuse.LseekOut) fuse.Status {
	f, done := r.at(&in.NodeId)
	if f == nil {
		return stale
	}
	defer done()
	return patiently(cancel, in.Pid, func(cancel <-chan struct{}) fuse.Status { return f.Lseek(cancel, in, o) })
}

func (r *router) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	if (in.NodeId^in.NodeIdOut)&^idMask != 0 {
		return 0, fuse.EXDEV
	}
	f, done := r.at(&in.NodeId)
	if f == nil {
		return 0, stale
	}
	defer done()
	in.NodeIdOut &= idMask
	return f.CopyFileRange(cancel, in)
}

// Extended attributes

func (r *router) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	f, done := r.at(&h.NodeId)
	if f == nil {
		return 0, stale
	}
	defer done()
	return f.GetXAttr(cancel, h, name, dest)
}

func (r *router) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	f, done := r.at(&h.NodeId)
	if f == nil {
		return 0, stale
	}
	defer done()
	return f.ListXAttr(cancel, h, dest)
}

func (r *router) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	f, done, st := r.to(&in.NodeId, api.PermWrite)
	if f == nil {
		return st
	}
	defer done()
	return f.SetXAttr(cancel, in, name, data)
}

func (r *router) RemoveXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	f, done, st := r.to(&h.NodeId, api.PermWrite)
	if f == nil {
		return st
	}
	defer done()
	return f.RemoveXAttr(cancel, h, name)
}
