package cache

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"satchel/api"
	"satchel/api/pace"
)

const (
	maxRange  = 16 << 20  // bytes of one request, on a link that is slower than the hash
	piece     = 256 << 10 // bytes written at once
	inFlight  = 3         // requests of one file at the same time,
	urgentToo = 32        // with those that a read waits for
	soonAgain = 250 * time.Millisecond
)

// await returns when bytes off to end (exclusive) of the content are here; not locked. The error is of kind Unavailable when
// too little comes for patience, Cancelled when intr is closed, Internal when the content turned out to be damaged.
func (p *partial) await(off, end int64, intr Interrupt) error {
	end = min(end, p.size)
	if off >= end {
		return nil
	}
	first, last := off/blockSize, blocksOf(end)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readAhead(off, end)
	since, fails := time.Now(), p.fails
	for {
		// Once all is here, nothing more is shown until it is proven, in whichever order it came and is read: whoever
		// has read all of it knows that it was right. Unless that takes long.
		unproven := !p.proven && (p.through || p.size-p.hashed <= proveFirst) && p.complete()
		if p.damaged != nil {
			return p.damaged
		}
		if p.have.hasAll(first, last) && !unproven {
			p.work()
			return nil
		}
		if p.fails != fails {
			fails = p.fails
			if err := p.failed(since, first, last, intr); err != nil {
				return err
			}
			continue
		}
		if !p.demand(first, last) {
			p.work() // else when that arrives: it is to have the open connection
		}
		if err := p.attend(since, first, last, intr); err != nil {
			return err
		}
	}
}

// awaitAll returns when all is here and proven, with errors as of await; not locked. With pin nobody waits who is to write it.
func (p *partial) awaitAll(pin bool, intr Interrupt) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all++
	defer func() { p.all-- }()
	if pin {
		p.pins++
		defer func() { p.pins-- }()
	}
	since, fails := time.Now(), p.fails
	for !p.whole() {
		if p.damaged != nil {
			return p.damaged
		}
		if p.fails != fails {
			fails = p.fails
			if err := p.failed(since, 0, 0, intr); err != nil {
				return err
			}
		}
		p.work()
		if err := p.attend(since, 0, 0, intr); err != nil {
			return err
		}
	}
	return nil
}

// failed decides after a failed request whether to try again, and pauses before that; with mu held. since is when the call began.
func (p *partial) failed(since time.Time, first, end int64, intr Interrupt) error {
	if api.KindOf(p.failure) != api.Unavailable || !p.d.connected.Load() {
		return p.failure
	}
	left := time.Until(later(since.Add(patience), p.till))
	if left <= 0 {
		return errOffline
	}
	if !p.sleep(&waiter{first: first, end: end, pauses: true}, min(soonAgain, left), intr) {
		return errStopped
	}
	return nil
}

