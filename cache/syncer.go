package cache

import (
	"cmp"
	"container/list"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"satchel/api"
)

// The syncer's state. One goroutine (runSyncer) sends batches and applies
// what the server says, be it an answer or a change of others; so the order in which a
// device hears things is the order in which it applies them. The fields are
// guarded by Drive.mu.
type syncer struct {
	hots    map[api.ID]*node   // nodes whose content may differ from their version
	loose   list.List          // those of them, as *node, whose content may be other than what is durable: see durable.go
	doubt   map[api.ID]bool    // directories to be listed again when nothing is pending
	astray  map[api.ID]bool    // files that have lost a name in one of those, and have others: see doubtLeft
	rescued map[api.ID]rescued // content that was refused and that [Config.Rescue] kept, until it is undone
	again   map[api.ID]bool    // those of them that came up while they were listed; nil when none is

	undescribed list.List // nodes of hots whose content may not describe itself yet
	looked      int       // files that were looked at to make content durable

	relisting *relisting // nil: none that began and did not end

	shadow map[api.ID]bool // and when what stays here does not hide what the server has
	lanes  [lanes]*lane

	unions []union // directories that are to become part of others

	flight    *flight   // the batch that was sent and not answered
	most      int       // mutations in the next batch; 0 = api.MaxBatch. Less where a larger one failed
	later     time.Time // when what is put off can be sent; zero = nothing is
	number    uint64    // of the last batch
	life      api.ID    // the incarnation
	copied    bool      // the cache turned out to be a copy of another one, or another login's
	inherited bool      // life is that of an earlier start, whose batch is in flight
	epoch     api.ID    // the feed's cursor
	seq       int64
	acked     int64        // seq of the last batch that the server answered: nothing older is believed
	believed  api.ID       // the epoch whose word is taken for the truth: the cursor's, or a later one for which resend has done its work
	least     int64        // while that is a later one: the last change that all epochs since the cursor's share, of whose numbers some are here
	epochs    []api.Former // the drive's up to the cursor's, in which all was listed last

	refused   int     // mutations that the server refused since the cache was made
	conflicts int     // conflict copies made
	events    []Event // the last ones, for people
	told      []Event // of which Config.Notice was not told yet
	problem   error   // why nothing is sent, for people; nil when all is well

	wake      chan struct{}
	heard     chan heard // pages of the feed
	uploading atomic.Int64
	packSize  packSize
	waiting   atomic.Int32 // calls that wait for the server
}

// A flight is a batch on its way. It is kept in Pebble from before it is sent until
// it is answered, so that after a crash the very same batch is sent again and applied
// once. One that has no mutations there was not sent.
type flight struct {
	Batch   api.Batch `json:"batch"`
	Entries []uint64  `json:"entries"` // journal numbers, one for each mutation

	fails   int   // how often the server failed on it, in this process
	why     error // the last time, while nothing else had its number
	emptied bool  // its number was given to an empty batch: whether the server has taken that may not be known
	retrial bool  // it is one mutation, on which the server failed before
}

// heard is a page of the change feed, or the news that a relist is needed.
type heard struct {
	page    api.Changes
	resync  bool
	applied chan bool
}

func (d *Drive) wakeSyncer() {
	select {
	case d.syn.wake <- struct{}{}:
	default:
	}
}

// loadSyncer reads where sending and hearing stood.
func (d *Drive) loadSyncer() error {
	s := &d.syn
	s.hots, s.doubt, s.astray, s.shadow, s.rescued = map[api.ID]*node{}, map[api.ID]bool{}, map[api.ID]bool{}, map[api.ID]bool{}, map[api.ID]rescued{}
	for i := range s.lanes {
		s.lanes[i] = newLane()
	}
	s.wake, s.heard = make(chan struct{}, 1), make(chan heard)
	s.epoch, s.seq = d.drive.Epoch, d.drive.Seq
	var later belief
	for word, p := range map[string]any{"cursor": &cursor{&s.epoch, &s.seq}, "believed": &later, "number": &s.number, "life": &s.life,
		"flight": &s.flight, "refused": &s.refused, "conflicts": &s.conflicts, "doubt": &s.doubt, "shadow": &s.shadow, "rescued": &s.rescued, "unions": &s.unions, "events": &s.events} {
		v, err := d.st.meta(word)
		if err != nil {
			return err
		}
		if v != nil {
			if err := json.Unmarshal(v, p); err != nil {
				return fmt.Errorf("the replica's %s: %w", word, err)
			}
		}
	}
	err := d.st.scan([]byte{keyAstray}, func(k, _ []byte) error {
		s.astray[api.ID(k[1:17])] = true
		return nil
	})
	if err != nil {
		return err
	}
	d.shown.seq = s.seq
	s.believed = cmp.Or(s.epoch, d.drive.Epoch) // without a cursor all is to be listed again
	s.epochs, s.least = epochs(d.drive.Former, s.believed), math.MaxInt64
	if !later.Epoch.IsZero() {
		s.believed, s.least = later.Epoch, later.Least
	}
	return d.checkLife()
}

