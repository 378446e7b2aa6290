package cache

import (
	"fmt"
	"time"

	"satchel/api"
)

// A batch that the server answers and never applies (a fault of the server's, a proxy
// that lets no request of its size through) must not hold up what else there is to send and
// to hear. It is taken back and sent in halves, until the mutation that fails is
// alone; that one is set aside with what must not overtake it, and offered again
// later and later. The rest goes on.
//
// Whether the server applied a batch that it answered with an error can't be known from
// the error: it may have failed afterwards. So before a batch is taken back, its number
// is used up by an empty one. The server takes that only if the number is new to it, and from then
// on will not take the batch that had it.

const (
	commitTries  = 2                // failures of a batch before it is taken back
	farTries     = 5                // the same when it may be the way to the server that fails
	firstPause   = time.Second      // before what was set aside is offered again
	longestPause = 10 * time.Minute // the same in the end
)

// hopeless counts a failure of a batch, and tells whether it is time to take the batch back.
func (d *Drive) hopeless(f *flight, err error) bool {
	limit := commitTries
	switch api.KindOf(err) {
	case api.RateLimited, api.Unauthenticated:
		return false
	case api.Unavailable, api.Cancelled: // Cancelled: it took too long
		limit = farTries
	}
	if d.syn.most > 0 {
		limit = 1 // what fails is being looked for
	}
	f.fails++
	if !f.emptied {
		f.why = err
	}
	return d.ctx.Err() == nil && (f.fails >= limit || f.retrial)
}

// takeBack makes sure that a failed batch is not applied any more, and puts its mutations
// back into the journal, to be sent in smaller batches. The error is that this can't be
// made sure of, so that the batch has to be sent again.
func (d *Drive) takeBack(f *flight, why error) error {
	f.emptied = true
	_, err := d.cfg.Remote.Commit(d.ctx, api.Batch{Incarnation: f.Batch.Incarnation, Number: f.Batch.Number, Mutations: []api.Mutation{}})
	astray := err != nil && api.KindOf(err) == api.Invalid && api.KindOf(why) == api.Invalid
	if err != nil && !astray {
		return why // the server may have applied it, or does not take anything
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.begin()
	t.behind = true
	if astray {
		// The server knows later numbers than this cache, which was put back from a copy.
		d.log.Warn("the server knows later batches than this cache: a new life begins", "number", f.Batch.Number)
		d.beginLife(t)
		d.syn.epoch = api.ID{} // it has missed what it did since: all is listed again
		d.saveCursor(t)
	}
	d.unsend(t, f, false)
	d.syn.problem = nil
	d.syn.most = max(1, len(f.Entries)/2)
	if len(f.Entries) == 1 && !astray {
		d.setAside(f.Entries[0], f.why) // not what its own end came to
	}
	d.log.Warn("a batch was taken back", "mutations", len(f.Entries), "next", d.syn.most, "why", why)
	return t.commit()
}

// setAside puts off a mutation that fails; locked.
func (d *Drive) setAside(seq uint64, why error) {
	e := d.journal.find(seq)
	if e == nil {
		return // dropped: a later one carries what it had
	}
	pause := min(firstPause<<min(e.fails, 20), longestPause)
	e.after = time.Now().Add(pause)
	d.journal.fail(e, why)
	if e.fails == 2 { // not for what was over in a second
		d.noteEvent(EventStuck, e.m.Parent, d.nameOf(e), "", why.Error(), api.ID{})
	}
}

// offerStuck makes what was set aside due now; locked.
func (d *Drive) offerStuck() {
	if d.journal.failing == 0 {
		return
	}
	for _, e := range d.journal.order {
		if !e.gone && e.fails > 0 {
			e.after = time.Time{}
		}
	}
}

// offerClosed makes due what was set aside of a file that was open for writing; locked.
func (d *Drive) offerClosed(n *node) {
	if n.hot != nil && n.hot.entry != nil && n.hot.entry.fails > 0 {
		n.hot.entry.after = time.Time{}
	}
}

// nameOf is the name that people know a mutation's node by; locked.
func (d *Drive) nameOf(e *entry) api.Name {
	if e.m.Name != "" {
		return e.m.Name
	}
	if n, err := d.load(e.m.Node); err == nil && n != nil {
		defer d.letGo(n)
		return n.name
	}
	return "?"
}

// stuck says what is set aside, for people; nil when nothing is. Locked.
func (d *Drive) stuck() error {
	if d.journal.failing == 0 {
		return nil
	}
	for _, e := range d.journal.order {
		if e.gone || e.fails == 0 {
			continue
		}
		more := ""
		if n := d.journal.failing - 1; n > 0 {
			more = fmt.Sprintf(" and on %d more", n)
		}
		return api.Errorf(api.KindOf(e.why), "the server fails on %q (%s)%s: %w; it is kept here and tried again, all else goes on",
			d.nameOf(e), e.m.Op, more, e.why)
	}
	return nil
}

// onlyStuck tells whether all that was pending at a number is set aside, or behind what is, so
// that waiting for them is in vain; of a node (zero: of any). Locked.
func (d *Drive) onlyStuck(last uint64, of api.ID) bool {
	if d.journal.failing == 0 || d.syn.flight != nil {
		return false
	}
	var w waiting
	any, heirs := false, 0 // what has a later number and carries what was pending then
	for e := range d.journal.heirs {
		heirs += count(e.seq > last && e.since <= last && !e.stays)
	}
	for _, e := range d.journal.order {
		if e.gone || e.stays {
			continue
		}
		if e.seq > last && heirs == 0 {
			break
		}
		held := e.fails > 0 && !e.after.IsZero() || w.behind(&e.m)
		if held {
			w.add(&e.m)
		}
		if e.since > last {
			continue
		}
		if e.seq > last {
			heirs--
		}
		if of.IsZero() || e.m.Node == of {
			if !held {
				return false
			}
			any = true
		}
	}
	return any
}
