package cache

import (
	"time"

	"satchel/api"
)

// A program that lists one directory and then one below it goes through the tree (`find`, `du`, `grep -r`): then
// the directories before it are listed ahead, several at a time. Looking up a path is no such thing.
const (
	listers    = 16
	strolling  = 10 * time.Second // how long a directory counts as just listed
	listAhead  = 512              // directories listed and not asked for yet
	stackLimit = 20_000
)

// A walk is the listing ahead of such programs. Guarded by Drive.mu.
type walk struct {
	last    time.Time // when such a program last came to a directory that was not listed before it came
	stack   []api.ID  // directories to be listed, the next one last
	workers int
	unused  int // listed ahead and not asked for yet
}

// passes notes that a program lists a directory; locked.
func (d *Drive) passes(n *node) {
	w := &d.walk
	now := time.Now()
	n.listed = now
	if n.ahead {
		n.ahead = false
		w.unused = max(w.unused-1, 0)
		w.last = now
		d.listOn()
	}
	if n.flags&flagComplete != 0 {
		return
	}
	p := d.byID[n.up]
	if p == nil || p.list == nil || now.Sub(p.listed) > strolling {
		return
	}
	w.last = now
	if len(w.stack) == 0 && w.workers == 0 {
		w.unused = 0
		d.ahead(p.list)
	}
}

// ahead puts the directories among a listing's entries on the stack while somebody walks; locked.
func (d *Drive) ahead(l *listing) {
	w := &d.walk
	if time.Since(w.last) > walking {
		w.stack = nil
		return
	}
	for i := len(l.order) - 1; i >= 0 && len(w.stack) < stackLimit; i-- {
		if k := l.order[i]; k.typ == 'd' && k.name != "" {
			w.stack = append(w.stack, k.id)
		}
	}
	d.listOn()
}

// listOn lists what is on the stack; locked.
func (d *Drive) listOn() {
	w := &d.walk
	for ; w.workers < min(listers, len(w.stack)); w.workers++ {
		d.wg.Go(d.lister)
	}
}

func (d *Drive) lister() {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &d.walk
	defer func() { w.workers-- }()
	for len(w.stack) > 0 && w.unused < listAhead && time.Since(w.last) < walking && d.ctx.Err() == nil {
		id := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		n, err := d.load(id)
		if err != nil || n == nil {
			continue
		}
		if n.dead || !n.isDir() || n.flags&flagComplete != 0 || n.fetch != nil {
			d.letGo(n)
			continue
		}
		f := d.fetchDir(n)
		n.ahead = true
		w.unused++
		d.join(f)
		d.mu.Unlock()
		<-f.done
		d.mu.Lock()
		d.leave(f)
		if f.err != nil {
			n.ahead = false
			w.stack = nil // nobody profits from more of that
		}
	}
}
