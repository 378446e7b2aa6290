package cache

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"satchel/api"
)

// pollWait is how long the server may keep a poll of the feed when nothing
// happens: the heartbeat of an idle drive.
const pollWait = 20 * time.Second

// runFeed follows the change feed until Close and hands its pages to the syncer.
func (d *Drive) runFeed() {
	wait := time.Duration(0) // the first poll answers at once: then we know that we are connected
	fails := 0
	for d.ctx.Err() == nil {
		ctx, hangUp := context.WithCancel(d.ctx)
		d.mu.Lock()
		life, epoch, seq := d.syn.life, d.syn.epoch, d.syn.seq
		d.hangUp = hangUp
		caught := d.caught
		if caught != nil {
			wait = 0
		}
		d.mu.Unlock()
		page, err := d.cfg.Remote.Changes(ctx, life, epoch, seq, wait)
		woken := ctx.Err() != nil
		hangUp()
		switch {
		case d.ctx.Err() != nil:
			return
		case woken: // the machine was suspended meanwhile
			wait = 0
			continue
		case api.KindOf(err) == api.Resync:
			if d.tell(heard{resync: true}) {
				continue
			}
			fails++
		case err != nil:
			fails++
			d.setConnected(false, err)
			d.caughtUp(caught) // there is nothing to be heard
		default:
			ok := d.tell(heard{page: page})
			d.setConnected(true, nil)
			if ok && !page.More {
				d.caughtUp(caught)
			}
			if ok {
				fails, wait = 0, pollWait
				if page.More {
					wait = 0
				}
				continue
			}
			if fails++; !d.halfListed() { // it was out of date already
				fails = 0
			}
		}
		wait = 0
		select {
		case <-d.done:
			return
		case <-time.After(min(250*time.Millisecond<<min(fails, 6), 10*time.Second)):
		}
	}
}

// tell gives the syncer a page and tells whether it was applied.
func (d *Drive) tell(h heard) bool {
	h.applied = make(chan bool, 1)
	select {
	case d.syn.heard <- h:
	case <-d.done:
		return false
	}
	select {
	case ok := <-h.applied:
		return ok
	case <-d.done:
		return false
	}
}

// setConnected notes whether the feed is up. When it comes up, what is pending is
// tried at once; when it goes down, the kernel is told to ask more often again.
func (d *Drive) setConnected(up bool, err error) {
	if api.KindOf(err) == api.Unauthenticated || errors.Is(err, errAnother) {
		d.setProblem(err)
	}
	was := d.connected.Swap(up)
	first := !d.polled.Swap(true)
	if was == up {
		if first {
			d.mu.Lock()
			d.showing(d.shown.seq) // who waits looks again
			d.mu.Unlock()
		}
		return
	}
	if up {
		d.log.Info("connected")
		d.readIgnores()
		d.quotaNews()
		d.setProblem(nil)
		d.hurryUploads()
		d.mu.Lock()
		d.hurryPins()
		d.mu.Unlock()
		d.wakeSyncer()
		return
	}
	d.log.Warn("disconnected: working from the cache", "err", err)
	d.mu.Lock()
	d.showing(d.shown.seq) // who waits looks again
	d.mu.Unlock()
}

// hurryUploads makes postponed uploads due now and starts the lanes.
func (d *Drive) hurryUploads() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.syn.lanes {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	for _, n := range d.syn.hots {
		if n.hot.tries > 0 {
			n.hot.tries, n.hot.due = 0, time.Now()
			d.enqueue(n)
		}
	}
}

// hear takes in what the feed brought, and tells whether it did. While a batch is in flight nothing is heard: whether that was applied in what is shown can't be
// known. What was read before the last batch was answered, or is of before a restore, is not believed, but what the server says now.
func (d *Drive) hear(h heard) bool {
	d.mu.Lock()
	waits := d.syn.flight != nil
	other := h.page.Epoch != d.syn.believed || d.syn.least != math.MaxInt64 // after a restore not all was listed
	old := h.page.Epoch != d.syn.epoch || h.page.Seq < d.syn.acked
	d.mu.Unlock()
	switch {
	case waits && h.resync:
		d.wakeSyncer()
		return false
	case waits:
		return false // the cursor stays: the feed asks again
	case h.resync, other:
		return d.resync()
	case old:
		return d.ask()
	}
	return d.apply(&h.page)
}

