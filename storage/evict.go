package storage

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"satchel/api"
	"satchel/storage/fault"
	"satchel/storage/postgres"
)

// overQuota knows the drives that a commit put over their quotas. It is safe for concurrent use.
type overQuota struct {
	mu     sync.Mutex
	drives map[postgres.OwnedDrive]bool
	woken  chan struct{} // holds one
}

func newOverQuota() *overQuota {
	return &overQuota{drives: map[postgres.OwnedDrive]bool{}, woken: make(chan struct{}, 1)}
}

func (o *overQuota) add(d postgres.OwnedDrive) {
	o.mu.Lock()
	o.drives[d] = true
	o.mu.Unlock()
	select {
	case o.woken <- struct{}{}:
	default:
	}
}

func (o *overQuota) take() map[postgres.OwnedDrive]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	drives := o.drives
	o.drives = map[postgres.OwnedDrive]bool{}
	return drives
}

// evictQuiet is how long drives may be written before room is made in them.
const evictQuiet = 200 * time.Millisecond

// RunEvict makes room in the drives that this service's commits put over their quotas, soon after them, until ctx ends. What it does not get
// done [Service.Expire] does, which knows the drives of other processes, too.
func (s *Service) RunEvict(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.over.woken:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(evictQuiet):
		}
		for d := range s.over.take() {
			if _, err := s.evict(ctx, d); err != nil && ctx.Err() == nil {
				s.log.Warn("a drive is over its quota still", "drive", d.Drive, "err", err)
			}
		}
	}
}

// evictHeld is how many versions are held in memory of those that are to go: 32 MiB.
var evictHeld = 1 << 20

// evict removes the oldest of the past of a drive that is over its quota, until it is within it, and some more, so that not every
// commit is followed by a look at all versions. What is to go is found without the drive's lock, and goes in steps, each of which looks again:
// so writers go on meanwhile, however much it is, and what is not done when it fails is done the next time.
func (s *Service) evict(ctx context.Context, d postgres.OwnedDrive) (gone Expired, err error) {
	var stored int64 // what it shall have
	var over bool
	var replaced []postgres.Evictable
	err = s.db.AsReadOnly(ctx, d.Owner, func(ctx context.Context, tx *postgres.Tx) error {
		drive, err := tx.Drive(ctx, d.Drive)
		if err != nil {
			return err
		}
		if stored, over = drive.Fitting(); over && stored == drive.Used { // all of the past goes, in whatever order
			replaced, err = tx.Replaced(ctx, d.Drive)
		}
		return err
	})
	if err != nil || !over {
		return gone, err
	}
	gone, enough, err := s.evictAll(ctx, d, replaced, stored)
	for !enough && err == nil {
		var some []postgres.Evictable
		var went Expired
		var whole bool
		if some, whole, err = s.oldest(ctx, d, stored); err != nil {
			break
		}
		went, enough, err = s.evictAll(ctx, d, some, stored)
		gone.Add(went)
		enough = enough || whole || went == (Expired{}) // there is no more
	}
	return gone, err
}

// evictAll removes what may give way, in steps, until the drive has no more stored than it shall have: enough tells whether it has.
func (s *Service) evictAll(ctx context.Context, d postgres.OwnedDrive, all []postgres.Evictable, stored int64) (gone Expired, enough bool, err error) {
	for step := range slices.Chunk(all, expireStep) {
		var went Expired
		err = s.db.As(ctx, d.Owner, func(ctx context.Context, tx *postgres.Tx) (err error) {
			went, enough, err = tx.Evict(ctx, d.Drive, d.Owner, step, stored)
			return err
		})
		if err != nil {
			return gone, false, err
		}
		gone.Add(went)
		fault.At(fault.PastEvicted)
		if enough {
			break
		}
	}
	return gone, enough, nil
}

// oldest finds what may give way in a drive: as much of the oldest, in this order, as it has stored beyond a number of bytes. Whole tells that
// this is all there is.
func (s *Service) oldest(ctx context.Context, d postgres.OwnedDrive, stored int64) (found []postgres.Evictable, whole bool, err error) {
	var o oldest
	whole = true
	for last, more := (api.ID{}), true; more; {
		err := s.db.AsReadOnly(ctx, d.Owner, func(ctx context.Context, tx *postgres.Tx) error {
			if last.IsZero() {
				drive, err := tx.Drive(ctx, d.Drive)
				if err != nil {
					return err
				}
				o.need = drive.Stored - stored
			}
			tx.Last()
			found, last, more, err = tx.Evictable(ctx, d.Drive, last)
			return err
		})
		if err != nil {
			return nil, false, err
		}
		for _, e := range found {
			whole = o.keep(e) && whole
		}
	}
	slices.SortFunc(o.held, older)
	return o.held, whole, nil
}

// older orders what may give way.
func older(a, b postgres.Evictable) int {
	return cmp.Or(cmp.Compare(a.Since, b.Since), slices.Compare(a.Version[:], b.Version[:]))
}

// oldest holds the oldest of those that it is given, of as many bytes as are needed: a heap, the newest first.
type oldest struct {
	held       []postgres.Evictable
	need, size int64 // bytes
}

// keep tells whether it holds all that it ever had.
func (o *oldest) keep(e postgres.Evictable) bool {
	heap.Push(o, e)
	all := true
	for len(o.held) > evictHeld || len(o.held) > 0 && o.size-o.held[0].Size >= o.need {
		heap.Pop(o)
		all = false
	}
	return all
}

func (o *oldest) Len() int           { return len(o.held) }
func (o *oldest) Less(i, j int) bool { return older(o.held[i], o.held[j]) > 0 }
func (o *oldest) Swap(i, j int)      { o.held[i], o.held[j] = o.held[j], o.held[i] }

func (o *oldest) Push(e any) {
	o.held = append(o.held, e.(postgres.Evictable))
	o.size += o.held[len(o.held)-1].Size
}

func (o *oldest) Pop() any {
	last := o.held[len(o.held)-1]
	o.held = o.held[:len(o.held)-1]
	o.size -= last.Size
	return last
}
