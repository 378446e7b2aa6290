package fusefs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"satchel/cache"
)

func (f *filesystem) GetXAttr(_ <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if f.noXattr {
		return 0, neverAsk
	}
	v, err := f.d.Getxattr(h.NodeId, keptXattr(name))
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
	names, err := f.d.Listxattr(h.NodeId, h.Uid == 0)
	if err != nil {
		return 0, status(err)
	}
	var b []byte
	for _, n := range names {
		if shown, ok := shownXattr(n); ok {
			b = append(append(b, shown...), 0)
		}
	}
	return fill(dest, b)
}

func (f *filesystem) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	if f.noXattr {
		return neverAsk
	}
	if data == nil {
		data = []byte{}
	}
	if isACL(name) {
		return status(f.d.SetACL(in.NodeId, name, data, killsSgid(in)))
	}
	return status(f.d.Setxattr(in.NodeId, keptXattr(name), data, in.Flags&unix.XATTR_CREATE != 0, in.Flags&unix.XATTR_REPLACE != 0))
}

func (f *filesystem) RemoveXAttr(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if f.noXattr {
		return neverAsk
	}
	if isACL(name) {
		return status(f.d.SetACL(h.NodeId, name, nil, false))
	}
	return status(f.d.Setxattr(h.NodeId, keptXattr(name), nil, false, false))
}

func isACL(name string) bool { return name == cache.AccessACL || name == cache.DefaultACL }
