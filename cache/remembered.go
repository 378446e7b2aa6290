package cache

import "slices"

// The kernel remembers the nodes that programs met, and what it remembers has to be in memory here: its requests name it by
// number. Since it may remember a million of them, it is asked to forget files that it heard of longest ago when they are
// more than the memory is for. A name that it forgot it looks up again, here, when a program uses it.

const (
	nodeBytes  = 650 // what a node costs in memory, with its places in the indexes
	nodeShare  = 3   // the part of Config.Memory that is for nodes: a third
	listShare  = 4   // and for listings;
	storeShare = 4   // and for Pebble; the rest is for garbage
	askAtOnce  = 8   // how many nodes are looked at for each that the kernel gets to know
	knownExtra = 4   // the part of the limit that may be exceeded until listings show no attributes, and so no nodes
)

// remembered is the nodes that the kernel remembers. Guarded by Drive.mu.
type remembered struct {
	limit int
	count int
	asked int      // of which the kernel was asked to forget
	queue []uint64 // FUSE node ids, who is to be asked for first in front; some may be forgotten already

	pending []uint64 // those that were asked for, who was first in front; some may be forgotten or needed again
}

// met counts a reference to a node that the kernel is about to get; locked.
func (d *Drive) met(n *node) {
	k := &d.remembered
	n.lookups++
	switch {
	case n.lookups == 1:
		k.count++
	case n.asked:
		k.keep(n)
	default:
		n.again = true
	}
	if !n.queued {
		n.queued = true
		k.queue = append(k.queue, n.fid)
	}
	if k.count-k.asked > k.limit {
		d.askToForget()
	} else if len(k.queue) > 2*k.count+1024 {
		k.compact(d)
	}
}

// unmet notes that the kernel has no reference to a node any more; locked.
func (d *Drive) unmet(n *node) {
	d.remembered.count--
	d.remembered.keep(n)
}

// keep takes back that a node is to be forgotten.
func (k *remembered) keep(n *node) {
	if !n.asked {
		return
	}
	n.asked = false
	k.asked--
	if n.lookups > 0 && !n.queued {
		n.queued = true
		k.queue = append(k.queue, n.fid)
	}
}

// askToForget asks the kernel to forget some files. Before Linux 6.18 it drops the names even of those that are in use, which would show
// (/proc/PID/exe), and unmounts what is mounted over a name; so it is not asked for those, nor for directories, whose use is not known here
// (getcwd(2)), and for nothing while something is mounted there (forget). Locked.
func (d *Drive) askToForget() {
	k := &d.remembered
	if k.full() && k.count-k.asked <= k.limit {
		k.askAgain(d)
	}
	for range askAtOnce {
		if len(k.queue) == 0 || k.count-k.asked <= k.limit {
			break
		}
		n := d.byFID[k.queue[0]]
		k.queue = k.queue[1:]
		if n == nil {
			continue
		}
		if n.queued = n.lookups > 0; !n.queued {
			continue
		}
		p := d.byID[n.up]
		if n.again || n.typ != 'f' && n.typ != 'l' || n.opens > 0 || n.hot != nil || n.dead || n.stale || p == nil || p.lookups == 0 {
			n.again = false
			k.queue = append(k.queue, n.fid)
			continue
		}
		n.queued, n.asked = false, true
		k.asked++
		k.pending = append(k.pending, n.fid)
		d.notes.put(note{fid: p.fid, name: string(n.name), kid: n.fid})
	}
	if len(k.pending) > 2*k.asked+1024 {
		k.pending = slices.DeleteFunc(k.pending, func(fid uint64) bool { n := d.byFID[fid]; return n == nil || !n.asked })
	}
}

// askAgain puts back into the queue some of those that the kernel was asked to forget first and has not: they were in use, something was mounted,
// or it is slow.
func (k *remembered) askAgain(d *Drive) {
	for range askAtOnce {
		if len(k.pending) == 0 {
			return
		}
		if n := d.byFID[k.pending[0]]; n != nil {
			k.keep(n)
		}
		k.pending = k.pending[1:]
	}
}

// compact drops from the queue what the kernel has forgotten.
func (k *remembered) compact(d *Drive) {
	queue := make([]uint64, 0, k.count)
	for _, fid := range k.queue {
		if n := d.byFID[fid]; n == nil {
		} else if n.queued = n.lookups > 0; n.queued {
			queue = append(queue, fid)
		}
	}
	k.queue = queue
}

// full tells whether the kernel is to hear of no more nodes than it must.
func (k *remembered) full() bool { return k.count > k.limit+k.limit/knownExtra }
