package cache

import (
	"context"
	"time"

	"satchel/api"
)

// Status is the state of a drive on this machine, as `satchel status --json`
// shows it (without what only the daemon knows: pid, mountpoint, server, user, device, passthrough).
type Status struct {
	Connected        bool    `json:"connected"`
	PendingMutations int     `json:"pending_mutations"`
	PendingBytes     int64   `json:"pending_bytes"` // of content that the server lacks
	Unproven         int     `json:"unproven"`      // files open for writing, mapped or changed: not known to equal a version
	Uploading        int64   `json:"uploading"`     // bytes in requests under way
	Conflicts        int     `json:"conflicts"`     // since the cache was made
	Refused          int     `json:"refused"`       // since the cache was made
	Unsettled        int     `json:"unsettled"`     // of events: copies and refused work that are still where they were put
	Failing          int     `json:"failing"`       // changes on which the server fails: set aside, and tried again
	LocalOnly        int     `json:"local_only"`    // files and folders that stay on this machine (.satchelignore)
	Undecided        int     `json:"undecided"`     // of these: sent if their ignore files, which are not here yet, do not name them
	CacheBytes       int64   `json:"cache_bytes"`
	CacheLimitBytes  int64   `json:"cache_limit_bytes"`
	MemoryBytes      int64   `json:"memory_bytes"`
	DiskFreeBytes    int64   `json:"disk_free_bytes"` // where content is kept
	DiskShort        bool    `json:"disk_short"`      // so little that what the server has is not kept here
	Seq              int64   `json:"seq"`
	Pinned           int     `json:"pinned"`            // files and folders that were pinned
	PinnedMissing    int     `json:"pinned_missing"`    // files, and folders never listed, of what is pinned that can't be had now
	Events           []Event `json:"events,omitempty"`  // what met another device's changes and still matters
	Problem          string  `json:"problem,omitempty"` // why nothing is sent, for people
	LoginEnded       bool    `json:"login_ended"`       // the server does not accept the device any more
	Paused           string  `json:"paused,omitempty"`  // why sending waits: somebody wants it so
}

// Status tells how things stand.
func (d *Drive) Status() Status {
	d.mu.Lock()
	s := Status{
		Connected:        d.connected.Load(),
		PendingMutations: d.journal.unanswered(),
		LocalOnly:        len(d.journal.staying),
		Undecided:        d.undecided(),
		Unproven:         len(d.syn.hots),
		Uploading:        d.syn.uploading.Load(),
		Conflicts:        d.syn.conflicts,
		Refused:          d.syn.refused,
		Failing:          d.journal.failing,
		CacheBytes:       d.slots.bytes,
		CacheLimitBytes:  d.cfg.Limit,
		Seq:              max(d.syn.seq, d.syn.acked),
	}
	k := d.diskNow()
	s.DiskFreeBytes, s.DiskShort = k.free, k.room().Short
	_ = d.eachPin(func(*node) { s.Pinned++ }) // a replica that can't be read tells so itself
	s.PinnedMissing = len(d.pins.missed)
	s.Events, s.Unsettled = d.events()
	s.Paused = d.paused()
	if d.syn.problem != nil {
		s.Problem = d.syn.problem.Error()
		s.LoginEnded = api.KindOf(d.syn.problem) == api.Unauthenticated
	} else if err := d.stuck(); err != nil {
		s.Problem = err.Error()
	}
	for _, n := range d.syn.hots {
		if n.hot.tries > 1 && s.Problem == "" { // more than bad luck
			s.Problem = n.hot.why.Error()
		}
		if d.stays(n) {
			s.Unproven--
		} else if n.hot.entry != nil {
			d.pull(n)
			s.PendingBytes += max(n.size-n.hot.arrived, 0)
		}
	}
	s.MemoryBytes = int64(len(d.byFID)) * nodeBytes
	for _, n := range d.byID {
		if n.list != nil {
			s.MemoryBytes += n.list.bytes
		}
	}
	if (d.full.Load() || d.scarce) && s.Problem == "" {
		s.Problem = "the disk under the cache is full"
	}
	d.mu.Unlock()
	return s
}

// Sync hurries all that is pending to the server; with wait it returns when the
// server has all that was pending when it was called. Files that are open get a
// checkpoint and do not hold it up, and neither does that on which the server fails: then the error
// says so once all else was sent. What the server refused is offered once more; refused again, it does not hold it up either, and
// [Drive.Status] tells of it. It is of kind Unavailable while the
// server can't be reached and ctx ends, Unauthenticated when the login is no longer valid.
func (d *Drive) Sync(ctx context.Context, wait bool, progress func(Status)) error {
	return d.sync(ctx, wait, api.ID{}, progress)
}

// sync is Sync; of a node (zero: of all) alone it tells that the server fails on it.
func (d *Drive) sync(ctx context.Context, wait bool, of api.ID, progress func(Status)) error {
	d.mu.Lock()
	if wait && of.IsZero() {
		d.offerStuck()
		d.offerAgain() // who waits may know that there is more room now
		d.quotaNews()
	}
	t := d.begin()
	for _, n := range d.syn.hots {
		d.force(t, n)
	}
	last := d.journal.last
	err := t.commit()
	d.mu.Unlock()
	if err != nil {
		return err
	}
	d.wakeSyncer()
	if !wait {
		return nil
	}
	d.syn.waiting.Add(1)
	defer d.syn.waiting.Add(-1)
	again := of.IsZero() // what was set aside meanwhile is offered once more
	undecided := 0
	var decided time.Time
	for step := 5 * time.Millisecond; ; step = min(2*step, 100*time.Millisecond) {
		d.mu.Lock()
		if undecided > 0 {
			last = d.journal.last // what is known to be for the server by now
		}
		if of.IsZero() {
			undecided = d.undecided()
		}
		oldest := d.journal.oldest()
		problem := d.syn.problem
		var stuck error
		if problem == nil && d.onlyStuck(last, api.ID{}) {
			if stuck = d.stuck(); !of.IsZero() && !d.onlyStuck(last, of) {
				oldest = 0 // it is another file's
			}
		}
		d.mu.Unlock()
		sent := oldest == 0 || oldest > last
		if sent && undecided == 0 {
			return nil
		}
		if sent && d.connected.Load() && time.Since(decided) > time.Second {
			decided = time.Now()
			if err := d.decide(); err != nil {
				return err
			}
		}
		if api.KindOf(problem) == api.Unauthenticated {
			return problem
		}
		if stuck != nil && !again {
			return stuck
		}
		if stuck != nil {
			again = false
			d.mu.Lock()
			d.offerStuck()
			d.mu.Unlock()
			d.wakeSyncer()
		}
		if progress != nil {
			progress(d.Status())
		}
		select {
		case <-ctx.Done():
			switch {
			case problem != nil:
				return api.Errorf(api.Unavailable, "not everything was sent: %w", problem)
			case !d.connected.Load():
				return api.Errorf(api.Unavailable, "not everything was sent: the server can't be reached")
			case sent:
				return api.Errorf(api.Unavailable, "not everything was sent: an ignore file can't be read, and what is made below it stays here until it can")
			}
			return api.Errorf(api.Cancelled, "not everything was sent yet")
		case <-time.After(step):
		}
	}
}

// syncServer is fsync of a node with --fsync=server.
func (d *Drive) syncServer(of api.ID, intr Interrupt) error {
	ctx, cancel := context.WithCancel(d.ctx)
	defer cancel()
	go func() {
		select {
		case <-intr:
			cancel()
		case <-ctx.Done():
		}
	}()
	return d.sync(ctx, true, of, nil)
}
