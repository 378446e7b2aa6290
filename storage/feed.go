package storage

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"satchel/api"
	"satchel/storage/postgres"
)

// MaxWait is the longest that [Drive.Changes] waits.
const MaxWait = 60 * time.Second

// feedPage is how many changes one answer of the feed covers.
var feedPage = 2000

// Changes tells what others than an incarnation (life) of the caller's device changed in the drive
// after a point (epoch, after) of its order. If there is nothing it waits for
// up to wait, and then answers with the point that the drive has reached. The
// nodes and entries are as they are now, in one snapshot, not as they were: an
// answer that is cut (More) may already tell of what the next one names again; a guest's may tell of nothing.
//
// What the device committed in batches of that incarnation, or of any if it is zero, is left out; what it did through other
// APIs is not. A guest hears of what he may see; whenever that changes it is [api.Resync]. A point that the drive never had, or one so old that the changes
// after it are forgotten, is [api.Resync]. If the caller's session ends meanwhile it is
// [api.Unauthenticated], at once.
func (d *Drive) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	timeout := time.NewTimer(min(wait, MaxWait))
	defer timeout.Stop()
	for {
		// The waiter registers before it looks, so that a change between the
		// two wakes it.
		woken, leave := d.s.feeds.join(d.id)
		changes, found, err := d.changes(ctx, life, epoch, after)
		if err != nil || found || changes.More || wait <= 0 {
			leave()
			return changes, err
		}
		after = changes.Seq // all up to there is the device's own, or hidden from it
		select {
		case <-woken:
			leave()
		case <-timeout.C:
			leave()
			return changes, nil
		case <-ctx.Done():
			leave()
			return api.Changes{}, ctx.Err()
		}
	}
}

// changes looks once. A session may end between the look at who calls and this one, and
// while it waits, which wakes it.
func (d *Drive) changes(ctx context.Context, life, epoch api.ID, after int64) (c api.Changes, found bool, err error) {
	err = d.snapshot(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		seen, err := tx.ChangesAfter(ctx, d.id, postgres.Author{Device: d.caller.Device, Incarnation: life}, after, feedPage)
		if err != nil {
			return err
		}
		if seen.Ended {
			return api.Errorf(api.Unauthenticated, "this session has ended: log in again")
		}
		drive := seen.Drive
		if epoch != drive.Epoch || after < drive.Forgotten || after > drive.Seq {
			return api.Errorf(api.Resync, "the drive has no such point in its history: list it again")
		}
		if !d.own() { // whose batches all echo
			seen.Touched, seen.Last, seen.More, err = tx.GuestChanges(ctx, d.id, d.caller.Device, after, feedPage)
			if err != nil {
				return err
			}
		}
		c = api.Changes{More: seen.More}
		if found = len(seen.Touched.Nodes) > 0; found {
			tx.Last()
			if c.State, err = tx.State(ctx, d.id, seen.Touched); err != nil {
				return err
			}
		}
		c.Epoch, c.Seq = drive.Epoch, drive.Seq
		if seen.More {
			c.Seq = seen.Last
		}
		return nil
	})
	return c, found, err
}

// Run listens for changes of all server processes and wakes the feeds that
// wait for them, until ctx ends; it reconnects by itself. Without it a feed
// answers only when its wait is over. The error is ctx's.
func (s *Service) Run(ctx context.Context) error {
	pause := &backoff.ExponentialBackOff{InitialInterval: 50 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 5 * time.Second}
	for {
		err := s.db.Listen(ctx, func() {
			pause.Reset()
			s.feeds.wakeAll() // what changed while nobody listened
		}, func(drive api.ID) {
			s.feeds.wake(drive)
			s.index.wake(drive)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.log.Warn("the change feed lost the database and connects again", "error", err)
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// feeds knows who waits for which drive. It is safe for concurrent use.
type feeds struct {
	mu     sync.Mutex
	topics map[api.ID]*topic // only drives for which somebody waits
}

// topic is closed, and forgotten, when its drive changes.
type topic struct {
	changed chan struct{}
	waiters int
}

func newFeeds() *feeds { return &feeds{topics: map[api.ID]*topic{}} }

// join gives a channel that is closed at the drive's next change. The caller
// must call leave once.
func (f *feeds) join(drive api.ID) (changed <-chan struct{}, leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.topics[drive]
	if t == nil {
		t = &topic{changed: make(chan struct{})}
		f.topics[drive] = t
	}
	t.waiters++
	return t.changed, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		t.waiters--
		if t.waiters == 0 && f.topics[drive] == t {
			delete(f.topics, drive)
		}
	}
}

func (f *feeds) wake(drive api.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.topics[drive]; t != nil {
		delete(f.topics, drive)
		close(t.changed)
	}
}

func (f *feeds) wakeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.topics {
		close(t.changed)
	}
	clear(f.topics)
}