// ask takes in what the server says now, and tells whether it did. Nothing is in flight meanwhile. So what comes knows all that was ever answered, also a page
// that is cut, whose number is that of its last change and says nothing of when it was read.
func (d *Drive) ask() bool {
	for {
		d.mu.Lock()
		life, epoch, seq := d.syn.life, d.syn.epoch, d.syn.seq
		d.mu.Unlock()
		page, err := d.cfg.Remote.Changes(d.ctx, life, epoch, seq, 0)
		switch {
		case api.KindOf(err) == api.Resync:
			return d.resync()
		case err != nil: // the feed finds out what is wrong
			return false
		case !d.apply(&page):
			return false
		case !page.More:
			return true
		}
	}
}

// resync lists again, and tells whether it did.
func (d *Drive) resync() bool {
	err := d.relist()
	if err == nil {
		return true
	}
	d.log.Warn("list again", "err", err)
	if errors.Is(err, errAnother) {
		d.setProblem(err)
	}
	return false
}

// apply makes true here what a page of the feed says, and tells whether it did.
func (d *Drive) apply(p *api.Changes) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.Epoch != d.syn.epoch || p.Epoch != d.syn.believed {
		return false
	}
	if p.Seq == d.syn.seq && len(p.Nodes)+len(p.Entries)+len(p.Gone) == 0 {
		d.showing(p.Seq)
		return true
	}
	d.overheard(&p.State)
	t := d.begin()
	if err := d.applyState(t, &p.State); err != nil {
		d.log.Error("apply changes", "err", err)
		t.commit() // what was applied is true all the same; the page comes again
		return false
	}
	d.syn.seq = p.Seq
	d.quotaNews()
	d.saveCursor(t)
	if err := t.commit(); err != nil {
		d.log.Error("apply changes", "err", err)
		return false
	}
	d.showing(p.Seq)
	return true
}

// relisting is how far relist has come. After an error it goes on there: what was listed was so after the point from which
// the feed will tell all changes, however long ago that is.
type relisting struct {
	from, to point // the cursor that the server does not know, and the one that will be
	done     map[api.ID]bool
}

// A point in the drive's order, as a cursor has it.
type point struct {
	epoch api.ID
	seq   int64
}

// relistTo begins with it, or goes on, and is how far it has come; locked.
func (d *Drive) relistTo(info *api.DriveInfo) *relisting {
	r := d.syn.relisting
	if from := (point{d.syn.epoch, d.syn.seq}); r == nil || r.from != from || r.to.epoch != info.Epoch {
		r = &relisting{from, point{info.Epoch, info.Seq}, map[api.ID]bool{}}
		d.syn.relisting = r
		d.leap()
	}
	return r
}

