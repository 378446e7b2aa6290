package cache

import (
	"golang.org/x/sys/unix"

	"satchel/api"
)

// Rename moves a name, with renameat2(2)'s flags. The kernel has checked that
// a directory does not move below itself, but by the names that it knew; what another device moved since came to us.
func (d *Drive) Rename(from uint64, name string, to uint64, newName string, flags uint32, intr Interrupt) error {
	if flags&^(RenameNoReplace|RenameExchange) != 0 {
		return api.Errorf(api.Invalid, "rename flags %#x are not supported", flags)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.rename(from, name, to, newName, flags, intr)
	if err == nil {
		d.notes.moved(note{fid: from, name: name}, note{fid: to, name: newName})
	}
	return err
}

// rename is Rename; locked, and given up while something is listed.
func (d *Drive) rename(from uint64, name string, to uint64, newName string, flags uint32, intr Interrupt) error {
	q, err := d.known(to)
	if err != nil {
		return err
	}
	if len(newName) > api.MaxName {
		return errTooLong
	}
	if _, err := d.dir(q, intr); err != nil {
		return err
	}
	p, l, n, err := d.present(from, name, intr)
	if err != nil {
		return err
	}
	stays := d.stays(n)
	if flags&RenameExchange == 0 {
		if stays, err = d.staysAs(n, q, api.Name(newName), intr); err != nil {
			return err
		}
		is := n
		if p, l, n, err = d.present(from, name, intr); err != nil { // the lock may have been given up
			return err
		}
		if n != is {
			return errNotFound
		}
	}
	ql, err := d.dir(q, intr)
	if err != nil {
		return err
	}
	if q.dead {
		return errNotFound
	}
	old, err := d.child(ql, api.Name(newName))
	if err != nil {
		return err
	}
	switch {
	case flags&RenameExchange != 0:
		if old == nil {
			return errNotFound
		}
		if d.stays(old) != stays {
			return unix.EXDEV
		}
		if d.circle(n, q) || d.circle(old, p) {
			return errCircle
		}
		return d.exchange(p, l, api.Name(name), n, q, ql, api.Name(newName), old)
	case old == n:
		return nil
	case old != nil && flags&RenameNoReplace != 0:
		return errExists
	case old != nil && old.isDir() && !n.isDir():
		return errIsDir
	case old != nil && !old.isDir() && n.isDir():
		return errNotDir
	case old != nil && old.isDir():
		kids, err := d.dir(old, intr)
		if err != nil {
			return err
		}
		if len(kids.byName) > 0 {
			return errNotEmpty
		}
		// The lock may have been given up: only listings are sure to need another look.
		if l, err = d.dir(p, intr); err != nil {
			return err
		}
		if ql, err = d.dir(q, intr); err != nil {
			return err
		}
		if k := l.byName[api.Name(name)]; k == nil || k.id != n.id {
			return errNotFound
		}
		if k := ql.byName[api.Name(newName)]; k == nil || k.id != old.id {
			return errNotFound
		}
	}
	if d.circle(n, q) {
		return errCircle
	}
	return d.move(p, l, api.Name(name), n, q, ql, api.Name(newName), old, stays)
}

// circle tells whether a node would come to be below itself in a directory; locked.
func (d *Drive) circle(n, dir *node) bool { return n.isDir() && d.within(dir.id, n) }

// staysAs tells whether a node stays on this machine under another name, and makes sure that it can; locked, and given
// up while something is fetched. What takes the name of something that the server has does not.
func (d *Drive) staysAs(n, q *node, name api.Name, intr Interrupt) (bool, error) {
	stays, known, err := d.ignored(q, name, n.isDir(), intr)
	if err != nil || !stays {
		return false, err
	}
	if !known {
		return d.stays(n), nil
	}
	l, err := d.dir(q, intr)
	if err != nil {
		return false, err
	}
	if k := l.byName[name]; k != nil && d.journal.staying[k.id] == nil {
		return false, nil
	}
	if !d.stays(n) {
		err = d.canStay(n, intr)
	}
	return true, err
}

// move is a rename whose preconditions hold; old is what it replaces or nil, and stays whether it stays on this machine
// from now on. Locked.
func (d *Drive) move(p *node, l *listing, name api.Name, n, q *node, ql *listing, newName api.Name, old *node, stays bool) error {
	t, tm := d.begin(), now()
	stayed := d.stays(n)
	if stays && !stayed {
		if err := d.withdraw(t, n, place{p.id, name}, place{q.id, newName}, tm); err != nil {
			t.close()
			return err
		}
		l.byName[name].id = n.id
	}
	m := api.Mutation{Op: api.OpRename, Node: n.id, Parent: p.id, Name: name, ToParent: q.id, ToName: newName, Time: tm}
	if old != nil {
		m.Replaces, m.Base = old.id, old.version
		if old.isDir() {
			q.nlink--
		}
		d.lose(t, old, place{q.id, newName}, tm)
		if old.dead {
			if was, ok := d.annihilateAt(t, old, place{q.id, newName}); ok {
				m.Replaces, m.Base = was.Replaces, was.Base
			}
			d.passPin(t, old, n)
		}
		t.node(old)
	}
	switch {
	case old != nil:
		t.unlink(p, l, name)
		t.point(q, ql.byName[newName], n)
	case p == q:
		t.rename(p, l, name, newName, n)
	default:
		t.unlink(p, l, name)
		t.link(q, ql, newName, n)
	}
	if n.isDir() && p != q {
		p.nlink--
		q.nlink++
	}
	d.doubtMoved(t, p, q)
	touch(p, tm)
	touch(q, tm)
	n.ctime = tm
	t.node(p, n)
	if p != q {
		t.node(q)
	}
	if n.isFile() && old == nil {
		n.aside, n.asideAt = place{p.id, name}, tm
	}
	if n.isDir() {
		m.Attr = &api.Attr{Type: api.Directory} // for the order of sending only
	}
	var err error
	switch {
	case stays:
		t.restay(n, q, newName)
	case stayed && m.Replaces.IsZero():
		err = d.unstay(t, n, place{q.id, newName})
	case stayed:
		err = d.sendAs(t, n, m)
	default:
		t.log(m)
	}
	if err != nil {
		d.log.Error("send what stayed here", "name", newName, "err", err) // what of it could not be read stays
	}
	return t.commit()
}

func (d *Drive) exchange(p *node, l *listing, name api.Name, n, q *node, ql *listing, newName api.Name, old *node) error {
	if n == old {
		return nil
	}
	t, tm := d.begin(), now()
	t.point(p, l.byName[name], old)
	t.point(q, ql.byName[newName], n)
	if p != q {
		d.doubtMoved(t, p, q)
		d.doubtMoved(t, q, p)
		if n.isDir() {
			p.nlink--
			q.nlink++
		}
		if old.isDir() {
			q.nlink--
			p.nlink++
		}
	}
	touch(p, tm)
	touch(q, tm)
	n.ctime, old.ctime = tm, tm
	t.node(p, n, old)
	if p != q {
		t.node(q)
	}
	if d.stays(n) {
		t.restay(n, q, newName)
		t.restay(old, p, name)
	}
	t.log(api.Mutation{Op: api.OpExchange, Node: n.id, Parent: p.id, Name: name, ToParent: q.id, ToName: newName, Replaces: old.id, Time: tm})
	return t.commit()
}
