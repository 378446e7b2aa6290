package cache

import (
	"context"
	"slices"
	"sync"
	"time"

	"satchel/api"
	"satchel/api/pace"
)

// A fetch is a download or listing under way; all who need it wait for the one. The fields are guarded by Drive.mu, but for
// err, which may be read when done is closed.
type fetch struct {
	done  chan struct{}
	err   error
	freed int64 // of content: slots.freed when it began

	waiting int                // who waits for it,
	giveUp  context.CancelFunc // of listings: if nobody does
	among   bool               // of listings: it was asked for with others
	ended   bool               // its node has no fetch any more
	givenUp bool               // what it is of is to be asked for again

	mu   sync.Mutex
	till time.Time // of listings: until when who reads is patient for what has come; guarded by mu
}

// came tells of n bytes of a listing that have come.
func (f *fetch) came(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.till = later(f.till, now).Add(pace.Worth(n))
	if most := now.Add(patience); f.till.After(most) {
		f.till = most
	}
}

func (f *fetch) patient() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.till
}

// maxLeft is how many listings go on that nobody waits for any more. A program that asks again after it got no answer
// finds its listing further on; but where no server answers, and programs try one directory after the other, there is an end to it.
const maxLeft = 64

// firstPage is how many entries of a directory are asked for at first, since somebody may wait for them; then it is as many as there can be.
const firstPage = 2000

// run does the work of a listing under way in the background; locked.
func (d *Drive) run(n *node, f *fetch, work func(context.Context) error) {
	ctx, cancel := context.WithCancel(d.ctx)
	f.giveUp = cancel
	d.wg.Go(func() {
		defer cancel()
		err := work(pace.Tell(ctx, f.came))
		d.mu.Lock()
		defer d.mu.Unlock()
		d.end(n, f, err)
	})
}

// end ends a listing; locked.
func (d *Drive) end(n *node, f *fetch, err error) {
	n.fetch, f.ended, f.err = nil, true, err
	d.left = slices.DeleteFunc(d.left, func(x *fetch) bool { return x == f })
	d.letGo(n)
	close(f.done)
}

// join is to be called by who waits for a listing, before it gives up the lock; and leave when it has it again. Locked.
func (d *Drive) join(f *fetch) {
	if f.waiting++; f.waiting == 1 {
		d.left = slices.DeleteFunc(d.left, func(x *fetch) bool { return x == f })
	}
}

func (d *Drive) leave(f *fetch) {
	if f.waiting--; f.waiting > 0 || f.ended || f.givenUp {
		return
	}
	if d.left = append(d.left, f); len(d.left) > maxLeft {
		oldest := d.left[0]
		d.left = slices.Delete(d.left, 0, 1)
		oldest.givenUp = true
		oldest.giveUp()
	}
}

// fetchDir lists a directory for the first time; locked. Of a server that was restored it waits until that has what it lacks:
// what comes up in a listing leaves the place where it is here.
func (d *Drive) fetchDir(n *node) *fetch {
	if n.fetch != nil {
		return n.fetch
	}
	n.fetch = &fetch{done: make(chan struct{})}
	d.run(n, n.fetch, func(ctx context.Context) error {
		for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
			err := d.fetchPages(ctx, n)
			if api.KindOf(err) != api.Resync {
				return err
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(pause):
			}
		}
	})
	return n.fetch
}

// fetchPages makes one attempt at that.
func (d *Drive) fetchPages(ctx context.Context, n *node) error {
	d.mu.Lock()
	l := d.listen(n.id)
	d.mu.Unlock()
	return d.listRest(ctx, n, l, nil)
}

// listRest lists a directory of which the first page may be here (nil: none).
func (d *Drive) listRest(ctx context.Context, n *node, l *listed, first *api.Listing) error {
	pages, err := d.pages(ctx, n.id, l.epoch, first)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.finish(n, l, pages, err); err != nil {
		return err
	}
	d.ahead(n.list)
	return nil
}

// finish makes a directory what its pages say, or tells why there are none; locked.
func (d *Drive) finish(n *node, l *listed, pages []api.Listing, err error) error {
	delete(d.listing, n.id)
	switch {
	case err != nil:
	case l.epoch != d.syn.believed:
		err = errRestored
	case l.void:
		err = errMissed
	}
	if err != nil {
		return err
	}
	said := l.newest(n.id, pages)
	d.forgetLanded(said, l.landed)
	return d.complete(n, said)
}

// A page of a directory that is on its way, with the next one behind it.
type page struct {
	after   api.Name
	done    chan struct{} // closed when the rest is there
	listing api.Listing
	err     error
	next    *page // nil: it was not asked for yet
}

// pageChain asks for the pages of a directory, one after the other.
type pageChain struct {
	d      *Drive
	dir    api.ID
	ctx    context.Context
	cancel context.CancelFunc
	atOnce chan struct{} // has room for those that come at once
}

