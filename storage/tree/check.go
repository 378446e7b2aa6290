package tree

import (
	"crypto/sha256"
	"slices"
	"strings"
	"unicode/utf8"

	"satchel/api"
)

// Limits of Linux (limits.h); a node's attributes together may have maxXattrs bytes.
const (
	maxXattrName  = 255
	maxXattrValue = 64 << 10
	maxXattrs     = 256 << 10
	maxUID        = 1<<32 - 2 // the last is the kernel's "unchanged"
)

var emptySum = api.Hash(sha256.Sum256(nil))

// check tells what is wrong with a mutation by itself and with its version.
func (s *Set) check(m api.Mutation) error {
	if m.Node.IsZero() {
		return api.Errorf(api.Invalid, "the mutation names no node")
	}
	if m.Op != api.OpSetattr {
		if m.Node == s.drive.Root {
			return api.Errorf(api.Invalid, "the root directory can't be moved or removed")
		}
		if err := checkEntry(m.Parent, m.Name); err != nil {
			return err
		}
	}
	if err := checkAttr(m.Attr); err != nil {
		return err
	}
	switch m.Op {
	case api.OpCreate:
		return s.checkCreate(m)
	case api.OpWrite:
		return s.checkVersion(m.Version)
	case api.OpRename:
		return checkEntry(m.ToParent, m.ToName)
	case api.OpExchange:
		if m.Replaces.IsZero() || m.Replaces == s.drive.Root {
			return api.Errorf(api.Invalid, "an exchange needs two entries")
		}
		return checkEntry(m.ToParent, m.ToName)
	case api.OpSetattr:
		if m.Attr == nil {
			return api.Errorf(api.Invalid, "setattr without attributes")
		}
	case api.OpLink, api.OpUnlink, api.OpRmdir:
	default:
		return api.Errorf(api.Invalid, "the operation %q is not known", m.Op)
	}
	return nil
}

func checkEntry(parent api.ID, name api.Name) error {
	if parent.IsZero() {
		return api.Errorf(api.Invalid, "the mutation names no directory")
	}
	return name.Check()
}

func (s *Set) checkCreate(m api.Mutation) error {
	if m.Attr == nil {
		return api.Errorf(api.Invalid, "create without a type")
	}
	a := m.Attr
	if (m.Version != nil) != (a.Type == api.File) {
		return api.Errorf(api.Invalid, "a regular file is created with a version, and nothing else is")
	}
	if (a.Target != "") != (a.Type == api.Symlink) {
		return api.Errorf(api.Invalid, "a symlink is created with a target, and nothing else is")
	}
	switch a.Type {
	case api.File:
		return s.checkVersion(m.Version)
	case api.Symlink:
		if len(a.Target) > api.MaxTarget {
			return api.Errorf(api.NameTooLong, "a symlink's target has at most %d bytes, not %d", api.MaxTarget, len(a.Target))
		}
		if strings.ContainsRune(string(a.Target), 0) {
			return api.Errorf(api.Invalid, "a symlink's target can't have a NUL")
		}
	case api.Directory, api.FIFO, api.Socket, api.BlockDevice, api.CharDevice:
	default:
		return api.Errorf(api.Invalid, "the type %q is not known", a.Type)
	}
	return nil
}

// checkVersion tells whether a version adds up: its size is its chunks', they
// are as long as those that are stored, and its sum is right where that can be
// seen. The id must be new, or of the same content.
func (s *Set) checkVersion(v *api.Version) error {
	if v == nil || v.ID.IsZero() || v.SHA256.IsZero() {
		return api.Errorf(api.Invalid, "a version needs an id and a SHA-256")
	}
	var size int64
	for _, c := range v.Chunks {
		if c.Size == 0 || s.env.Chunks[c.Hash] != c.Size {
			return api.Errorf(api.Invalid, "the chunk %s does not have %d bytes", c.Hash, c.Size)
		}
		size += int64(c.Size)
	}
	switch {
	case size != v.Size:
		return api.Errorf(api.Invalid, "the version claims %d bytes, its chunks have %d", v.Size, size)
	case len(v.Chunks) == 0 && v.SHA256 != emptySum,
		len(v.Chunks) == 1 && v.SHA256 != v.Chunks[0].Hash:
		return api.Errorf(api.Invalid, "the version's SHA-256 is not that of its chunks")
	}
	if old := s.version(v.ID); old != nil && (old.SHA256 != v.SHA256 || old.Size != v.Size) {
		return api.Errorf(api.Invalid, "the version %s exists with other content", v.ID)
	}
	return nil
}

// checkBound refuses what would come where a bind shows another directory.
func (s *Set) checkBound(m api.Mutation) error {
	into := m.Parent
	switch m.Op {
	case api.OpCreate, api.OpLink, api.OpWrite:
	case api.OpRename:
		into = m.ToParent
	default:
		return nil
	}
	if dir := s.node(s.resolve(into)); s.env.Bare && dir != nil && dir.Bound {
		return api.Errorf(api.Permission, "another directory is shown in this one: what is put into it here would not be seen")
	}
	return nil
}

func checkAttr(a *api.Attr) error {
	if a == nil {
		return nil
	}
	if a.Mode != nil && *a.Mode&^0o7777 != 0 {
		return api.Errorf(api.Invalid, "the mode %o has bits that are not permissions", *a.Mode)
	}
	for _, id := range []*int64{a.UID, a.GID} {
		if id != nil && (*id < api.Self || *id > maxUID) {
			return api.Errorf(api.Invalid, "the owner %d is out of range", *id)
		}
	}
	total := 0
	for name, value := range a.Xattrs {
		if name == "" || len(name) > maxXattrName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			return api.Errorf(api.Invalid, "%.40q can't be an extended attribute's name", name)
		}
		if len(value) > maxXattrValue {
			return api.Errorf(api.TooLarge, "an extended attribute has at most %d bytes, not %d", maxXattrValue, len(value))
		}
		total += len(name) + len(value)
	}
	if total > maxXattrs {
		return api.Errorf(api.TooLarge, "the extended attributes have more than %d bytes together", maxXattrs)
	}
	return nil
}

// room refuses what would exceed the owner's quota.
func (s *Set) room(bytes int64) error {
	if q := s.drive.Quota; q > 0 && bytes > 0 && s.drive.Bytes+bytes > q {
		return api.Errorf(api.Quota, "the quota of %d bytes is used up", q)
	}
	return nil
}

// set applies the attributes that are present.
func (n *Inode) set(a *api.Attr) {
	if a == nil {
		return
	}
	if a.Mode != nil {
		n.Mode = *a.Mode
	}
	if a.UID != nil {
		n.UID = *a.UID
	}
	if a.GID != nil {
		n.GID = *a.GID
	}
	if a.Mtime != nil {
		n.Mtime = *a.Mtime
	}
	if len(a.Xattrs) > 0 {
		n.Xattrs = merged(n.Xattrs, a.Xattrs)
	}
}

// merged is a new map: rows as loaded are never changed.
func merged(old, changes map[string][]byte) map[string][]byte {
	m := make(map[string][]byte, len(old)+len(changes))
	for k, v := range old {
		m[k] = v
	}
	for k, v := range changes {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = slices.Clone(v)
		}
	}
	if len(m) == 0 {
		return nil
	}
	return m
}
