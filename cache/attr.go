package cache

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// Getattr shows a node.
func (d *Drive) Getattr(fid uint64) (Attr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return Attr{}, err
	}
	return d.attr(n), nil
}

// Change says what Setattr changes; nil fields stay.
type Change struct {
	Mode         *uint32
	UID, GID     *uint32
	Size         *int64
	Atime, Mtime *int64 // ns
	KillSuid     bool   // clear setuid and setgid (a truncate by somebody without the right to keep them)
}

// Setattr changes attributes; the kernel has checked the right to.
func (d *Drive) Setattr(fid uint64, c Change, intr Interrupt) (Attr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return Attr{}, err
	}
	if n.stale {
		return Attr{}, ErrStale // the kernel looks the name up again
	}
	if c.Size != nil {
		if err := d.truncate(n, *c.Size, intr); err != nil {
			return Attr{}, err
		}
	}
	d.pull(n) // what was written before explicit times
	t, tm := d.begin(), now()
	a := api.Attr{}
	if c.Mode != nil {
		n.mode = *c.Mode & 0o7777
		a.Mode = &n.mode
	}
	if c.UID != nil {
		n.uid = toOwner(*c.UID, d.cfg.UID)
		a.UID = &n.uid
	}
	if c.GID != nil {
		n.gid = toOwner(*c.GID, d.cfg.GID)
		a.GID = &n.gid
	}
	if (c.UID != nil || c.GID != nil) && !n.isDir() && n.mode&0o6000 != 0 || c.KillSuid && n.mode&0o6000 != 0 {
		n.mode = killed(n.mode)
		a.Mode = &n.mode
	}
	if c.Atime != nil {
		n.atime = *c.Atime
	}
	if c.Mtime != nil {
		n.mtime = *c.Mtime
		a.Mtime = &n.mtime
		d.stamp(n)
	}
	n.ctime = tm
	t.node(n)
	if a.Mode != nil || a.UID != nil || a.GID != nil || a.Mtime != nil {
		d.logAttr(t, n, a, tm)
	}
	if err := t.commit(); err != nil {
		return Attr{}, err
	}
	return d.attr(n), nil
}

// killed clears setuid, and setgid where the group may execute.
func killed(mode uint32) uint32 {
	mode &^= 0o4000
	if mode&0o010 != 0 {
		mode &^= 0o2000
	}
	return mode
}

// stamp gives the content file of a node that may still be written the node's
// mtime, so that the next write is told from it; locked.
func (d *Drive) stamp(n *node) {
	if n.hot == nil || n.c == nil {
		return
	}
	if n.hot.ready != nil {
		n.hot.ready.mtime = n.mtime // it goes out with the content
	}
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(n.mtime)}
	if unix.UtimesNanoAt(unix.AT_FDCWD, d.slotPath(n.slot), ts, 0) == nil {
		n.c.look()
	}
}

// logAttr journals changed attributes: into the node's pending creation or
// change when that was not sent yet. Locked.
func (d *Drive) logAttr(t *tx, n *node, a api.Attr, tm int64) {
	if n.dead || n.stale {
		return
	}
	// The journal keeps its own copies: n's fields go on changing.
	c := api.Attr{Xattrs: a.Xattrs}
	if a.Mode != nil {
		v := *a.Mode
		c.Mode = &v
	}
	if a.UID != nil {
		v := *a.UID
		c.UID = &v
	}
	if a.GID != nil {
		v := *a.GID
		c.GID = &v
	}
	if a.Mtime != nil {
		v := *a.Mtime
		c.Mtime = &v
	}
	if e := d.journal.unsent(n.id, api.OpCreate, api.OpSetattr); e != nil {
		merge(e.m.Attr, &c)
		e.m.Time = tm
		t.relog(e)
		return
	}
	t.log(api.Mutation{Op: api.OpSetattr, Node: n.id, Attr: &c, Time: tm})
}

// truncate sets a file's size; locked, and given up while the file is cut.
// The kernel lets only one truncate of an inode in at a time.
func (d *Drive) truncate(n *node, size int64, intr Interrupt) error {
	if n.isDir() {
		return errIsDir
	}
	if !n.isFile() {
		return api.Errorf(api.Invalid, "not a regular file")
	}
	if n.stale {
		return ErrStale
	}
	if size > 0 || n.writers > 0 {
		if err := d.local(n, intr); err != nil {
			return err
		}
	}
	if size > n.size {
		if err := d.roomy(); err != nil {
			return err
		}
	}
	t := d.begin()
	if n.slot == 0 {
		if _, err := d.fresh(t, n, true); err != nil {
			t.close()
			return api.Errorf(kindOf(err), "make a content file: %w", err)
		}
	} else if _, err := d.attach(n); err != nil {
		t.close()
		return err
	}
	d.dirty(t, n)
	if err := t.commit(); err != nil {
		return err
	}
	path := d.slotPath(n.slot)
	n.opens++ // keeps the content in place
	d.mu.Unlock()
	err := os.Truncate(path, size)
	if err == nil { // a truncate to the same size moves the times too
		now := time.Now()
		err = os.Chtimes(path, time.Time{}, now)
	}
	d.mu.Lock()
	n.opens--
	d.pull(n)
	if n.writers == 0 {
		d.settle(n)
	}
	d.closed(n)
	if err != nil {
		return api.Errorf(kindOf(err), "truncate: %w", err)
	}
	return nil
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
	return nil, ErrNoAttr
}

// Listxattr returns the names of a node's extended attributes.
func (d *Drive) Listxattr(fid uint64) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(n.xattrs))
	for k := range n.xattrs {
		names = append(names, k)
	}
	return names, nil
}

// MaxXattrs is how many bytes of names and values a node may have.
const MaxXattrs = 64 << 10

// Setxattr sets an extended attribute; create and replace are XATTR_CREATE
// and XATTR_REPLACE. A nil value removes it.
func (d *Drive) Setxattr(fid uint64, name string, value []byte, create, replace bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return err
	}
	if n.stale {
		return ErrStale
	}
	_, has := n.xattrs[name]
	switch {
	case has && create:
		return errExists
	case !has && (replace || value == nil):
		return ErrNoAttr
	}
	total := len(name) + len(value)
	x := make(map[string][]byte, len(n.xattrs)+1) // a copy: the old map may be on its way to the server
	for k, v := range n.xattrs {
		if k != name {
			x[k] = v
			total += len(k) + len(v)
		}
	}
	if value != nil {
		if total > MaxXattrs {
			return errFull // as ext4 says
		}
		x[name] = append([]byte{}, value...)
	}
	n.xattrs = x
	t, tm := d.begin(), now()
	n.ctime = tm
	t.node(n)
	d.logAttr(t, n, api.Attr{Xattrs: map[string][]byte{name: x[name]}}, tm)
	return t.commit()
}

// Space is what statfs(2) shows, in bytes and numbers of files.
type Space struct {
	Total, Free uint64
	Files       uint64
}

// Statfs tells the space of the drive: its quota less its files, or without a
// quota the room on the disk under the cache. It never waits.
func (d *Drive) Statfs() (Space, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.cfg.Dir, &fs); err != nil {
		return Space{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Space{Total: fs.Blocks * uint64(fs.Bsize), Free: fs.Bavail * uint64(fs.Bsize), Files: uint64(d.drive.Files)}
	if q := d.drive.Quota; q > 0 {
		s.Total = uint64(q)
		s.Free = min(s.Free, uint64(max(q-d.drive.Used, 0)))
	}
	return s, nil
}
