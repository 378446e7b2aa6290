package fusefs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"satchel/cache"
)

func (f *filesystem) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, o *fuse.CreateOut) fuse.Status {
	c := cred(&in.InHeader, in.Umask)
	c.KillSuid = in.OpenFlags&fuse.OPEN_KILL_SUIDGID != 0
	a, h, err := f.d.Create(in.NodeId, name, in.Mode, in.Flags, c, cancel)
	if err != nil {
		return status(err)
	}
	f.toEntry(&a, &o.EntryOut)
	opened(h, &o.OpenOut)
	return fuse.OK
}

func (f *filesystem) Open(cancel <-chan struct{}, in *fuse.OpenIn, o *fuse.OpenOut) fuse.Status {
	c := cred(&in.InHeader, 0)
	c.KillSuid = in.Mode&fuse.OPEN_KILL_SUIDGID != 0
	h, err := f.d.Open(in.NodeId, in.Flags, c, cancel)
	if err != nil {
		return status(err)
	}
	opened(h, o)
	return fuse.OK
}

// opened tells the kernel how to treat a handle. No close waits for us (FLUSH): content is
// recorded as changed from its opening on, so a sync that comes before the RELEASE finds it.
func opened(h cache.Opened, o *fuse.OpenOut) {
	o.OpenFlags |= fuse.FOPEN_NOFLUSH
	switch {
	case h.Backing > 0:
		o.OpenFlags |= fuse.FOPEN_PASSTHROUGH
		o.BackingID = h.Backing
	case h.Keep:
		o.OpenFlags |= fuse.FOPEN_KEEP_CACHE
	}
}

func (f *filesystem) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	fd, done, err := f.d.Read(in.NodeId, int64(in.Offset), len(buf), cancel)
	if err != nil {
		return nil, status(err)
	}
	if in.Flags&noAtime == 0 {
		f.d.Accessed(in.NodeId)
	}
	return &reading{fuse.ReadResultFd(uintptr(fd), int64(in.Offset), len(buf)), uintptr(fd), int64(in.Offset), done}, fuse.OK
}

// reading is the answer to a READ, with what is to be done when the kernel has it.
type reading struct {
	fuse.ReadResult
	fd   uintptr
	off  int64
	done func()
}

// Seekable lets the kernel have it without a copy in the daemon, as that of go-fuse does.
func (r *reading) Seekable() (fd uintptr, off int64, size int) { return r.fd, r.off, r.Size() }

func (r *reading) Done() {
	r.ReadResult.Done()
	r.done()
}

func (f *filesystem) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	c := cred(&in.InHeader, 0)
	c.KillSuid = in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0
	write := f.d.Write
	if in.Flags&unix.O_APPEND != 0 {
		write = f.d.Append
	}
	n, err := write(in.NodeId, int64(in.Offset), data, c)
	return uint32(n), status(err)
}

// Flush comes only from a kernel that collects writes, or an old one. The former sends what it has collected before it asks,
// and no close need wait for the answer.
func (f *filesystem) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	if f.Writeback() {
		return neverAsk
	}
	return status(f.d.Flush(in.NodeId))
}

func (f *filesystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	f.d.Release(in.NodeId, in.Flags)
}

func (f *filesystem) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	const dataOnly = 1 // FUSE_FSYNC_FDATASYNC
	return status(f.d.Fsync(in.NodeId, in.FsyncFlags&dataOnly != 0, cancel))
}

func (f *filesystem) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	return status(f.d.Fallocate(in.NodeId, int64(in.Offset), int64(in.Length), in.Mode, cancel))
}

func (f *filesystem) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, o *fuse.LseekOut) fuse.Status {
	off, err := f.d.Seek(in.NodeId, int64(in.Offset), int(in.Whence), cancel)
	o.Offset = uint64(off)
	return status(err)
}

func (f *filesystem) Tmpfile(_ <-chan struct{}, in *fuse.CreateIn, o *fuse.CreateOut) fuse.Status {
	a, h, err := f.d.Tmpfile(in.NodeId, in.Mode, in.Flags, cred(&in.InHeader, in.Umask))
	if err != nil {
		return status(err)
	}
	f.toEntry(&a, &o.EntryOut)
	opened(h, &o.OpenOut)
	return fuse.OK
}

func (f *filesystem) CopyFileRange(_ <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	n, err := f.d.Copy(in.NodeId, int64(in.OffIn), in.NodeIdOut, int64(in.OffOut), in.Len)
	return uint32(n), status(err)
}