// attend waits for news, for no longer than patience while too little arrives; with mu held. since is when the call began.
func (p *partial) attend(since time.Time, first, end int64, intr Interrupt) error {
	wait := time.Until(later(since.Add(patience), p.till))
	if !p.proven && p.complete() { // it is being proven
		wait = patience
	}
	if wait <= 0 {
		return errOffline
	}
	if !p.sleep(&waiter{first: first, end: end}, wait, intr) {
		return errStopped
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// A waiter is a call that waits for blocks; for first = end, for the proof of the whole.
type waiter struct {
	first, end int64
	pauses     bool // a request failed, and it is to ask again later
	woken      chan struct{}
}

// sleep waits until the blocks of w are there or something went wrong, with mu given up; false when the caller gave up.
func (p *partial) sleep(w *waiter, most time.Duration, intr Interrupt) bool {
	w.woken = make(chan struct{})
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()
	t := time.NewTimer(most)
	ok := true
	select {
	case <-w.woken:
	case <-t.C:
	case <-intr:
		ok = false
	case <-p.d.done:
		ok = false
	}
	t.Stop()
	p.mu.Lock()
	p.waiters = slices.DeleteFunc(p.waiters, func(x *waiter) bool { return x == w })
	return ok
}

// tell wakes those whose blocks are there, or everybody; with mu held.
func (p *partial) tell(all bool) {
	p.waiters = slices.DeleteFunc(p.waiters, func(w *waiter) bool {
		if all || w.first < w.end && p.have.hasAll(w.first, w.end) {
			close(w.woken)
			return true
		}
		return false
	})
}

// demand requests at once what a read waits for, and tells whether it did; with mu held.
func (p *partial) demand(first, end int64) (requested bool) {
	for len(p.working) < urgentToo {
		a, b := p.have.gap(&p.asked, first, end, maxRange/blockSize)
		if a >= b {
			break
		}
		p.request(span{a, b})
		first, requested = b, true
	}
	return requested
}

// demandMore requests what reads wait for and could not request, since there were too many requests; with mu held.
func (p *partial) demandMore() {
	for _, w := range p.waiters {
		if !w.pauses {
			p.demand(w.first, w.end)
		}
	}
}

// work starts requests for what is queued; with mu held.
func (p *partial) work() {
	for len(p.working) < inFlight {
		s, ok := p.next()
		if !ok {
			return
		}
		p.request(s)
	}
}

// next takes the next part to be fetched; with mu held.
func (p *partial) next() (span, bool) {
	for len(p.queue) > 0 {
		q := &p.queue[0]
		a, b := p.have.gap(&p.asked, q.first, q.end, p.most(maxRange)/blockSize)
		if q.first = b; b >= q.end {
			p.queue = p.queue[1:]
		}
		if a < b {
			return span{a, b}, true
		}
	}
	if p.all > 0 {
		a, b := p.have.gap(&p.asked, p.have.run(0), p.have.blocks, maxRange/blockSize)
		return span{a, b}, a < b
	}
	return span{}, false
}

// request fetches a part in the background; with mu held, by somebody who uses p. A block that is asked for is not here, and only who asked for it touches
// the content file there, to write it or to punch it out. So when all is here nobody does, and the file can become the node's own.
func (p *partial) request(s span) {
	for b := s.first; b < s.end; b++ {
		p.asked.set(b)
	}
	r := &span{s.first + 1, s.end} // the first block is its own: it never has nothing to do
	p.working = append(p.working, r)
	p.users++
	stop := p.stop
	p.d.wg.Go(func() {
		ctx, cancel := p.until(stop)
		defer cancel()
		at := s.first * blockSize
		granted, err := p.makeWay(ctx, min(s.end*blockSize, p.size)-at)
		if err == nil {
			at, err = p.receive(ctx, r, at, at+granted)
		}
		p.mu.Lock()
		p.working = slices.DeleteFunc(p.working, func(x *span) bool { return x == r })
		rest := span{p.blocksBy(at), r.end} // what arrived may be another's by now
		p.release(rest)
		if rest.first < rest.end && err == nil && ctx.Err() == nil {
			p.queue = slices.Insert(p.queue, 0, rest)
		}
		if err != nil && ctx.Err() == nil {
			p.fails++
			p.failure = err
		}
		if ctx.Err() == nil && err == nil {
			p.demandMore()
			p.work()
		}
		p.tell(err != nil || ctx.Err() != nil || p.have.left == 0) // what was given up is for who waits to ask for
		p.follow()
		save, whole := p.unsaved >= saveEvery, p.whole()
		p.mu.Unlock()
		if whole { // it was proven before all of it was here again
			p.d.adoptPart(p)
		}
		p.d.mu.Lock()
		p.landed(granted)
		if save {
			p.d.savePartial(p, false)
		}
		p.d.unuse(p)
		p.d.mu.Unlock()
	})
}

// release gives back what was asked for; with mu held. What of it is a hole is here.
func (p *partial) release(s span) {
	for b := s.first; b < s.end; b++ {
		if p.asked.clear(b); p.hollow(b) {
			p.have.set(b)
		}
	}
}

// until is a context that ends when nobody wants p any more.
func (p *partial) until(stop chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(p.d.ctx)
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// receive fetches bytes off to end, as far as they are r's, and writes them to the content file; it returns how far it came. Where it breaks off it is asked for once more, from there
// on: a server that can't read on says so only when it has not begun to answer.
func (p *partial) receive(ctx context.Context, r *span, off, end int64) (at int64, err error) {
	f, err := os.OpenFile(p.d.slotPath(p.slot), os.O_RDWR, 0)
	if err != nil {
		return off, err
	}
	defer f.Close()
	freed := p.d.slots.freed.Load()
	at, err = p.receiveFrom(ctx, f, r, off, end)
	for tries := 1; full(err) && tries < roomTries; tries++ {
		p.d.mu.Lock()
		room := !p.through && p.d.makeRoom(freed, ctx.Done()) || p.makeOwnRoom(ctx, end-at)
		p.d.mu.Unlock()
		if !room {
			break
		}
		freed = p.d.slots.freed.Load()
		at, err = p.receiveFrom(ctx, f, r, at, end)
	}
	if at > off && api.KindOf(err) == api.Unavailable && ctx.Err() == nil {
		at, err = p.receiveFrom(ctx, f, r, at, end)
	}
	return at, err
}

// receiveFrom is one request's part of receive; it returns how far it came.
func (p *partial) receiveFrom(ctx context.Context, f *os.File, r *span, off, end int64) (int64, error) {
	body, err := p.d.request(ctx, p.node, p.version, off, p.reach(r, end)-off)
	if err != nil {
		return off, err
	}
	defer body.Close()
	body.came = p.came
	for {
		from, upto := off, p.begin(r, off, end)
		switch {
		case off == upto:
			return off, nil
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
			return off, api.Errorf(api.Unavailable, "download: the content broke off")
		case err != nil:
			return off, api.Errorf(orKind(err), "download: %w", err)
		}
		// What the connection gives at once is written at once, and no more than a block is waited for: a reader may wait for that.
		block := min(off-off%blockSize+blockSize, upto)
		for off < block && err == nil {
			var n int
			n, err = body.move(f, off, int(block-off), int(upto-off))
			off += int64(n)
		}
		if off > from {
			if failed := p.arrived(f, from, off); failed != nil {
				return from, failed
			}
		}
	}
}

// reach is where r ends now, if that is before an offset.
func (p *partial) reach(r *span, end int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(r.end*blockSize, end)
}

// begin returns up to where the answer to r is written next, from off on and not beyond end. From then on that is its own.
func (p *partial) begin(r *span, off, end int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	end = min(off-off%blockSize+piece, r.end*blockSize, end)
	r.first = max(r.first, blocksOf(end))
	return end
}

// arrived notes that bytes from to end were written. A part is written in order, from the start
// of a block on, so all blocks that end by now are whole.
func (p *partial) arrived(f *os.File, from, end int64) error {
	last := p.blocksBy(end)
	if err := p.compare(f, from/blockSize, last); err != nil {
		return err
	}
	p.mu.Lock()
	p.progress(from, end)
	for b := from / blockSize; b < last; b++ {
		p.have.set(b)
		p.asked.clear(b)
		delete(p.begun, b)
	}
	p.unsaved += end - from
	p.clock(end - from)
	p.tell(p.have.left == 0)
	if len(p.queue) > 0 {
		p.work()
	}
	p.follow()
	p.mu.Unlock()
	return nil
}

// blocksBy is how many blocks end by an offset.
func (p *partial) blocksBy(off int64) int64 {
	if off == p.size {
		return p.have.blocks
	}
	return off / blockSize
}

// came notes that bytes from off to end have arrived of a block that is not whole yet.
func (p *partial) came(off, end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress(off, end)
}

// progress lets whoever waits be patient for as long as the bytes from off to end are worth; with mu held. What comes again of a block that was begun is no
// progress: a server may break off there every time.
func (p *partial) progress(off, end int64) {
	first, last := off/blockSize, end/blockSize
	if off = max(off, p.begun[first]); off >= end {
		return
	}
	if end%blockSize != 0 {
		p.begun[last] = max(p.begun[last], end)
	}
	now := time.Now()
	p.till = later(p.till, now).Add(pace.Worth(int(end - off)))
	if most := now.Add(patience); p.till.After(most) {
		p.till = most
	}
}