func (d *Drive) chain(ctx context.Context, dir api.ID) *pageChain {
	c := &pageChain{d: d, dir: dir, atOnce: make(chan struct{}, 2)}
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// ask begins with a page. The server makes the next one while it is decoded.
func (c *pageChain) ask(after api.Name) *page {
	p := &page{after: after, done: make(chan struct{})}
	c.d.wg.Go(func() {
		defer close(p.done)
		select {
		case c.atOnce <- struct{}{}:
		case <-c.ctx.Done():
			p.err = c.ctx.Err()
			return
		}
		defer func() { <-c.atOnce }()
		limit := api.MaxPage
		if after == "" {
			limit = firstPage
		}
		p.listing, p.err = c.d.cfg.Remote.Children(c.ctx, c.dir, after, limit, func(after api.Name) { p.next = c.ask(after) })
	})
	return p
}

// pages reads a whole directory, of which the first page may be here. A page that is older than what is known here is read again, and one
// of another epoch ends it (outdated).
func (d *Drive) pages(ctx context.Context, dir, epoch api.ID, first *api.Listing) ([]api.Listing, error) {
	c := d.chain(ctx, dir)
	defer func() { c.cancel() }()
	var p *page
	if first != nil {
		p = &page{done: make(chan struct{}), listing: *first}
		close(p.done)
	} else {
		p = c.ask("")
	}
	var all []api.Listing
	for ; ; p = p.next {
		<-p.done
		if p.err != nil {
			return nil, p.err
		}
		l := &p.listing
		old, err := d.outdated(l, epoch)
		if err != nil {
			return nil, err
		}
		if old {
			c.cancel()
			c = d.chain(ctx, dir)
			p.next = c.ask(p.after)
			continue
		}
		all = append(all, *l)
		if !l.More || len(l.Entries) == 0 {
			return all, nil
		}
		if p.next == nil {
			p.next = c.ask(l.Entries[len(l.Entries)-1].Name)
		}
	}
}

// complete makes a directory's entries what the server said, in this order; locked.
func (d *Drive) complete(n *node, said []api.State) error {
	if n.dead {
		return errNotFound
	}
	t := d.begin()
	n.flags |= flagComplete
	n.nlink = 2
	if n.list == nil {
		n.list = newListing()
	}
	// The kernel knows no name of it yet; and a note that comes late would tear a name
	// from a directory that somebody has entered meanwhile.
	d.notes.muted = n
	defer func() { d.notes.muted = nil }()
	for i := range said {
		if err := d.applyState(t, &said[i]); err != nil {
			t.close()
			n.list, n.flags = nil, n.flags&^flagComplete
			return err
		}
	}
	if err := d.reenter(t, n); err != nil {
		t.close()
		n.list, n.flags = nil, n.flags&^flagComplete
		return err
	}
	t.node(n)
	d.grown(n)
	if n.awaited > 0 {
		d.keepRead(n, t.kept)
	}
	return t.commit()
}

// reenter gives what was made here in a directory before it was listed (salvage)
// its name in it; locked.
func (d *Drive) reenter(t *tx, p *node) error {
	if d.journal.under[p.id] == 0 {
		return nil
	}
	for _, e := range d.journal.order {
		if e.gone || e.m.Op != api.OpCreate || e.m.Parent != p.id || p.list.byName[e.m.Name] != nil {
			continue
		}
		n, err := d.load(e.m.Node)
		if err != nil {
			return err
		}
		if n != nil && n.up == p.id && n.name == e.m.Name {
			t.link(p, p.list, e.m.Name, n)
			if n.isDir() {
				p.nlink++
			}
			d.letGo(n)
		}
	}
	return nil
}

// local makes sure that a file's content is on this machine; locked, and given up while it is fetched.
func (d *Drive) local(n *node, intr Interrupt) error {
	for tries := 1; n.slot == 0; {
		if n.stale || n.dead { // the kernel looks the name up again
			return ErrStale
		}
		if n.size == 0 || n.version.IsZero() {
			t := d.begin()
			c, err := d.fresh(t, n, false)
			if err != nil {
				t.close()
				return api.Errorf(kindOf(err), "make a content file: %w", err)
			}
			c.rec.ctime = c.ctime()
			t.slot(c)
			t.node(n)
			return t.commit()
		}
		if waited, err := d.awaitRoom(intr); err != nil {
			return err
		} else if waited {
			continue
		}
		if piecemeal(n) {
			if err := d.whole(n, false, intr); err != nil {
				return err
			}
			continue
		}
		f := d.fetchSmall(n)
		if err := d.awaitContent(f, intr); err != nil {
			if !full(err) || tries == roomTries || !d.makeRoom(f.freed, intr) {
				return err
			}
			tries++
		}
	}
	if n.stale {
		return ErrStale
	}
	return nil
}

// whole fetches all of a large file, for a pin only if there is room for it; locked, and given up while it waits.
func (d *Drive) whole(n *node, pin bool, intr Interrupt) error {
	p, err := d.partOf(n)
	if err != nil {
		return err
	}
	p.want()
	if pin {
		d.awaitHoles(p, d.done)
		err = d.roomToPin(p.missing())
	}
	if err == nil {
		d.mu.Unlock()
		err = p.awaitAll(pin, intr)
		d.mu.Lock()
	}
	if n.part == p {
		d.leavePart(n)
	} else { // it is the node's own now, or another version came
		d.unwant(p)
	}
	return err
}

// readable makes sure that a file's content can be read: it is here, or comes as it is read; locked, and given up
// while a small one is fetched.
func (d *Drive) readable(n *node, intr Interrupt) error {
	if n.stale || n.dead || !piecemeal(n) {
		return d.local(n, intr)
	}
	if waited, err := d.awaitRoom(intr); err != nil {
		return err
	} else if waited {
		return d.readable(n, intr)
	}
	_, err := d.partOf(n)
	return err
}

// awaitContent waits for a download as long as it makes progress.
func (d *Drive) awaitContent(f *fetch, intr Interrupt) error {
	d.mu.Unlock()
	defer d.mu.Lock()
	select {
	case <-f.done:
		return f.err
	case <-intr:
		return errStopped
	}
}

// orKind keeps the kind that an error has, or classifies a local one.
func orKind(err error) api.Kind {
	if k := api.KindOf(err); k != api.Internal {
		return k
	}
	return kindOf(err)
}
