package cache

import (
	"cmp"
	"context"
	"slices"
	"time"

	"satchel/api"
)

// A program that lists one directory and then one below it goes through the tree (`find`, `du`, `grep -r`): then
// the directories before it are listed ahead, several at a time. Looking up a path is no such thing.
const (
	listers    = 4                // requests at a time, for as many directories each as wait then
	strolling  = 10 * time.Second // how long a directory counts as just listed
	listAhead  = 1024             // directories listed and not asked for yet
	stackLimit = 20_000
	company    = time.Second // how long a program waits for a directory that was asked for with others
)

// A walk is the listing ahead of such programs. Guarded by Drive.mu.
type walk struct {
	last    time.Time // when such a program last came to a directory that was not listed before it came
	stack   []api.ID  // directories to be listed, the next one last
	workers int
	unused  int // listed ahead, or being so, and not asked for yet
	most    int // directories in the next request; 0 = api.MaxListings. Less where the answer came too late
}

// An asked is a directory that was asked for with others.
type asked struct {
	n *node
	f *fetch
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
	for time.Since(w.last) < walking && d.ctx.Err() == nil {
		all, ids := d.gather()
		if len(all) == 0 {
			return
		}
		l := d.listen(ids...)
		d.mu.Unlock()
		answers, old, err := d.together(d.ctx, ids, l.epoch, firstPage)
		d.mu.Lock()
		switch {
		case err != nil:
			w.stack = nil // nobody profits from more of that
		case old: // what this device sent was answered meanwhile
			w.most = max(len(all)/2, 1)
		default:
			if w.most *= 2; w.most >= api.MaxListings {
				w.most = 0
			}
		}
		for i, a := range slices.Backward(all) {
			if i < len(answers) {
				break
			}
			if d.askAlone(a.n, a.f); err == nil {
				w.stack = append(w.stack, a.n.id)
			}
		}
		d.arrived(all[:len(answers)], l, answers)
	}
}

// gather takes directories from the stack that are to be asked for together, the next one first; locked.
func (d *Drive) gather() (all []asked, ids []api.ID) {
	w := &d.walk
	for most := cmp.Or(w.most, api.MaxListings); len(w.stack) > 0 && len(all) < most && w.unused < listAhead; {
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
		n.fetch = &fetch{done: make(chan struct{}), among: true, waiting: 1}
		n.ahead = true
		w.unused++
		all, ids = append(all, asked{n, n.fetch}), append(ids, id)
	}
	return all, ids
}

// askAlone gives up waiting for a directory that was asked for with others: who needs it asks for it alone, and hears what is wrong with it. Locked.
func (d *Drive) askAlone(n *node, f *fetch) {
	if !f.among || f.ended {
		return
	}
	delete(d.listing, n.id)
	d.notAhead(n)
	f.givenUp = true
	f.waiting-- // for who asked
	d.end(n, f, nil)
}

// notAhead notes that a directory was not listed before it was asked for; locked.
func (d *Drive) notAhead(n *node) {
	if n.ahead {
		n.ahead = false
		d.walk.unused = max(d.walk.unused-1, 0)
	}
}

// arrived takes the answers to what was asked for together; locked, and given up in between.
func (d *Drive) arrived(all []asked, l *listed, answers []api.Listed) {
	var found []*listing
	for i, a := range all {
		switch first := answers[i].Listing; {
		case a.f.ended: // somebody could not wait
		case answers[i].Problem != "":
			d.askAlone(a.n, a.f)
		case first.More:
			a.f.among = false
			a.f.waiting--
			d.goOn(a, l, &first)
		case d.finish(a.n, l, []api.Listing{first}, nil) != nil:
			d.askAlone(a.n, a.f)
		default:
			a.f.waiting--
			found = append(found, a.n.list)
			d.end(a.n, a.f, nil)
		}
		d.mu.Unlock() // programs go on
		d.mu.Lock()
	}
	for _, l := range slices.Backward(found) {
		d.ahead(l)
	}
}

// goOn lists the rest of a directory of which the first page has come; locked.
func (d *Drive) goOn(a asked, l *listed, first *api.Listing) {
	d.run(a.n, a.f, func(ctx context.Context) error {
		err := d.listRest(ctx, a.n, l, first)
		if err != nil {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.notAhead(a.n)
			a.f.givenUp = true
		}
		return err
	})
}
