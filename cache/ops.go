package cache

import (
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// vacant returns a directory, its entries, whether a new name in it (of a directory) stays on this machine, and an error
// when it can't go there; locked.
func (d *Drive) vacant(parent uint64, name string, dir bool, intr Interrupt) (p *node, l *listing, stays bool, err error) {
	if err := d.roomy(); err != nil {
		return nil, nil, false, err
	}
	if p, err = d.known(parent); err != nil {
		return nil, nil, false, err
	}
	if len(name) > api.MaxName {
		return nil, nil, false, errTooLong
	}
	if _, err = d.dir(p, intr); err != nil {
		return nil, nil, false, err
	}
	if stays, _, err = d.ignored(p, api.Name(name), dir, intr); err != nil {
		return nil, nil, false, err
	}
	if l, err = d.dir(p, intr); err != nil { // the lock may have been given up
		return nil, nil, false, err
	}
	if p.dead {
		return nil, nil, false, errNotFound
	}
	if l.byName[api.Name(name)] != nil {
		return nil, nil, false, errExists
	}
	return p, l, stays, nil
}

// sprout makes a node that belongs under p; locked.
func (d *Drive) sprout(p *node, typ byte, mode uint32, c Cred) *node {
	t := now()
	r := record{typ: typ, mode: mode & 0o7777, uid: toOwner(c.UID, d.cfg.UID), gid: toOwner(c.GID, d.cfg.GID),
		nlink: 1, atime: t, mtime: t, ctime: t, btime: t}
	if p.mode&0o2000 != 0 { // setgid: children belong to the directory's group
		r.gid = p.gid
		if typ == 'd' {
			r.mode |= 0o2000
		}
	}
	if typ == 'd' {
		r.nlink, r.flags = 2, flagComplete
	}
	n := d.adopt(api.NewID(), r)
	n.inherit(p, c.Umask)
	return n
}

// touch notes that a directory's entries changed; locked.
func touch(p *node, t int64) { p.mtime, p.ctime = t, t }

// enter puts a new node under its name and journals it, for the server or as what stays here; locked.
func (d *Drive) enter(t *tx, p *node, l *listing, name api.Name, n *node, stays bool) *entry {
	t.link(p, l, name, n)
	touch(p, n.ctime)
	if n.isDir() {
		p.nlink++
	}
	t.node(p, n)
	m := d.creation(n, place{p.id, name})
	m.Time = n.ctime
	if stays {
		e := t.stay(m)
		d.journal.setDoubt(e, d.doubtful(p))
		return e
	}
	return t.log(m)
}

// Mknod makes a directory, FIFO, socket, device or closed regular file.
func (d *Drive) Mknod(parent uint64, name string, mode, rdev uint32, c Cred, intr Interrupt) (Attr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, l, stays, err := d.vacant(parent, name, typeOf(mode) == 'd', intr)
	if err != nil {
		return Attr{}, err
	}
	n := d.sprout(p, typeOf(mode), mode, c)
	n.rdev = rdev
	if n.isDir() {
		n.list = newListing()
	}
	t := d.begin()
	if n.isFile() {
		if _, err := d.fresh(t, n, true); err != nil {
			return Attr{}, d.abandon(t, n, err)
		}
	}
	e := d.enter(t, p, l, api.Name(name), n, stays)
	if n.isFile() {
		d.carry(d.heat(n), e)
		d.settle(n)
	}
	if err := t.commit(); err != nil {
		return Attr{}, err
	}
	return d.refer(n), nil
}

// abandon gives up a node that could not be made; locked.
func (d *Drive) abandon(t *tx, n *node, err error) error {
	t.close()
	n.list = nil
	d.letGo(n)
	return api.Errorf(kindOf(err), "make a content file: %w", err)
}

// Symlink makes a symbolic link.
func (d *Drive) Symlink(parent uint64, name, target string, c Cred, intr Interrupt) (Attr, error) {
	if len(target) > api.MaxTarget {
		return Attr{}, errTooLong
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p, l, stays, err := d.vacant(parent, name, false, intr)
	if err != nil {
		return Attr{}, err
	}
	n := d.sprout(p, 'l', 0o777, c)
	n.target, n.size = target, int64(len(target))
	t := d.begin()
	d.enter(t, p, l, api.Name(name), n, stays)
	if err := t.commit(); err != nil {
		return Attr{}, err
	}
	return d.refer(n), nil
}

// Readlink returns a symlink's target.
func (d *Drive) Readlink(fid uint64) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return "", err
	}
	if n.typ != 'l' {
		return "", api.Errorf(api.Invalid, "not a symlink")
	}
	d.accessed(n)
	return n.target, nil
}

