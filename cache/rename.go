package cache

import (
	"golang.org/x/sys/unix"

	"satchel/api"
)

// Rename moves a name, with renameat2(2)'s flags. The kernel has checked that
// a directory does not move below itself.
func (d *Drive) Rename(from uint64, name string, to uint64, newName string, flags uint32, intr Interrupt) error {
	if flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return api.Errorf(api.Invalid, "rename flags %#x are not supported", flags)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
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
	case flags&unix.RENAME_EXCHANGE != 0:
		if old == nil {
			return errNotFound
		}
		return d.exchange(p, l, api.Name(name), n, q, ql, api.Name(newName), old)
	case old == n:
		return nil
	case old != nil && flags&unix.RENAME_NOREPLACE != 0:
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
	return d.move(p, l, api.Name(name), n, q, ql, api.Name(newName), old)
}

// move is a rename whose preconditions hold; old is what it replaces or nil. Locked.
func (d *Drive) move(p *node, l *listing, name api.Name, n, q *node, ql *listing, newName api.Name, old *node) error {
	t, tm := d.begin(), now()
	m := api.Mutation{Op: api.OpRename, Node: n.id, Parent: p.id, Name: name, ToParent: q.id, ToName: newName, Time: tm}
	if old != nil {
		m.Replaces, m.Base = old.id, old.version
		if old.isDir() {
			q.nlink--
		}
		d.lose(t, old, tm)
		if old.dead {
			if was, ok := d.annihilateAt(t, old, place{q.id, newName}); ok {
				m.Replaces, m.Base = was.Replaces, was.Base
			}
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
	t.log(m)
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
	t.log(api.Mutation{Op: api.OpExchange, Node: n.id, Parent: p.id, Name: name, ToParent: q.id, ToName: newName, Replaces: old.id, Time: tm})
	return t.commit()
}
