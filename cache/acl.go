package cache

import (
	"encoding/binary"

	"satchel/api"
)

// POSIX access control lists. The kernel keeps the rules of access (FUSE_POSIX_ACL); what is
// left to a file system is here: an ACL and the mode are two views of one thing, and a
// directory's default ACL passes to what is made in it (POSIX 1003.1e draft 17, 23.1).
//
// They are stored as the extended attributes that programs see. Their ids are numbers, on every
// machine the same.
const (
	AccessACL  = "system.posix_acl_access"
	DefaultACL = "system.posix_acl_default"
)

func isACL(name string) bool { return name == AccessACL || name == DefaultACL }

// The format: a version, then entries of 8 bytes: tag, permissions, id (linux/posix_acl_xattr.h).
const (
	aclHeader = 4
	aclEntry  = 8

	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20
)

// acl is one in that format, known to be whole.
type acl []byte

// parseACL checks the form; the kernel has checked the meaning.
func parseACL(b []byte) (acl, error) {
	if len(b) < aclHeader || (len(b)-aclHeader)%aclEntry != 0 || binary.LittleEndian.Uint32(b) != 2 {
		return nil, api.Errorf(api.Invalid, "not an access control list of version 2")
	}
	return acl(b), nil
}

// perm finds the permissions of the first entry of a kind; nil when there is none.
func (a acl) perm(tag uint16) []byte {
	for e := aclHeader; e+aclEntry <= len(a); e += aclEntry {
		if binary.LittleEndian.Uint16(a[e:]) == tag {
			return a[e+2 : e+4]
		}
	}
	return nil
}

// classes are the permissions that the three classes of the mode show: the
// group's is the mask where there is one. An ACL may lack one only if it is damaged.
func (a acl) classes() (c [3][]byte) {
	c = [3][]byte{a.perm(aclUserObj), a.perm(aclMask), a.perm(aclOther)}
	if c[1] == nil {
		c[1] = a.perm(aclGroupObj)
	}
	return c
}

// mode is a mode's permissions as the ACL has them.
func (a acl) mode() (m uint32) {
	for i, p := range a.classes() {
		if p != nil {
			m |= uint32(p[0]&7) << (6 - 3*i)
		}
	}
	return m
}

// minimal tells whether the ACL says no more than a mode.
func (a acl) minimal() bool { return len(a) <= aclHeader+3*aclEntry && a.perm(aclMask) == nil }

// chmodACL is an access ACL after chmod(2).
func chmodACL(b []byte, mode uint32) []byte {
	a := acl(append([]byte(nil), b...))
	for i, p := range a.classes() {
		if p != nil {
			p[0] = byte(mode>>(6-3*i)) & 7
		}
	}
	return a
}

// SetACL sets one of the two ACLs, or removes it (nil). killSgid says that who sets
// it may not keep setgid.
func (d *Drive) SetACL(fid uint64, name string, value []byte, killSgid bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return err
	}
	if n.stale {
		return ErrStale
	}
	mode := n.mode
	if value != nil {
		a, err := parseACL(value)
		switch {
		case err != nil:
			return err
		case name == DefaultACL && !n.isDir():
			return api.Errorf(api.Permission, "only directories have a default ACL")
		case name == AccessACL:
			mode = mode&^0o777 | a.mode()
			if killSgid {
				mode &^= 0o2000
			}
			if a.minimal() {
				value = nil // the mode says it all
			}
		}
		if len(a) == aclHeader {
			value, mode = nil, n.mode
		}
	}
	if _, has := n.xattrs[name]; !has && value == nil && mode == n.mode {
		return nil
	}
	return d.storeXattr(n, name, value, mode)
}

// inherit gives a new node its permissions: what the program asked for, less either what
// the parent's default ACL withholds or the umask. Locked.
func (n *node) inherit(p *node, umask uint32) {
	if n.typ == 'l' {
		return
	}
	b := p.xattrs[DefaultACL]
	if b == nil {
		n.mode &^= umask & 0o777
		return
	}
	a := acl(append([]byte(nil), b...))
	for i, c := range a.classes() {
		if c != nil {
			shift := 6 - 3*i
			c[0] &= byte(n.mode>>shift) & 7
			n.mode = n.mode&^(7<<shift) | uint32(c[0])<<shift
		}
	}
	n.xattrs = map[string][]byte{}
	if !a.minimal() {
		n.xattrs[AccessACL] = a
	}
	if n.isDir() {
		n.xattrs[DefaultACL] = b
	}
}
