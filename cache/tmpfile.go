package cache

import "satchel/api"

// Tmpfile makes a file without a name in a directory and opens it (O_TMPFILE). Only its
// content file is recorded; the node is in no record, so it is gone after a crash, and
// nobody else hears of it until Link gives it a name.
func (d *Drive) Tmpfile(parent uint64, mode, flags uint32, c Cred) (Attr, Opened, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.roomy(); err != nil {
		return Attr{}, Opened{}, err
	}
	if err := d.spare(); err != nil {
		return Attr{}, Opened{}, err
	}
	p, err := d.known(parent)
	if err != nil {
		return Attr{}, Opened{}, err
	}
	if p.dead {
		return Attr{}, Opened{}, errNotFound
	}
	n := d.sprout(p, 'f', mode, c)
	n.nlink, n.dead, n.unborn = 0, true, true
	t := d.begin()
	if _, err := d.fresh(t, n, true); err != nil {
		return Attr{}, Opened{}, d.abandon(t, n, err)
	}
	if err := t.commit(); err != nil {
		return Attr{}, Opened{}, err
	}
	o, err := d.handle(n, flags)
	if err != nil {
		d.closed(n)
		return Attr{}, Opened{}, err
	}
	return d.refer(n), o, nil
}

// bear gives a file without a name its first one, and with it all that Create would have done.
// What was written meanwhile is sent as if it had just been closed. Locked.
func (d *Drive) bear(p *node, l *listing, name api.Name, n *node, stays bool) error {
	t, tm := d.begin(), now()
	d.pull(n)
	n.nlink, n.dead, n.unborn, n.ctime = 1, false, false, tm
	h := d.heat(n)
	h.base = 0
	h.opened++
	n.c.rec.dirty = true
	t.slot(n.c)
	d.carry(h, d.enter(t, p, l, name, n, stays))
	d.grew(n)
	if n.writers == 0 {
		d.settle(n)
	}
	return t.commit()
}
