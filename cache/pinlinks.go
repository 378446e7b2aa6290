package cache

import "satchel/api"

// A file is pinned by each of its names that is in a pinned folder, but it knows only the one by which it was last reached. So one that is
// pinned is kept of files that may have others (pins.links): from when the pinner comes by, or the file gets another name. It need not be true any more when it counts, as
// names go and folders move; then all names are looked at, once for all files of which one is kept.

// pinKeeps tells whether a node is pinned, or may be: that is known when the pinner has been everywhere; locked.
func (d *Drive) pinKeeps(n *node) bool {
	return d.pinned(n) || len(d.pins.roots) > 0 && !d.pins.toured && d.many(n)
}

// many tells whether a file may have another name than the one by which it was last reached; locked.
func (d *Drive) many(n *node) bool {
	return n.isFile() && (n.nlink > 1 || n.flags&(flagCounted|flagFewer) != 0 || !d.reached(n))
}

// linked is to be called when a node is about to get a name; locked.
func (d *Drive) linked(n *node, at place) {
	if len(d.pins.roots) == 0 || !n.isFile() {
		return
	}
	old := place{n.up, n.name}
	if _, ok := d.pins.links[n.id]; !ok && (old == at || !d.leads(old, n)) {
		return // it has no other
	}
	for _, at := range [...]place{old, at} {
		if d.pinnedIn(at.parent) {
			d.pins.links[n.id] = at
		}
	}
}

// passed is to be called of what the pinner comes by in a pinned folder; locked.
func (d *Drive) passed(n *node, at place) {
	_, ok := d.pins.links[n.id]
	if ok || n.isFile() && at != (place{n.up, n.name}) || d.many(n) {
		d.pins.links[n.id] = at
	}
}

// link is the name in a pinned folder of a file that may have several, or none if it has no such; ok says that it may have several. Locked.
func (d *Drive) link(n *node) (at place, ok bool) {
	at, ok = d.pins.links[n.id]
	switch {
	case !ok, at == place{}, d.leads(at, n) && d.pinnedIn(at.parent):
		return at, ok
	case !d.many(n):
		delete(d.pins.links, n.id)
		return place{}, false
	}
	d.relink()
	return d.pins.links[n.id], true
}

// relink looks at all names for those in pinned folders of the files of which one is kept; locked.
func (d *Drive) relink() {
	links := make(map[api.ID]place, len(d.pins.links))
	for id := range d.pins.links {
		links[id] = place{}
	}
	for at, id := range d.entries() {
		if _, ok := links[id]; ok && d.pinnedIn(at.parent) {
			links[id] = at
		}
	}
	d.pins.links = links
}

// pinned tells whether a node, or a folder that it is in, is pinned; locked.
func (d *Drive) pinned(n *node) bool {
	return len(d.pins.roots) > 0 && d.climb(n, func(id api.ID) bool { return d.pins.roots[id] })
}

// pinnedIn tells whether a folder is pinned, or one that it is in; locked.
func (d *Drive) pinnedIn(dir api.ID) bool {
	return d.ascends(dir, func(id api.ID) bool { return d.pins.roots[id] })
}

// climb tells whether fn is true of a node or of a folder that it is in; locked.
func (d *Drive) climb(n *node, fn func(api.ID) bool) bool {
	if fn(n.id) {
		return true
	}
	at, ok := d.link(n)
	return d.ascends(at.parent, fn) || d.ascends(n.up, fn) && (!ok || d.reached(n))
}

// ascends tells whether fn is true of a folder or of one that it is in; locked.
func (d *Drive) ascends(dir api.ID, fn func(api.ID) bool) bool {
	for !dir.IsZero() {
		if fn(dir) {
			return true
		}
		p, err := d.load(dir)
		if err != nil || p == nil {
			return false
		}
		dir = p.up
		d.letGo(p)
	}
	return false
}