// A belief is what is kept of an epoch that is believed, and in which not all has been listed yet.
type belief struct {
	Epoch api.ID
	Least int64
}

type cursor struct {
	Epoch *api.ID
	Seq   *int64
}

func (d *Drive) saveCursor(t *tx) {
	t.b.Set(metaKey("cursor"), mustJSON(cursor{&d.syn.epoch, &d.syn.seq}), nil)
}

// runSyncer is the one goroutine that applies what the server says.
func (d *Drive) runSyncer() {
	retry := time.Duration(0)
	var again <-chan time.Time // fires when what failed is to be tried again, whatever is heard meanwhile
	for {
		select {
		case <-d.done:
			return
		case h := <-d.syn.heard:
			h.applied <- d.hear(h)
			continue
		case <-d.syn.wake:
			if retry > 0 && !d.connected.Load() {
				continue // the timer or the feed brings it back
			}
			if !d.lull() {
				return
			}
		case <-again:
		}
		err := d.send()
		switch again = nil; {
		case err == nil:
			retry = 0
			d.mu.Lock()
			if !d.syn.later.IsZero() {
				again = time.After(time.Until(d.syn.later))
			}
			d.mu.Unlock()
		case d.ctx.Err() != nil:
			return
		default:
			retry = min(max(2*retry, 250*time.Millisecond), 15*time.Second)
			again = time.After(retry)
			d.setProblem(err)
			d.log.Warn("not sent", "again_in", retry, "err", err)
		}
	}
}

// lull waits until the programs pause: calls come in swarms, and are cheaper to send
// together. It takes half a second at most, and is false when the drive closes.
func (d *Drive) lull() bool {
	for until := time.Now().Add(500 * time.Millisecond); ; {
		select {
		case <-d.done:
			return false
		case <-time.After(5 * time.Millisecond):
		}
		now := time.Now()
		if d.syn.waiting.Load() > 0 || now.After(until) || now.UnixNano()-d.stirred.Load() > int64(20*time.Millisecond) {
			return true
		}
	}
}

// setProblem notes why nothing can be sent.
func (d *Drive) setProblem(err error) {
	if api.KindOf(err) == api.Unauthenticated {
		err = api.Errorf(api.Unauthenticated, "the server does not accept this device any more: log in again (satchel login)")
	}
	d.mu.Lock()
	d.syn.problem = err
	d.mu.Unlock()
}

// send sends batches until nothing is ready.
func (d *Drive) send() error {
	for d.ctx.Err() == nil {
		if d.paused() != "" {
			return nil // its end wakes us
		}
		if err := d.uniteAll(); err != nil {
			return err
		}
		select {
		case h := <-d.syn.heard: // it may be long until all is sent
			h.applied <- d.hear(h)
		default:
		}
		f, err := d.take()
		if err != nil {
			return err
		}
		if f == nil {
			return d.resolve()
		}
		if err := d.cfg.Remote.(*own).prove(d.ctx); err != nil {
			return err // the batch was not tried: it fails only so often until it is taken apart
		}
		// If the batch were forgotten, its number would be given to another one, which
		// the server would take for this one sent again.
		if err := d.st.settle(); err != nil {
			return err
		}
		c, err := d.cfg.Remote.Commit(d.ctx, f.Batch)
		if err == nil && len(c.Outcomes) != len(f.Batch.Mutations) {
			err = api.Errorf(api.Internal, "the server answered %d of %d mutations", len(c.Outcomes), len(f.Batch.Mutations))
		}
		if err == nil {
			err = d.forestall(c.Epoch)
		}
		switch {
		case err == nil:
			err = d.land(f, c)
		case api.KindOf(err) == api.MissingChunks:
			err = d.recall(f)
		case d.hopeless(f, err):
			err = d.takeBack(f, err)
		}
		if err != nil {
			return err
		}
	}
	return d.ctx.Err()
}

