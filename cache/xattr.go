package cache

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// MaxXattrs is how many bytes of names and values a node may have. One value may have
// 64 KiB, as the kernel says (XATTR_SIZE_MAX).
const MaxXattrs = 128 << 10

// capability is the attribute that gives a program capabilities (capabilities(7)).
const capability = "security.capability"

// The namespaces of xattr(7) that files have. The kernel has checked who may use which.
var namespaces = [...]string{"user.", "trusted.", "security."}

func knownXattr(name string) bool {
	for _, space := range namespaces {
		if len(name) > len(space) && strings.HasPrefix(name, space) {
			return true
		}
	}
	return isACL(name)
}

// noXattr is what is wrong with a name that is not known.
func noXattr(name string) error {
	if slices.Contains(namespaces[:], name) {
		return api.Errorf(api.Invalid, "an attribute needs a name after %q", name)
	}
	return unix.EOPNOTSUPP
}

// Getxattr returns an extended attribute's value, or ErrNoAttr.
func (d *Drive) Getxattr(fid uint64, name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return nil, err
	}
	if v, ok := n.xattrs[name]; ok {
		return v, nil
	}
	if !knownXattr(name) {
		return nil, noXattr(name)
	}
	return nil, ErrNoAttr
}

// Listxattr returns the names of a node's extended attributes; those of the namespace
// trusted only to a privileged caller.
func (d *Drive) Listxattr(fid uint64, trusted bool) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(n.xattrs))
	for k := range n.xattrs {
		if trusted || !strings.HasPrefix(k, "trusted.") {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Setxattr sets an extended attribute; create and replace are XATTR_CREATE
// and XATTR_REPLACE. A nil value removes it. For ACLs there is SetACL.
func (d *Drive) Setxattr(fid uint64, name string, value []byte, create, replace bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return err
	}
	_, has := n.xattrs[name]
	switch {
	case n.stale:
		return ErrStale
	case !knownXattr(name):
		return noXattr(name)
	case has && create:
		return errExists
	case !has && (replace || value == nil):
		return ErrNoAttr
	}
	return d.storeXattr(n, name, value, n.mode)
}

// storeXattr puts an attribute into a node's record and the journal, and with it
// the mode; locked.
func (d *Drive) storeXattr(n *node, name string, value []byte, mode uint32) error {
	if value != nil && n.xattrBytes(name)+len(name)+len(value) > MaxXattrs {
		return errFull // as ext4 says
	}
	a := api.Attr{Xattrs: n.putXattr(name, value)}
	if mode != n.mode {
		n.mode = mode
		a.Mode = &n.mode
	}
	t, tm := d.begin(), now()
	n.ctime = tm
	t.node(n)
	d.logAttr(t, n, a, tm)
	return t.commit()
}

// xattrBytes is what the attributes take up without one of them.
func (n *node) xattrBytes(but string) (total int) {
	for k, v := range n.xattrs {
		if k != but {
			total += len(k) + len(v)
		}
	}
	return total
}

// putXattr changes one attribute (nil: removes it) and returns the change as a mutation
// has it. The map is replaced: the old one may be on its way to the server.
func (n *node) putXattr(name string, value []byte) map[string][]byte {
	x := make(map[string][]byte, len(n.xattrs)+1)
	for k, v := range n.xattrs {
		if k != name {
			x[k] = v
		}
	}
	if value != nil {
		value = append([]byte{}, value...)
		x[name] = value
	}
	n.xattrs = x
	return map[string][]byte{name: value}
}

// dropCapability takes the capabilities from a file and returns the change as a mutation has it, nil if there were none. That is ours to do
// (FUSE_HANDLE_KILLPRIV_V2): the kernel does it for attributes that it has heard of, and those may have come from another device.
func (n *node) dropCapability() map[string][]byte {
	if n.xattrs[capability] == nil {
		return nil
	}
	return n.putXattr(capability, nil)
}
