package fusefs

import (
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/cache"
	"satchel/fusefs/backing"
)

// filesystem answers the kernel's requests. It has no state but the drive.
type filesystem struct {
	fuse.RawFileSystem // answers what is not implemented
	d                  *cache.Drive
	log                *slog.Logger
	readOnly           bool
	noXattr            bool
	srv                *fuse.Server
	pass               atomic.Bool     // passthrough is to be had
	helper             *backing.Client // registers backing files for those who are not root; nil = we do
}

var _ fuse.RawFileSystem = (*filesystem)(nil)

func (f *filesystem) String() string { return "satchel" }

func setTime(sec *uint64, nsec *uint32, ns int64) {
	s, n := ns/1e9, ns%1e9
	if n < 0 {
		s, n = s-1, n+1e9
	}
	*sec, *nsec = uint64(s), uint32(n)
}

func toAttr(a *cache.Attr, o *fuse.Attr) {
	o.Ino, o.Mode, o.Nlink, o.Uid, o.Gid, o.Rdev = a.Ino, a.Mode, a.Nlink, a.UID, a.GID, a.Rdev
	o.Size, o.Blocks, o.Blksize = uint64(a.Size), uint64(a.Blocks), 4096
	setTime(&o.Atime, &o.Atimensec, a.Atime)
	setTime(&o.Mtime, &o.Mtimensec, a.Mtime)
	setTime(&o.Ctime, &o.Ctimensec, a.Ctime)
}

func toEntry(a *cache.Attr, o *fuse.EntryOut) {
	o.NodeId, o.Generation = a.FID, 1
	o.SetEntryTimeout(a.EntryValid)
	o.SetAttrTimeout(a.Valid)
	toAttr(a, &o.Attr)
}

func cred(h *fuse.InHeader) cache.Cred { return cache.Cred{UID: h.Uid, GID: h.Gid} }

func (f *filesystem) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, o *fuse.EntryOut) fuse.Status {
	a, err := f.d.Lookup(h.NodeId, name, cancel)
	if err == nil {
		toEntry(&a, o)
		return fuse.OK
	}
	st := status(err)
	if st == fuse.ENOENT && a.EntryValid > 0 { // node id 0: the kernel remembers that there is none
		o.NodeId = 0
		o.SetEntryTimeout(a.EntryValid)
		return fuse.OK
	}
	return st
}

func (f *filesystem) Forget(nodeid, nlookup uint64) { f.d.Forget(nodeid, nlookup) }

func (f *filesystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, o *fuse.AttrOut) fuse.Status {
	a, err := f.d.Getattr(in.NodeId)
	if err != nil {
		return status(err)
	}
	toAttr(&a, &o.Attr)
	o.SetTimeout(a.Valid)
	return fuse.OK
}

// killSuid is FATTR_KILL_SUIDGID: a truncate by somebody who may not keep the bits.
const killSuid = 1 << 11

func (f *filesystem) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, o *fuse.AttrOut) fuse.Status {
	var c cache.Change
	if in.Valid&fuse.FATTR_MODE != 0 {
		c.Mode = &in.Mode
	}
	if in.Valid&fuse.FATTR_UID != 0 {
		c.UID = &in.Uid
	}
	if in.Valid&fuse.FATTR_GID != 0 {
		c.GID = &in.Gid
	}
	if in.Valid&fuse.FATTR_SIZE != 0 {
		size := int64(in.Size)
		c.Size = &size
		c.KillSuid = in.Valid&killSuid != 0
	}
	now := time.Now().UnixNano()
	if in.Valid&fuse.FATTR_ATIME_NOW != 0 {
		c.Atime = &now
	} else if in.Valid&fuse.FATTR_ATIME != 0 {
		t := int64(in.Atime)*1e9 + int64(in.Atimensec)
		c.Atime = &t
	}
	if in.Valid&fuse.FATTR_MTIME_NOW != 0 {
		c.Mtime = &now
	} else if in.Valid&fuse.FATTR_MTIME != 0 {
		t := int64(in.Mtime)*1e9 + int64(in.Mtimensec)
		c.Mtime = &t
	}
	a, err := f.d.Setattr(in.NodeId, c, cancel)
	if err != nil {
		return status(err)
	}
	toAttr(&a, &o.Attr)
	o.SetTimeout(a.Valid)
	return fuse.OK
}

func (f *filesystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, o *fuse.StatfsOut) fuse.Status {
	s, err := f.d.Statfs()
	if err != nil {
		return status(err)
	}
	const block = 4096
	o.Bsize, o.Frsize, o.NameLen = block, block, 255
	o.Blocks, o.Bfree, o.Bavail = s.Total/block, s.Free/block, s.Free/block
	o.Ffree = s.Free / block
	o.Files = s.Files + o.Ffree
	return fuse.OK
}

// Access is never asked with default_permissions; whoever asks may.
func (f *filesystem) Access(_ <-chan struct{}, _ *fuse.AccessIn) fuse.Status { return fuse.OK }

func (f *filesystem) Ioctl(_ <-chan struct{}, _ *fuse.IoctlIn, _ []byte, _ *fuse.IoctlOut, _ []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}

// Extended attributes

func (f *filesystem) GetXAttr(_ <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if f.noXattr {
		return 0, neverAsk
	}
	v, err := f.d.Getxattr(h.NodeId, name)
	if err != nil {
		return 0, status(err)
	}
	return fill(dest, v)
}

// fill answers with a value, or with its size when there is no room.
func fill(dest, v []byte) (uint32, fuse.Status) {
	if len(v) > len(dest) {
		return uint32(len(v)), fuse.ERANGE
	}
	return uint32(copy(dest, v)), fuse.OK
}

func (f *filesystem) ListXAttr(_ <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	if f.noXattr {
		return 0, neverAsk
	}
	names, err := f.d.Listxattr(h.NodeId)
	if err != nil {
		return 0, status(err)
	}
	var b []byte
	for _, n := range names {
		b = append(append(b, n...), 0)
	}
	return fill(dest, b)
}

func (f *filesystem) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	if f.noXattr {
		return neverAsk
	}
	const create, replace = 1, 2 // XATTR_CREATE, XATTR_REPLACE
	if data == nil {
		data = []byte{}
	}
	return status(f.d.Setxattr(in.NodeId, name, data, in.Flags&create != 0, in.Flags&replace != 0))
}

func (f *filesystem) RemoveXAttr(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if f.noXattr {
		return neverAsk
	}
	return status(f.d.Setxattr(h.NodeId, name, nil, false, false))
}
