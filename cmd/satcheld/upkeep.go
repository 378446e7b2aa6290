package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"satchel/api"
	"satchel/api/admin"
	"satchel/storage"
	"satchel/storage/blob"
	"satchel/storage/fsck"
	"satchel/storage/gc"
	"satchel/storage/postgres"
)

// upkeep runs gc and fsck and tells of it in the database, where every server's
// page finds it. It is safe for concurrent use.
type upkeep struct {
	ownerURL string
	blobs    blob.Store
	store    string // what it is called
	expire   func(context.Context, postgres.Retention, time.Time) (postgres.Expired, error)
	instead  otherRetention                           // than the servers were told
	ended    func(kind string, report any, err error) // is told of each run; may be nil
	log      *slog.Logger

	background context.Context // of runs that are started and not waited for
	running    *sync.WaitGroup
}

var (
	errRunning = api.Errorf(api.Exists, "garbage is being collected, or the store checked, by this or another process: wait until it has ended")
	errFound   = errors.New("the store has faults: satcheld fsck lists them")
)

// Start begins a run in the background, if no other goes on anywhere.
func (u *upkeep) Start(ctx context.Context, r postgres.Run) error {
	begun := make(chan error, 1)
	u.running.Go(func() {
		// The request's context labels the run; it must not end it.
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(u.background, cancel)()
		_, err := u.run(ctx, r, gc.DefaultGrace, nil, func() { begun <- nil })
		select {
		case begun <- err: // it did not begin
		default:
			if err != nil && !errors.Is(err, errFound) && u.background.Err() == nil {
				u.log.Warn("a run did not get to its end", "kind", r.Kind, "err", err)
			}
		}
	})
	select {
	case err := <-begun:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run does a run to its end. Where another goes on it is errRunning, and nothing is
// told. The report is a gc.Report or an fsck.Report.
func (u *upkeep) run(ctx context.Context, r postgres.Run, grace time.Duration, progress func(string, int64, int64), begun func()) (report any, err error) {
	keeper, err := postgres.OpenKeeper(ctx, u.ownerURL)
	if err != nil {
		return nil, err
	}
	defer keeper.Close()
	mine, err := keeper.TryLock(ctx) // and again by the run: a session may take a lock it has
	if err != nil {
		return nil, err
	}
	if !mine {
		return nil, errRunning
	}
	// The keeper's own connection is at work: another one tells how far it is.
	teller, err := postgres.OpenKeeper(ctx, u.ownerURL)
	if err != nil {
		return nil, err
	}
	defer teller.Close()
	r.Host = hostname()
	if err := teller.StartRun(ctx, r); err != nil {
		return nil, err
	}
	begun()
	t := newTelling(ctx, teller, r.ID, u.log)
	show := func(step string, done, total int64) {
		t.at(step, done, total)
		if progress != nil {
			progress(step, done, total)
		}
	}
	// Also of a server that has run for long: somebody may have taken the store over.
	switch err = own(ctx, u.ownerURL, u.blobs, u.store); {
	case err != nil:
	case r.Kind == admin.GC:
		report, err = u.collect(ctx, keeper, grace, show)
	default:
		var found fsck.Report
		found, err = fsck.Run(ctx, keeper, u.blobs, fsck.Options{Repair: r.Repair, Deep: r.Deep, Grace: gc.DefaultGrace, Progress: show})
		report = found
		if err == nil && !found.Clean() {
			err = errFound
		}
	}
	switch {
	case err == nil || errors.Is(err, errFound):
	case ctx.Err() != nil:
		err = ctx.Err() // and not what the database says of the statement that this ended
	case keeper.Lost():
		err = api.Errorf(api.Unavailable, "the connection to the database broke, and with it the lock that keeps others away: this run ended there, what it did is whole, and the next one goes on: %w", err)
	}
	t.stop()
	if u.ended != nil && ctx.Err() == nil {
		u.ended(r.Kind, report, err)
	}
	if untold := u.end(ctx, teller, r.ID, report, err); err == nil {
		err = untold
	} else if untold != nil {
		u.log.Warn("how a run ended can't be told", "kind", r.Kind, "err", untold)
	}
	return report, err
}

// collect collects garbage, and keeps the past for as long as the servers were told, unless this run was told otherwise.
func (u *upkeep) collect(ctx context.Context, keeper *postgres.Keeper, grace time.Duration, progress func(string, int64, int64)) (gc.Report, error) {
	told, err := keeper.Retentions(ctx)
	if err != nil {
		return gc.Report{Damaged: []api.ID{}}, err
	}
	keep, why := u.instead.choose(told)
	return gc.Run(ctx, keeper, u.blobs, gc.Options{Grace: grace, Changes: gc.DefaultChanges, Keep: keep, KeepWhy: why, Expire: u.expire,
		Extensions: knownExtensions(), Progress: progress}, u.log)
}

// end tells that a run has ended, even if that is because the program does.
func (u *upkeep) end(ctx context.Context, teller *postgres.Keeper, id api.ID, report any, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	failure := ""
	switch {
	case errors.Is(why, context.Canceled):
		failure = "interrupted: the program ended"
	case why != nil:
		failure = why.Error()
	}
	if teller.Lost() { // with the keeper's connection, perhaps
		if teller, err = postgres.OpenKeeper(ctx, u.ownerURL); err != nil {
			return err
		}
		defer teller.Close()
	}
	return teller.EndRun(ctx, id, text, failure)
}

// every collects garbage about this often until ctx ends. Of several servers of one
// database whichever comes first does it. Files are counted at the beginning, if
// that is as long ago.
func (u *upkeep) every(ctx context.Context, interval time.Duration) {
	if err := u.count(ctx, interval); err != nil && ctx.Err() == nil {
		u.log.Warn("the files were not counted", "err", err)
	}
	for wait(ctx, interval) {
		report, err := u.run(ctx, postgres.Run{ID: api.NewID(), Kind: admin.GC, Via: "server"}, gc.DefaultGrace, nil, func() {})
		found, _ := report.(gc.Report)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errRunning):
		case err != nil:
			u.log.Warn("garbage was not collected to the end", "err", err)
		default:
			u.log.Info("garbage collected", "chunks", found.Chunks, "bytes", found.DeletedBytes+found.OrphanBytes,
				"repacked", found.Repacked, "damaged", len(found.Damaged), "seconds", found.Seconds)
		}
	}
}

