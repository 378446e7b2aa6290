package cache

import (
	"maps"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// Getattr shows a node. It waits while the server is asked for the holes of a large cold
// file that is open, but no longer than patience after it was: programs decide by the blocks that it takes up whether they copy its holes.
func (d *Drive) Getattr(fid uint64) (Attr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err == nil && n.part != nil {
		d.awaitHoles(n.part, n.part.holesSoon)
		n, err = d.known(fid)
	}
	if err == nil && n.stale && n.opens == 0 {
		err = ErrStale // another of its names led here
	}
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
	By           Cred
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
	if (c.UID != nil || c.GID != nil || c.By.KillSuid) && !n.isDir() && n.mode&0o6000 != 0 {
		n.mode = c.By.killed(n.mode, fromOwner(n.gid, d.cfg.GID))
		a.Mode = &n.mode
	}
	if c.UID != nil || c.GID != nil || c.Size != nil || c.By.KillSuid {
		a.Xattrs = n.dropCapability()
	}
	if c.Mode != nil {
		n.mode = *c.Mode & 0o7777
		a.Mode = &n.mode
		if acl := n.xattrs[AccessACL]; acl != nil {
			changed := n.putXattr(AccessACL, chmodACL(acl, n.mode))
			maps.Copy(changed, a.Xattrs)
			a.Xattrs = changed
		}
	}
	if c.UID != nil {
		n.uid = toOwner(*c.UID, d.cfg.UID)
		a.UID = &n.uid
	}
	if c.GID != nil {
		n.gid = toOwner(*c.GID, d.cfg.GID)
		a.GID = &n.gid
	}
	if c.Atime != nil {
		n.atime = *c.Atime
	}
	if c.Mtime != nil {
		n.mtime = *c.Mtime
		a.Mtime = &n.mtime
	}
	if c.Atime != nil || c.Mtime != nil {
		d.stamp(t, n)
	}
	n.ctime = tm
	t.node(n)
	if a.Mode != nil || a.UID != nil || a.GID != nil || a.Mtime != nil || a.Xattrs != nil {
		d.logAttr(t, n, a, tm)
	}
	if err := t.commit(); err != nil {
		return Attr{}, err
	}
	return d.attr(n), nil
}

// killPrivileges takes from a file that is written or cut what it must not keep: setuid and setgid, if the caller may not leave them, and
// capabilities in any case; locked.
func (d *Drive) killPrivileges(n *node, c Cred) error {
	a := api.Attr{Xattrs: n.dropCapability()}
	if c.KillSuid && n.mode&0o6000 != 0 {
		n.mode = c.killed(n.mode, fromOwner(n.gid, d.cfg.GID))
		a.Mode = &n.mode
	}
	if a.Mode == nil && a.Xattrs == nil {
		return nil
	}
	t, tm := d.begin(), now()
	n.ctime = tm
	t.node(n)
	d.logAttr(t, n, a, tm)
	return t.commit()
}

// stamp gives a node's content file the node's times: the next write or read is told
// from them, and the kernel's rule for access times (relatime) compares them. It opens no file, since programs
// that set times do so to many. Locked.
func (d *Drive) stamp(t *tx, n *node) {
	if n.slot == 0 {
		return
	}
	if n.hot != nil && n.hot.ready != nil {
		n.hot.ready.mtime = n.mtime // it goes out with the content
	}
	c := n.c
	if c == nil {
		rec, err := d.slotRecord(n.slot)
		if err != nil {
			return // the next open says so
		}
		c = &content{slot: n.slot, rec: rec}
	}
	path := d.slotPath(n.slot)
	was := ctimeAt(path)
	ts := []unix.Timespec{unix.NsecToTimespec(n.atime), unix.NsecToTimespec(n.mtime)}
	if unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, 0) != nil {
		return
	}
	if n.c != nil {
		c.look()
		if n.hot != nil {
			d.loosen(n)
		}
	}
	if !c.rec.dirty && c.rec.ctime == was { // it is still what it was found to be
		c.rec.ctime = ctimeAt(path)
		t.slot(c)
	}
}

// ctimeAt is the change time of a content file, ns; 0 when it can't be had.
func ctimeAt(path string) int64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Ctim.Nano()
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
	// What is made or removed in a directory moves its time on the server too: a time that was set after it has to
	// come after it.
	if e := d.journal.unsent(n.id, api.OpCreate, api.OpSetattr); e != nil && (c.Mtime == nil || !d.journal.changedIn(n.id, e.seq)) {
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
	d.pull(n) // the kernel may have written past what is known
	if size > n.size {
		if err := d.roomy(); err != nil {
			return err
		}
		if err := d.affords(size - n.size); err != nil && d.counts(n) {
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

// Space is what statfs(2) shows, in bytes and numbers of files.
type Space struct {
	Total, Free uint64
	Files       uint64
}

// Statfs tells the space of the drive: its quota less its files and what they have
// grown by here, or without a quota the room on the disk under the cache. What is free is never more than
// that disk has room for, and all together no more than is used and free: a quota of a petabyte is not one.
// It never waits.
func (d *Drive) Statfs() (Space, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.cfg.Dir, &fs); err != nil {
		return Space{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Space{Total: fs.Blocks * uint64(fs.Bsize), Free: fs.Bavail * uint64(fs.Bsize), Files: uint64(d.drive.Files)}
	if q := d.drive.Quota; q > 0 {
		room := d.room()
		s.Free = min(s.Free, uint64(max(room, 0)))
		s.Total = min(uint64(q), uint64(q-room)+s.Free)
	}
	return s, nil
}
