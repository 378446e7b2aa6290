package fusefs

import (
	"log/slog"
	"math"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"satchel/cache"
	"satchel/fusefs/backing"
)

// filesystem answers the kernel's requests about one drive. It has no state but that.
type filesystem struct {
	fuse.RawFileSystem // answers what is not implemented
	d                  *cache.Drive
	log                *slog.Logger
	noXattr            bool
	srv                *fuse.Server
	dir                string          // where it is mounted
	mounts             mountTable      // what else is
	pass               atomic.Bool     // passthrough is to be had now
	never              atomic.Bool     // it is not, whatever comes
	writeback          atomic.Bool     // the kernel collects writes
	gone               atomic.Bool     // it is mounted no more
	helper             *backing.Client // registers backing files for those who are not root; nil = we do

	shows atomic.Pointer[boundDrives]     // what is shown in directories of the mounted drive
	bars  atomic.Pointer[map[uint64]bool] // the st_ino of its directories in which nothing may be made

	home  *filesystem // of a bound drive: the mounted one
	tag   uint64      // the upper bits of its node ids; 0 = the mounted drive
	bound *bound      // nil for the mounted drive
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
	setBirth(o, a.Btime)
}

// statxMask is what is answered of a file: all of STATX_BASIC_STATS and STATX_BTIME (statx(2)).
const statxMask = 0x7ff | 0x800

func toStatx(a *cache.Attr, o *fuse.StatxOut) {
	o.Mask = statxMask
	o.Ino, o.Mode, o.Nlink, o.Uid, o.Gid = a.Ino, uint16(a.Mode), a.Nlink, a.UID, a.GID
	o.RdevMajor, o.RdevMinor = unix.Major(uint64(a.Rdev)), unix.Minor(uint64(a.Rdev))
	o.Size, o.Blocks, o.Blksize = uint64(a.Size), uint64(a.Blocks), 4096
	setTime(&o.Atime.Sec, &o.Atime.Nsec, a.Atime)
	setTime(&o.Btime.Sec, &o.Btime.Nsec, a.Btime)
	setTime(&o.Ctime.Sec, &o.Ctime.Nsec, a.Ctime)
	setTime(&o.Mtime.Sec, &o.Mtime.Nsec, a.Mtime)
	o.AttrValid, o.AttrValidNsec = uint64(a.Valid/time.Second), uint32(a.Valid%time.Second)
}

// toEntry describes a node of the drive.
func (f *filesystem) toEntry(a *cache.Attr, o *fuse.EntryOut) {
	o.NodeId, o.Generation = a.FID|f.tag, 1
	o.SetEntryTimeout(a.EntryValid)
	o.SetAttrTimeout(a.Valid)
	f.known(a.FID, a)
	toAttr(a, &o.Attr)
}

// known gives the root of a bound drive the number of the directory that it is shown in.
func (f *filesystem) known(id uint64, a *cache.Attr) {
	if f.bound != nil && id == rootID {
		a.Ino = f.bound.dir
	}
}

func cred(h *fuse.InHeader, umask uint32) cache.Cred {
	return cache.Cred{UID: h.Uid, GID: h.Gid, PID: h.Pid, Umask: umask}
}