// watch looks about this often whether the store is still this installation's. What is
// put into another one's would be removed there: lost is told, once.
func (u *upkeep) watch(ctx context.Context, interval time.Duration, lost func(error)) {
	for wait(ctx, interval) {
		switch err := own(ctx, u.ownerURL, u.blobs, u.store); {
		case err == nil || ctx.Err() != nil:
		case api.KindOf(err) == api.Exists:
			lost(err)
			return
		default:
			u.log.Warn("it is not certain whose the blob store is", "err", err)
		}
	}
}

// count counts files by kind, for the figures that admins see, if nobody did for so long.
func (u *upkeep) count(ctx context.Context, interval time.Duration) error {
	keeper, err := postgres.OpenKeeper(ctx, u.ownerURL)
	if err != nil {
		return err
	}
	defer keeper.Close()
	now, err := keeper.Now(ctx)
	if err != nil {
		return err
	}
	last, err := keeper.CountedAt(ctx)
	if err != nil || now.Sub(last) < interval {
		return err
	}
	return keeper.CountExtensions(ctx, knownExtensions())
}

func knownExtensions() []string { return slices.Sorted(maps.Keys(storage.Kinds())) }

// telling writes how far a run is into the database, at most once a second, and
// often enough that nobody takes it for dead.
type telling struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	step  string
	n     int64
	total int64
}

func newTelling(ctx context.Context, teller *postgres.Keeper, id api.ID, log *slog.Logger) *telling {
	ctx, cancel := context.WithCancel(ctx)
	t := &telling{cancel: cancel}
	t.done.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			t.mu.Lock()
			step, n, total := t.step, t.n, t.total
			t.mu.Unlock()
			// To its end also when the run ends meanwhile: a question that is broken off breaks the connection, over which
			// the end is told.
			asked, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			err := teller.TouchRun(asked, id, step, n, total)
			done()
			if err != nil && ctx.Err() == nil {
				log.Warn("how far a run is can't be told", "err", err)
			}
		}
	})
	return t
}

func (t *telling) at(step string, done, total int64) {
	t.mu.Lock()
	t.step, t.n, t.total = step, done, total
	t.mu.Unlock()
}

// stop ends it; the connection is free then.
func (t *telling) stop() {
	t.cancel()
	t.done.Wait()
}
