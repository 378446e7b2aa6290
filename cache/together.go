package cache

import (
	"context"
	"slices"

	"satchel/api"
)

// together asks for directories in one request. Where what it says is older than what is known here there are no answers.
func (d *Drive) together(ctx context.Context, dirs []api.ID, epoch api.ID, limit int) (answers []api.Listed, old bool, err error) {
	answers, err = d.cfg.Remote.Listings(ctx, dirs, limit)
	if err == nil {
		old, err = d.outdated(&answers[0].Listing, epoch) // all are from one moment
	}
	if old || err != nil {
		answers = nil
	}
	return answers, old, err
}

// outdated tells whether a page is older than what is known here. One of another epoch (zero: of any) is an error of
// kind Resync; then the feed will hear of that at once.
func (d *Drive) outdated(l *api.Listing, epoch api.ID) (bool, error) {
	d.mu.Lock()
	old := l.Epoch == d.syn.believed && l.Seq < d.syn.acked || l.Epoch == d.syn.epoch && l.Seq < d.syn.seq
	hangUp := d.hangUp
	d.mu.Unlock()
	if !epoch.IsZero() && l.Epoch != epoch {
		if hangUp != nil {
			hangUp()
		}
		return false, errRestored
	}
	return old, nil
}

// requestsAhead is how many requests for directories are under way, or answered, while what came before is applied.
const requestsAhead = 3

// said is what the server says of a directory: its pages, none if it is not there, or why that can't be known.
type said struct {
	dir   api.ID
	pages []api.Listing
	err   error
}

// eachListing asks for directories, many at a time, and calls fn with what the server says of each, in their order: its pages, or none
// if there is no such directory. It ends with the first error, which may be fn's.
func (d *Drive) eachListing(dirs []api.ID, epoch api.ID, fn func(dir api.ID, pages []api.Listing) error) error {
	ctx, cancel := context.WithCancel(d.ctx)
	defer cancel()
	requests := make(chan chan said, requestsAhead)
	d.wg.Go(func() {
		defer close(requests)
		for some := range slices.Chunk(dirs, api.MaxListings) {
			answers := make(chan said)
			select {
			case requests <- answers:
			case <-ctx.Done():
				return
			}
			d.wg.Go(func() { d.listSome(ctx, some, epoch, answers) })
		}
	})
	for answers := range requests {
		for s := range answers {
			if s.err != nil {
				return s.err
			}
			if err := fn(s.dir, s.pages); err != nil {
				return err
			}
		}
	}
	return d.ctx.Err()
}

// listSome sends what the server says of as many directories as one request may name, until an error.
func (d *Drive) listSome(ctx context.Context, dirs []api.ID, epoch api.ID, to chan<- said) {
	defer close(to)
	tell := func(s said) bool {
		select {
		case to <- s:
			return s.err == nil
		case <-ctx.Done():
			return false
		}
	}
	for len(dirs) > 0 {
		answers, _, err := d.together(ctx, dirs, epoch, api.MaxPage)
		if err != nil {
			tell(said{err: err})
			return
		}
		for i := range answers {
			s := said{dir: dirs[i]}
			switch l := &answers[i]; {
			case l.Problem == api.NotFound:
			case l.Problem != "":
				s.err = api.Errorf(l.Problem, "list the directory %s: %s", dirs[i], l.Problem)
			case l.More:
				s.pages, s.err = d.pages(ctx, dirs[i], epoch, &l.Listing)
				if api.KindOf(s.err) == api.NotFound { // since then
					s.err = nil
				}
			default:
				s.pages = []api.Listing{l.Listing}
			}
			if !tell(s) {
				return
			}
		}
		dirs = dirs[len(answers):]
	}
}