// Link adds a hard link.
func (d *Drive) Link(fid, parent uint64, name string, intr Interrupt) (Attr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, l, stays, err := d.vacant(parent, name, false, intr)
	if err != nil {
		return Attr{}, err
	}
	n, err := d.known(fid)
	if err != nil {
		return Attr{}, err
	}
	if n.isDir() {
		return Attr{}, api.Errorf(api.Permission, "directories can't have hard links")
	}
	if n.unborn {
		if err := d.bear(p, l, api.Name(name), n, stays); err != nil {
			return Attr{}, err
		}
		return d.refer(n), nil
	}
	switch {
	case n.stale, n.gone:
		return Attr{}, ErrStale // the kernel looks the name up again
	case n.dead:
		return Attr{}, errNotFound
	}
	if d.stays(n) != stays || stays && !d.stays(p) { // its other name's place would not be found again
		return Attr{}, unix.EXDEV
	}
	t, tm := d.begin(), now()
	t.link(p, l, api.Name(name), n)
	touch(p, tm)
	n.nlink++
	n.ctime = tm
	t.node(p, n)
	t.log(api.Mutation{Op: api.OpLink, Node: n.id, Parent: p.id, Name: api.Name(name), Time: tm})
	if err := t.commit(); err != nil {
		return Attr{}, err
	}
	return d.refer(n), nil
}

// Unlink removes a name of anything but a directory.
func (d *Drive) Unlink(parent uint64, name string, intr Interrupt) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, l, n, err := d.present(parent, name, intr)
	if err != nil {
		return err
	}
	if n.isDir() {
		return errIsDir
	}
	t, tm := d.begin(), now()
	t.unlink(p, l, api.Name(name))
	touch(p, tm)
	base := n.removed()
	d.lose(t, n, place{p.id, api.Name(name)}, tm)
	t.node(p, n)
	if !n.dead || !d.annihilate(t, n) {
		t.log(api.Mutation{Op: api.OpUnlink, Node: n.id, Parent: p.id, Name: api.Name(name), Base: base, Heir: d.heir(n, tm), Time: tm})
	}
	return t.commit()
}

// saving is how long an editor may take between moving the old file aside and
// removing it.
const saving = 10 * time.Second

// heir is the file that goes on with the document of a file being removed: an
// editor (vim, by default) moved it aside, wrote a new one in its place and now
// removes it. Locked.
func (d *Drive) heir(n *node, tm int64) api.ID {
	if !n.dead || n.asideAt == 0 || tm-n.asideAt > int64(saving) {
		return api.ID{}
	}
	p := d.byID[n.aside.parent]
	if p == nil || p.list == nil {
		return api.ID{}
	}
	k := p.list.byName[n.aside.name]
	if k == nil || k.typ != 'f' || k.id == n.id {
		return api.ID{}
	}
	if h := d.byID[k.id]; h == nil || h.btime < n.asideAt {
		return api.ID{}
	}
	return k.id
}

// Rmdir removes an empty directory.
func (d *Drive) Rmdir(parent uint64, name string, intr Interrupt) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, _, n, err := d.present(parent, name, intr)
	if err != nil {
		return err
	}
	kids, err := d.dir(n, intr)
	if err != nil {
		return err
	}
	if len(kids.byName) > 0 {
		return errNotEmpty
	}
	l, err := d.dir(p, intr) // the lock may have been given up
	if err != nil {
		return err
	}
	if k := l.byName[api.Name(name)]; k == nil || k.id != n.id {
		return errNotFound
	}
	t, tm := d.begin(), now()
	t.unlink(p, l, api.Name(name))
	touch(p, tm)
	p.nlink--
	d.lose(t, n, place{p.id, api.Name(name)}, tm)
	t.node(p, n)
	if !d.annihilate(t, n) {
		t.log(api.Mutation{Op: api.OpRmdir, Node: n.id, Parent: p.id, Name: api.Name(name), Time: tm})
	}
	return t.commit()
}