func (f *filesystem) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, o *fuse.EntryOut) fuse.Status {
	a, err := f.d.Lookup(h.NodeId, name, cancel)
	if err == nil {
		if b := f.boundAt(a.Ino); b != nil && b.enter(&a, o) {
			f.d.Forget(a.FID, 1) // the kernel hears of the other's root instead
			return fuse.OK
		}
		f.toEntry(&a, o)
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
	f.known(in.NodeId, &a)
	toAttr(&a, &o.Attr)
	o.SetTimeout(a.Valid)
	return fuse.OK
}

// killSuid is FATTR_KILL_SUIDGID: a truncate by somebody who may not keep the bits.
const killSuid = 1 << 11

// setsSomething are the bits of SetAttrIn.Valid that change an attribute. A request with none of
// them is what is left of "clear setuid and setgid": before the first write by somebody who may not
// keep them, and at chown(file, -1, -1) (fuse_setattr in fs/fuse/dir.c).
const setsSomething = fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID | fuse.FATTR_SIZE |
	fuse.FATTR_ATIME | fuse.FATTR_MTIME | fuse.FATTR_ATIME_NOW | fuse.FATTR_MTIME_NOW | fuse.FATTR_CTIME

// maxSec is what fits into nanoseconds of 64 bits (the year 2262). Times beyond are cut, as ext4
// does beyond 2446.
const maxSec = math.MaxInt64/int64(time.Second) - 1

func fromTime(sec uint64, nsec uint32) *int64 {
	t := min(max(int64(sec), -maxSec), maxSec)*1e9 + int64(nsec)
	return &t
}

func (f *filesystem) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, o *fuse.AttrOut) fuse.Status {
	c := cache.Change{By: cred(&in.InHeader, 0)}
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
	}
	c.By.KillSuid = in.Valid&killSuid != 0 || in.Valid&setsSomething == 0
	now := time.Now().UnixNano()
	if in.Valid&fuse.FATTR_ATIME_NOW != 0 {
		c.Atime = &now
	} else if in.Valid&fuse.FATTR_ATIME != 0 {
		c.Atime = fromTime(in.Atime, in.Atimensec)
	}
	if in.Valid&fuse.FATTR_MTIME_NOW != 0 {
		c.Mtime = &now
	} else if in.Valid&fuse.FATTR_MTIME != 0 {
		c.Mtime = fromTime(in.Mtime, in.Mtimensec)
	}
	a, err := f.d.Setattr(in.NodeId, c, cancel)
	if err != nil {
		return status(err)
	}
	f.known(in.NodeId, &a)
	toAttr(&a, &o.Attr)
	o.SetTimeout(a.Valid)
	return fuse.OK
}

func (f *filesystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, o *fuse.StatfsOut) fuse.Status {
	s, err := f.d.Statfs()
	if err != nil {
		return status(err)
	}
	toStatfs(s, o)
	return fuse.OK
}

// toStatfs counts in blocks so large that no number is more than a 32-bit program can take: it would get EOVERFLOW.
func toStatfs(s cache.Space, o *fuse.StatfsOut) {
	block := uint64(4096)
	for max(s.Total, s.Free)/block > math.MaxUint32 {
		block *= 2
	}
	o.Bsize, o.Frsize, o.NameLen = uint32(block), uint32(block), 255
	o.Blocks, o.Bfree, o.Bavail = s.Total/block, s.Free/block, s.Free/block
	files := min(s.Files, math.MaxUint32)
	o.Ffree = min(s.Free/4096, math.MaxUint32-files)
	o.Files = files + o.Ffree
}

// Access is asked only without default_permissions, that is by root in a mount of his own. He may
// do all but execute what nobody may.
func (f *filesystem) Access(_ <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	if in.Mask&unix.X_OK == 0 {
		return fuse.OK
	}
	a, err := f.d.Getattr(in.NodeId)
	if err == nil && a.Mode&unix.S_IFMT == unix.S_IFREG && a.Mode&0o111 == 0 {
		return fuse.EACCES
	}
	return status(err)
}

func (f *filesystem) Ioctl(_ <-chan struct{}, _ *fuse.IoctlIn, _ []byte, _ *fuse.IoctlOut, _ []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}

// Statx is asked by those who want the time of birth.
func (f *filesystem) Statx(_ <-chan struct{}, in *fuse.StatxIn, o *fuse.StatxOut) fuse.Status {
	a, err := f.d.Getattr(in.NodeId)
	if err != nil {
		return status(err)
	}
	f.known(in.NodeId, &a)
	toStatx(&a, o)
	return fuse.OK
}
