package cache

import (
	"cmp"
	"container/list"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Before records become durable the content that they name does. Of the files that wait to be sent only those are looked at for it that may
// have changed: the loose ones. A file is loose from when it becomes hot, or is opened for writing, until a sync has succeeded before whose
// beginning nobody could write to it any more. From then on it is durable, since who writes opens it first.

// loosen notes that the content of a hot node may be other than what is durable; locked.
func (d *Drive) loosen(n *node) {
	h := n.hot
	h.loosened++
	if h.loose == nil {
		h.loose = d.syn.loose.PushBack(n)
	}
	if h.undescribed == nil && (n.c == nil || !n.c.described) {
		h.undescribed = d.syn.undescribed.PushBack(n)
	}
}

// fasten takes back what loosen noted, because the content is durable or because there is none to look at; locked.
func (d *Drive) fasten(h *hot) {
	if h.loose != nil {
		d.syn.loose.Remove(h.loose)
		h.loose = nil
	}
}

// firm notes that the content of a hot node is durable, and that nobody could write to it since before it became so; locked.
func (d *Drive) firm(n *node) {
	n.c.durable = true
	if n.uncommitted > 0 {
		return // it can't rest yet: the next sync comes by again
	}
	d.rest(n)
	d.fasten(n.hot)
}

// syncContents makes the content that records refer to durable, as far as it changed since it
// last was; but (nil: none) is left to the caller, and so is what is still being written and was seen before: it is durable as it was then. behind is
// not in the call of a program that waits for one file. An error is of some of it, all else is durable.
func (d *Drive) syncContents(but *content, seen map[*content]bool, behind bool) (failed error) {
	type changed struct {
		n         *node
		h         *hot
		c         *content
		fd        int
		ctime     int64
		loosened  uint64
		free      bool // nobody could write when it was looked at
		unwritten bool
		failed    error // of its own
	}
	const many = 32 // one sync of the file system is cheaper than more of files, where there is such a call
	d.mu.Lock()
	var all []changed
	onebyone := func() bool { return len(all) <= many || !syncsAll || d.cfg.seam.synced != nil }
	if behind {
		d.describeWaiting()
	}
	for e, next := d.syn.loose.Front(), (*list.Element)(nil); e != nil; e = next {
		n := e.Value.(*node)
		next = e.Next()
		d.syn.looked++
		n.hot.waited = true
		if n.c == nil {
			d.fasten(n.hot)
			continue
		}
		if n.c == but {
			continue
		}
		unwritten := n.unwritten() // before the time is read: who writes from here on opens it first
		free := n.opens == 0 && unwritten
		// A store through a mapping moves the ctime when it is the first since the page was synced.
		ctime := n.c.ctime()
		if ctime == n.c.synced {
			if free {
				d.firm(n)
			}
			continue
		}
		if seen[n.c] && !unwritten {
			continue
		}
		seen[n.c] = true
		fd := -1
		if onebyone() {
			var err error
			if fd, err = unix.Dup(n.c.fd); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
		}
		all = append(all, changed{n: n, h: n.hot, c: n.c, fd: fd, ctime: ctime, loosened: n.hot.loosened, free: free})
	}
	d.mu.Unlock()
	var err error
	for i := range all {
		switch {
		case onebyone():
			err = d.cfg.seam.sync(all[i].fd, true)
			all[i].failed, failed = err, errors.Join(failed, err)
		case i == 0:
			err = syncAll(all[i].fd)
			failed = errors.Join(failed, err)
		}
		all[i].unwritten = err != nil
		if all[i].fd >= 0 {
			unix.Close(all[i].fd)
		}
	}
	d.mu.Lock()
	for _, f := range all {
		if f.unwritten {
			f.c.failed = cmp.Or(f.c.failed, f.failed)
			continue
		}
		if f.n.hot != f.h || f.n.c != f.c || f.h.loose == nil || f.h.loosened != f.loosened {
			continue // it was closed or opened for writing meanwhile, or another sync has dealt with it
		}
		if d.noteSynced(f.c, f.ctime); f.free {
			d.firm(f.n)
		}
	}
	d.mu.Unlock()
	return failed
}

// describeWaiting has content describe itself that was unsent when content was last made durable; all of it, where many files wait. Locked.
func (d *Drive) describeWaiting() {
	crowded := len(d.syn.hots) > d.cfg.seam.maxIdle()
	for e, next := d.syn.undescribed.Front(), (*list.Element)(nil); e != nil; e = next {
		n := e.Value.(*node)
		next = e.Next()
		if !n.hot.waited && !crowded {
			continue
		}
		d.describe(n)
		if n.c != nil && !n.c.described && !n.dead && !n.stale || n.uncommitted > 0 {
			continue // the next time
		}
		d.syn.undescribed.Remove(e)
		n.hot.undescribed = nil
		if n.hot.loose == nil {
			d.rest(n)
		}
	}
}

// noteSynced notes that a content file is durable as it was at a change time; locked. Where two
// changes in a row can have one time that proves nothing.
func (d *Drive) noteSynced(c *content, ctime int64) {
	if d.fineTimes {
		c.synced = ctime
	}
}

// fineTimes tells whether a file system gives two changes that were seen different times, as Linux
// does from 6.13 on for most of them (Documentation/filesystems/multigrain-ts.rst). Others take the time of the last tick.
func fineTimes(dir string) bool {
	f, err := os.CreateTemp(dir, "times")
	if err != nil {
		return false
	}
	defer os.Remove(f.Name())
	defer f.Close()
	c := content{fd: int(f.Fd())}
	for range 3 {
		before := c.ctime()
		if _, err := f.Write([]byte{0}); err != nil || c.ctime() == before {
			return false
		}
	}
	return true
}
