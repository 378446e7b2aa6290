package cache

// The kernel remembers the nodes that programs met, and what it remembers has to be in memory here: its requests name it by
// number. Since it may remember a million of them, it is asked to forget files that it heard of longest ago when they are
// more than the memory is for. A name that it forgot it looks up again, here, when a program uses it.

const (
	nodeBytes  = 650 // what a node costs in memory, with its places in the indexes
	nodeShare  = 3   // the part of Config.Memory that is for nodes: a third
	listShare  = 4   // and for listings; the rest is for garbage and for Pebble's buffers
	askAtOnce  = 8   // how many nodes are looked at for each that the kernel gets to know
	knownExtra = 4   // the part of the limit that may be exceeded until listings show no attributes, and so no nodes
)

// remembered is the nodes that the kernel remembers. Guarded by Drive.mu.
type remembered struct {
	limit int
	count int
	asked int      // of which the kernel was asked to forget
	queue []uint64 // FUSE node ids, who is to be asked for first in front; some may be forgotten already
}

// met counts a reference to a node that the kernel is about to get; locked.
func (d *Drive) met(n *node) {
	k := &d.remembered
	n.lookups++
	switch {
	case n.lookups == 1:
		k.count++
	case n.asked: // it was needed again
		n.asked = false
		k.asked--
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
	if n.asked {
		n.asked = false
		d.remembered.asked--
	}
}

// askToForget asks the kernel to forget some files. Before Linux 6.18 it drops the names even of those that are in use, which would show
// (/proc/PID/exe), and unmounts what is mounted over a name; so it is not asked for those, nor for directories, whose use is not known here
// (getcwd(2)), and for nothing while something is mounted there (forget). Locked.
func (d *Drive) askToForget() {
	k := &d.remembered
	for range askAtOnce {
		if len(k.queue) == 0 || k.count-k.asked <= k.limit {
			return
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
		d.notes.put(note{fid: p.fid, name: string(n.name), kid: n.fid})
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