// relist reads every directory that this machine keeps again: the server
// does not know our cursor any more. Pending mutations stay.
func (d *Drive) relist() (err error) {
	info, err := d.cfg.Remote.Info(d.ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	r := d.relistTo(&info)
	defer func() {
		if err != nil { // with the old cursor the server tells us to begin again
			d.mu.Lock()
			d.syn.epoch, d.syn.seq = r.from.epoch, r.from.seq
			d.mu.Unlock()
		}
	}()
	d.syn.epoch, d.syn.seq = r.to.epoch, r.to.seq
	d.drive = info
	if d.syn.believed.IsZero() {
		d.syn.believed = info.Epoch
	}
	restored := d.syn.believed != info.Epoch
	dirs, err := d.listedDirs()
	d.mu.Unlock()
	if err != nil {
		return err
	}
	if restored {
		if err := d.resend(d.parentsFirst(dirs), &info); err != nil {
			return err
		}
	}
	dirs = slices.DeleteFunc(dirs, func(id api.ID) bool { return r.done[id] })
	done, err := d.listAgain(dirs)
	for _, id := range done {
		r.done[id] = true
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	t := d.begin()
	d.saveCursor(t)
	t.b.Set(metaKey("drive"), mustJSON(d.drive), nil)
	t.b.Delete(metaKey("believed"), nil)
	if err = t.commit(); err == nil {
		d.syn.relisting = nil
		d.syn.epochs, d.syn.least = epochs(info.Former, info.Epoch), math.MaxInt64
		d.showing(d.syn.seq)
	}
	d.mu.Unlock()
	return err
}

// errMissed means that a directory was listed while the cursor leapt.
var errMissed = api.Errorf(api.Resync, "the feed has skipped changes: the directory is listed again")

// listedDirs is the directories that this machine keeps whole, and the server shall know; locked.
func (d *Drive) listedDirs() (dirs []api.ID, err error) {
	err = d.st.scan([]byte{keyNode}, func(k, v []byte) error {
		r, err := decodeRecord(v)
		if id := api.ID(k[1:17]); err == nil && r.isDir() && r.flags&flagComplete != 0 && d.journal.staying[id] == nil {
			dirs = append(dirs, id)
		}
		return err
	})
	return dirs, err
}

// parentsFirst puts directories into an order in which each comes after those
// above it.
func (d *Drive) parentsFirst(dirs []api.ID) []api.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	depth := make(map[api.ID]int, len(dirs))
	for _, id := range dirs {
		for up := id; up != d.root.id && depth[id] < len(dirs); depth[id]++ {
			n, err := d.load(up)
			if err != nil || n == nil {
				break
			}
			up = n.up
			d.letGo(n)
		}
	}
	sorted := slices.Clone(dirs)
	slices.SortStableFunc(sorted, func(a, b api.ID) int { return depth[a] - depth[b] })
	return sorted
}

// listAgain makes directories what the server says they are, and returns those for which that is done, also with an error. What is
// heard and sent meanwhile waits for it.
func (d *Drive) listAgain(dirs []api.ID) (done []api.ID, err error) {
	d.mu.Lock()
	epoch := d.syn.believed
	d.mu.Unlock()
	err = d.eachListing(dirs, epoch, func(id api.ID, pages []api.Listing) (err error) {
		if pages == nil && !d.unknown(id) {
			err = d.vanished(id) // it goes with its parent's listing
		} else {
			err = d.relisted(id, pages)
		}
		if err == nil {
			done = append(done, id)
		}
		return err
	})
	return done, err
}

// vanished takes note of a directory that is gone on the server. It is to be listed again, if what is pending below it may bring
// it back: without what was in it, which its parent's listing does not tell. One that no name leads to goes now: nothing else would
// take it, and its names would be there when another device brings it back.
func (d *Drive) vanished(id api.ID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.load(id)
	if err != nil || n == nil {
		return err
	}
	defer d.letGo(n)
	if n.dead || n == d.root {
		return nil
	}
	t := d.begin()
	t.behind = true
	switch {
	case t.unsentBelow(n):
		d.doubt(t, id)
	case !d.reached(n) && !t.staysBelow(n) && len(d.journal.byNode[id]) == 0:
		d.perish(t, n)
	}
	return t.commit()
}

// unknown says whether a directory is here but not yet on the server: only
// what waits to be sent is in it.
func (d *Drive) unknown(id api.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.load(id)
	if err != nil || n == nil {
		return false
	}
	defer d.letGo(n)
	return !n.dead && n.flags&flagAcked == 0
}

// resolve lists the directories again whose changes were put off for what
// was pending in them, once nothing is.
func (d *Drive) resolve() error {
	d.mu.Lock()
	if len(d.syn.doubt)+len(d.syn.astray) == 0 {
		d.mu.Unlock()
		return nil
	}
	t := d.begin()
	t.behind = true
	d.doubtAstray(t)
	if err := t.commit(); err != nil {
		d.mu.Unlock()
		return err
	}
	var dirs []api.ID
	above := d.aboveUnsent()
	for id := range d.syn.doubt {
		if !d.isIn(above, id) {
			dirs = append(dirs, id)
		}
	}
	if len(dirs) == 0 {
		d.mu.Unlock()
		return nil
	}
	d.syn.again = map[api.ID]bool{}
	d.mu.Unlock()
	done, err := d.listAgain(dirs)
	d.mu.Lock()
	defer d.mu.Unlock()
	again := d.syn.again
	d.syn.again = nil
	if len(done) == 0 {
		return err
	}
	above = d.aboveUnsent()
	for _, id := range done {
		if !again[id] && !d.isIn(above, id) {
			delete(d.syn.doubt, id)
		}
	}
	t = d.begin()
	t.behind = true
	t.b.Set(metaKey("doubt"), mustJSON(d.syn.doubt), nil)
	return cmp.Or(err, t.commit())
}

// isIn tells whether a directory that is here is in a set; one that is gone is in none. Locked.
func (d *Drive) isIn(above dirs, id api.ID) bool {
	if !above.has(id) {
		return false
	}
	n, err := d.load(id)
	if err == nil && n != nil {
		d.letGo(n)
	}
	return err != nil || n != nil
}

// relisted applies a fresh listing of a directory that was complete: what it
// does not name is gone.
func (d *Drive) relisted(id api.ID, pages []api.Listing) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.load(id)
	if err != nil || n == nil || n.dead {
		return err
	}
	l, err := d.dir(n, nil)
	if err != nil {
		return err
	}
	there := map[api.Name]bool{}
	t := d.begin()
	for i := range pages {
		for _, e := range pages[i].Entries {
			there[e.Name] = true
		}
		if err := d.applyState(t, &pages[i].State); err != nil {
			t.commit()
			return err
		}
	}
	for name := range l.byName {
		if there[name] {
			continue
		}
		if err := d.applyEntry(t, api.EntryState{Parent: id, Name: name}, nil, nil); err != nil {
			t.commit()
			return err
		}
	}
	return t.commit()
}
