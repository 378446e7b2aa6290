package fusefs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/cache"
)

// made answers with a new entry.
func (f *filesystem) made(a cache.Attr, err error, o *fuse.EntryOut) fuse.Status {
	if err != nil {
		return status(err)
	}
	f.toEntry(&a, o)
	return fuse.OK
}

func (f *filesystem) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, o *fuse.EntryOut) fuse.Status {
	a, err := f.d.Mknod(in.NodeId, name, in.Mode, in.Rdev, cred(&in.InHeader, in.Umask), cancel)
	return f.made(a, err, o)
}

func (f *filesystem) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, o *fuse.EntryOut) fuse.Status {
	a, err := f.d.Mknod(in.NodeId, name, in.Mode&07777|syscall.S_IFDIR, 0, cred(&in.InHeader, in.Umask), cancel)
	return f.made(a, err, o)
}

func (f *filesystem) Symlink(cancel <-chan struct{}, h *fuse.InHeader, target, name string, o *fuse.EntryOut) fuse.Status {
	a, err := f.d.Symlink(h.NodeId, name, target, cred(h, 0), cancel)
	return f.made(a, err, o)
}

func (f *filesystem) Readlink(_ <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	t, err := f.d.Readlink(h.NodeId)
	return []byte(t), status(err)
}

func (f *filesystem) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, o *fuse.EntryOut) fuse.Status {
	a, err := f.d.Link(in.Oldnodeid, in.NodeId, name, cancel)
	return f.made(a, err, o)
}

func (f *filesystem) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return status(f.d.Unlink(h.NodeId, name, cancel))
}

func (f *filesystem) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return status(f.d.Rmdir(h.NodeId, name, cancel))
}

func (f *filesystem) Rename(cancel <-chan struct{}, in *fuse.RenameIn, name, newName string) fuse.Status {
	return status(f.d.Rename(in.NodeId, name, in.Newdir, newName, in.Flags, cancel))
}

// OpenDir: a directory needs no handle.
func (f *filesystem) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status {
	return neverAsk
}

func (f *filesystem) ReleaseDir(*fuse.ReleaseIn) {}

func (f *filesystem) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, l *fuse.DirEntryList) fuse.Status {
	return status(f.d.ReadDir(in.NodeId, in.Offset, cancel, func(e cache.Dirent) bool {
		return l.AddDirEntry(fuse.DirEntry{Name: e.Name, Ino: e.Ino, Mode: e.Mode, Off: e.Off})
	}, nil))
}

func (f *filesystem) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, l *fuse.DirEntryList) fuse.Status {
	var o *fuse.EntryOut
	var unseen []uint64 // in whose places the kernel hears of another drive's root
	err := f.d.ReadDir(in.NodeId, in.Offset, cancel, func(e cache.Dirent) bool {
		o = l.AddDirLookupEntry(fuse.DirEntry{Name: e.Name, Ino: e.Ino, Mode: e.Mode, Off: e.Off})
		return o != nil
	}, func(a cache.Attr) {
		if b := f.boundAt(a.Ino); b != nil && b.enter(&a, o) {
			unseen = append(unseen, a.FID)
			return
		}
		f.toEntry(&a, o)
	})
	for _, id := range unseen {
		f.d.Forget(id, 1)
	}
	return status(err)
}

func (f *filesystem) FsyncDir(cancel <-chan struct{}, _ *fuse.FsyncIn) fuse.Status {
	return status(f.d.SyncDir(cancel))
}