// take returns the batch in flight, or makes one of the mutations that are ready;
// nil when there are none.
func (d *Drive) take() (*flight, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.syn.flight != nil {
		return d.syn.flight, nil
	}
	f := d.pick()
	if f == nil {
		return nil, nil
	}
	d.syn.number++
	f.Batch.Incarnation, f.Batch.Number = d.syn.life, d.syn.number
	d.syn.flight = f
	// What programs do from now on builds on its being under way, so the replica has to know that before it hears of them. All of it takes long to encode.
	t := d.begin()
	t.b.Set(metaKey("number"), mustJSON(d.syn.number), nil)
	t.b.Set(metaKey("flight"), mustJSON(flight{Entries: f.Entries}), nil)
	if err := t.commit(); err != nil {
		return nil, err
	}
	d.mu.Unlock()
	whole := mustJSON(f)
	d.mu.Lock()
	t = d.begin()
	t.b.Set(metaKey("flight"), whole, nil)
	return f, t.commit()
}

// recall takes back a batch that the server could not apply for want of
// chunks: its content is hashed and sent again.
func (d *Drive) recall(f *flight) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.begin()
	d.unsend(t, f, true)
	return t.commit()
}

// unsend puts the mutations of a batch that was not applied back into the journal, as if
// they had not been sent; what is hashed and uploaded stays so unless the server
// lacks chunks. Locked.
func (d *Drive) unsend(t *tx, f *flight, lacksChunks bool) {
	d.syn.flight = nil
	t.b.Delete(metaKey("flight"), nil)
	d.part(t)
	for _, seq := range f.Entries {
		if e := d.journal.find(seq); e != nil {
			d.putBack(t, e, lacksChunks)
		}
	}
}

// putBack is unsend of one mutation; locked.
func (d *Drive) putBack(t *tx, e *entry, lacksChunks bool) {
	e.sent = false
	n := d.syn.hots[e.m.Node]
	if n == nil && e.m.Op == api.OpWrite {
		d.forgo(t, e)
	}
	if e.m.Op == api.OpCreate {
		d.unlose(t, e.m.Node)
	}
	if n == nil || e.m.Op != api.OpWrite && e.m.Op != api.OpCreate {
		return
	}
	h := n.hot
	if h.entry == nil {
		h.entry = e
		if !lacksChunks && h.sent != nil {
			h.ready, h.sent = h.sent, nil
			d.journal.awaits(h)
			return
		}
	} else { // written again since: the later write carries the content of both
		if e.m.Op == api.OpCreate {
			t.drop(h.entry)
			h.entry = e
		} else {
			t.drop(e)
			d.journal.inherit(h.entry, e)
		}
	}
	h.ready, h.sent = nil, nil
	d.journal.awaits(h)
	h.due = time.Now()
	d.enqueue(n)
}

// forgo drops a write of a file that is here and whose content is not: power loss took it while it was on its way. Then the file is what the
// server has, as where it was not sent (orphan). Locked.
func (d *Drive) forgo(t *tx, e *entry) {
	n, err := d.load(e.m.Node)
	if err != nil || n == nil || n.dead || n.stale {
		return
	}
	t.drop(e)
	d.doubtNode(t, n)
	d.letGo(n)
}

// loadJournal reads the pending mutations.
func (d *Drive) loadJournal() error {
	staying := map[api.ID]bool{}
	err := d.st.scan([]byte{keyStays}, func(k, _ []byte) error {
		staying[api.ID(k[1:17])] = true
		return nil
	})
	if err != nil {
		return err
	}
	err = d.st.scan([]byte{keyJournal}, func(k, v []byte) error {
		m, err := decodeMutation(v)
		if err != nil {
			return err
		}
		stays := staying[m.Node] && m.Op == api.OpCreate
		d.journal.add(&entry{seq: binary.BigEndian.Uint64(k[1:]), m: m, stays: stays, doubt: stays})
		return nil
	})
	if err != nil {
		return err
	}
	if f := d.syn.flight; f != nil {
		for _, seq := range f.Entries {
			if e := d.journal.find(seq); e != nil {
				e.sent = true
			}
		}
	}
	return nil
}