// present finds an entry that must be there; locked.
func (d *Drive) present(parent uint64, name string, intr Interrupt) (*node, *listing, *node, error) {
	p, err := d.known(parent)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(name) > api.MaxName {
		return nil, nil, nil, errTooLong
	}
	l, err := d.dir(p, intr)
	if err != nil {
		return nil, nil, nil, err
	}
	n, err := d.child(l, api.Name(name))
	if err != nil {
		return nil, nil, nil, err
	}
	if n == nil {
		return nil, nil, nil, errNotFound
	}
	return p, l, n, nil
}

// lose takes the link at a place from n; with the last it is dead: its record goes now,
// its content when nobody has it open. Locked.
func (d *Drive) lose(t *tx, n *node, at place, tm int64) {
	n.ctime = tm
	if n.isDir() {
		n.nlink = 0
	} else {
		n.nlink--
	}
	if n.nlink == 0 && n.flags&(flagCounted|flagFewer) != 0 {
		if other, ok := d.named(n, at); ok {
			n.nlink, n.up, n.name = 1, other.parent, other.name
		}
	}
	if n.nlink > 0 {
		d.doubtLeft(t, n, at.parent)
		return
	}
	n.dead = true
	n.list = nil
	d.cool(t, n)
	if n.opens == 0 {
		d.bury(t, n)
	}
}

// bury gives up the content of a dead or stale node; locked. While the kernel knows a node whose last name a program
// removed, an open may be on its way that found the name before it went; on a local disk that opens the file. So the
// content stays, without a record, until the kernel forgets the node, which it does at once when nobody uses it.
func (d *Drive) bury(t *tx, n *node) {
	if n.lookups == 0 || n.slot == 0 || !n.dead || n.gone {
		d.shed(t, n)
		d.letGo(n)
		return
	}
	if _, err := d.attach(n); err != nil {
		d.log.Error("content file of a removed file", "name", n.name, "err", err)
		d.shed(t, n)
		return
	}
	t.b.Delete(slotKey(n.slot), nil)
	d.unhold(n.slot)
}

// rot gives up what bury kept; locked.
func (d *Drive) rot(n *node) {
	if n.dead && n.slot != 0 && n.lookups == 0 && n.opens == 0 && n.c != nil {
		d.slots.discard(d, n.c)
		n.slot, n.c, n.taken = 0, nil, 0
	}
}

// annihilate drops the pending mutations of a dead node that the server
// never heard of, so that nothing need be sent: of a node that was only made, changed
// and written, and that no other pending mutation needs as a directory. It tells whether it did. Locked.
func (d *Drive) annihilate(t *tx, n *node) bool {
	_, ok := d.annihilateAt(t, n, place{})
	return ok
}

// annihilateAt is annihilate of a file that something replaces where its own rename had put
// it: that rename goes too, and what replaces it has to replace what it had (was). Saved again and
// again by rename, a file has one pending change. Locked.
func (d *Drive) annihilateAt(t *tx, n *node, at place) (was api.Mutation, ok bool) {
	if n.flags&flagAcked != 0 || d.journal.under[n.id] > 0 {
		return was, false
	}
	l := d.journal.byNode[n.id]
	for _, e := range l {
		if e.sent || e.m.Node != n.id {
			return was, false
		}
		switch e.m.Op {
		case api.OpCreate, api.OpSetattr, api.OpWrite:
		case api.OpRename:
			if !n.isFile() || was.Op != "" || (place{e.m.ToParent, e.m.ToName}) != at {
				return was, false
			}
			if r, err := d.load(e.m.Replaces); err != nil || r != nil && !r.dead {
				return was, false // it has other links, which may be what replaces
			}
			was = e.m
		default:
			return was, false
		}
	}
	for _, e := range append([]*entry(nil), l...) {
		t.drop(e)
	}
	return was, true
}
