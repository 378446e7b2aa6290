package cache

import (
	"context"

	"satchel/api"
	"satchel/cache/locks"
)

// A note is one thing to tell the kernel.
type note struct {
	fid  uint64
	name string // "" = the inode itself
	data bool
	kid  uint64 // not 0: the name is as it was, and this node, which it leads to, is to be forgotten for want of memory
}

// A notifier tells the kernel what changed. Only its one goroutine calls the kernel's
// notify functions: they may wait for a request that waits for Drive.mu, so no
// lock is held. Notes are coalesced; putting one in never blocks, and the queue
// is bounded by the names and inodes that the kernel knows.
type notifier struct {
	d     *Drive
	muted *node // guarded by Drive.mu: the directory whose names the kernel can't know yet

	mu      locks.Mutex
	todo    map[note]struct{}
	telling map[note]struct{} // what was taken from todo: the kernel may not have been told yet
	asking  []chan struct{}   // closed when the kernel was told what was to be told by then
	wake    chan struct{}
}

func newNotifier(d *Drive) *notifier {
	return &notifier{d: d, todo: map[note]struct{}{}, wake: make(chan struct{}, 1)}
}

func (q *notifier) put(n note) {
	q.mu.Lock()
	q.todo[n] = struct{}{}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// told returns when the kernel was told all that was put in before.
func (q *notifier) told(ctx context.Context) error {
	done := make(chan struct{})
	q.mu.Lock()
	q.asking = append(q.asking, done)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-q.d.done:
		return api.Errorf(api.Unavailable, "the drive is closed")
	}
}

// entry drops a name of a directory that the kernel knows; locked.
func (q *notifier) entry(parent *node, name string) {
	if parent != nil && parent != q.muted && parent.lookups > 0 {
		q.put(note{fid: parent.fid, name: name})
		q.put(note{fid: parent.fid, data: true})
	}
}

// moved drops the names of a rename if what one of them led to before is news to the kernel: it moves what it knew. It is told
// when the rename is over, whose directories it keeps locked as long. Locked.
func (q *notifier) moved(from, to note) {
	if q.owes(from) || q.owes(to) {
		q.put(from)
		q.put(to)
	}
}

// inode drops a node's attributes, and for data its cached content; locked.
func (q *notifier) inode(n *node, data bool) {
	if n.lookups > 0 {
		q.put(note{fid: n.fid, data: data})
	}
}

// outdated tells whether the kernel may have content of a node that is not the node's any more.
func (q *notifier) outdated(n *node) bool { return q.owes(note{fid: n.fid, data: true}) }

// owes tells whether the kernel may not have been told something yet.
func (q *notifier) owes(n note) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, todo := q.todo[n]
	_, telling := q.telling[n]
	return todo || telling
}

// Renew lets the kernel look a directory up again: another drive is shown in it
// from now on, or no more.
func (d *Drive) Renew(id api.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.load(id)
	if err != nil || n == nil {
		return // nobody has seen it
	}
	if p := d.byID[n.up]; p != nil {
		d.notes.entry(p, string(n.name))
	}
	d.letGo(n)
}

func (q *notifier) run() {
	for {
		select {
		case <-q.d.done:
			return
		case <-q.wake:
		}
		q.mu.Lock()
		todo, asking := q.todo, q.asking
		q.todo, q.telling, q.asking = map[note]struct{}{}, todo, nil
		q.mu.Unlock()
		k := q.d.kernel()
		var unneeded, inodes []note
		for n := range todo {
			switch {
			case n.kid != 0:
				unneeded = append(unneeded, n)
			case n.name != "":
				k.EntryChanged(n.fid, n.name) // waits for who reads the directory
			default:
				inodes = append(inodes, n)
			}
		}
		for _, n := range inodes { // so that nobody reads on and keeps a listing from before
			k.InodeChanged(n.fid, n.data)
		}
		if len(unneeded) > 0 {
			forget(k, unneeded)
		}
		q.mu.Lock()
		q.telling = nil
		q.mu.Unlock()
		for _, done := range asking {
			close(done)
		}
	}
}

// forget lets the kernel forget nodes. One that can't be asked for that drops their names, whoever uses them, and would unmount what is mounted
// over a name (Covered).
func forget(k Kernel, notes []note) {
	fids := make([]uint64, len(notes))
	for i, n := range notes {
		fids[i] = n.kid
	}
	if k.Prune(fids) || k.Covered() {
		return
	}
	for _, n := range notes {
		k.EntryChanged(n.fid, n.name)
	}
}
