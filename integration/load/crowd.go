package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"satchel/api"
	"satchel/api/client"
)

// crowd is the accounts of all clients. Account i of those who write has one client
// that writes, at most one that reads and at least one that waits.
type crowd struct {
	site   *site
	plan   plan
	active []*account
	quiet  []*account // nothing happens there
}

// perQuiet is how many idle clients share an account where nothing happens.
const perQuiet = 10

const password = "a password for the crowd"

func newCrowd(ctx context.Context, s *site, p plan) (*crowd, error) {
	c := &crowd{site: s, plan: p}
	accounts := make([]*account, p.writing+(p.idle-p.writing+perQuiet-1)/perQuiet)
	errs := make([]error, len(accounts))
	turn := make(chan struct{}, 2) // each is a process and a hash of 64 MiB
	var all sync.WaitGroup
	for i := range accounts {
		all.Go(func() {
			turn <- struct{}{}
			accounts[i], errs[i] = newAccount(ctx, s, i)
			<-turn
		})
	}
	all.Wait()
	c.active, c.quiet = accounts[:p.writing], accounts[p.writing:]
	return c, errors.Join(errs...)
}

// idleOf is the account of an idle client.
func (c *crowd) idleOf(i int) *account {
	if i < len(c.active) {
		return c.active[i]
	}
	return c.quiet[(i-len(c.active))/perQuiet]
}

// phase is what all clients do for a while.
type phase struct {
	pause   time.Duration
	stop    chan struct{} // closed when no new call is to begin
	failed  chan error    // the first one
	refused atomic.Int64  // with Retry-After

	stood       *standstills
	interrupted atomic.Int64   // by one of them
	bytes       atomic.Int64   // of content, both ways
	begun       sync.WaitGroup // those who wait, until they know from where on
	done        sync.WaitGroup // those who read and write

	writes, reads, lists, heard times
}

func (p *phase) fail(err error) {
	select {
	case p.failed <- err:
	default:
	}
}

// rest waits between two calls, from half to one and a half of the pause; false when it is over.
func (p *phase) rest(pause time.Duration) bool {
	if pause > 0 {
		pause = pause/2 + rand.N(pause)
	}
	select {
	case <-p.stop:
		return false
	case <-time.After(pause):
		return true
	}
}

// patiently makes a call again for as long as the server asks to come later, and once for each time
// that it failed because this machine or program stood still. Any other error is the load's.
func (p *phase) patiently(ctx context.Context, call func() error) error {
	var excused time.Time // the end of the standstill after which it was made again
	for {
		begin := time.Now()
		err := call()
		if bySilence(err) && ctx.Err() == nil {
			if until := p.stood.since(begin); until.After(excused) {
				excused = until
				p.interrupted.Add(1)
				continue
			}
		}
		e, ok := errors.AsType[*api.Error](err)
		if err == nil || !ok || e.RetryAfter <= 0 || e.Kind != api.Unavailable && e.Kind != api.RateLimited {
			return err
		}
		p.refused.Add(1)
		select {
		case <-time.After(e.RetryAfter):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sampling is how often the servers' sizes are looked at.
const sampling = 500 * time.Millisecond

// work lets all clients do their part for a while, and looks whether the servers get rid of them afterwards.
func (c *crowd) work(ctx context.Context, last, pause time.Duration) (column, error) {
	var col column
	var err error
	if col.before, err = c.site.sample(ctx); err != nil {
		return col, err
	}
	p := &phase{pause: pause, stop: make(chan struct{}), failed: make(chan error, 1), stood: watchStandstills()}
	defer p.stood.end()
	waiting, leave := context.WithCancel(ctx)
	defer leave()
	var idle sync.WaitGroup
	var clients []*client.Client
	join := func(a *account, i int) (*client.Drive, error) {
		cl, err := client.New(c.site.servers[i%len(c.site.servers)].URL, a.cred, nil)
		if err != nil {
			return nil, err
		}
		clients = append(clients, cl)
		return cl.Drive(a.drive.String()), nil
	}
	defer func() {
		for _, cl := range clients {
			cl.Close()
		}
	}()
	for i := range c.plan.idle {
		a := c.idleOf(i)
		d, err := join(a, i+1) // not at the server where its account's writer is
		if err != nil {
			return col, err
		}
		p.begun.Add(1)
		idle.Go(func() {
			if err := a.listen(waiting, d, p); waiting.Err() == nil {
				p.fail(fmt.Errorf("an idle client: %w", err))
			}
		})
	}
	p.begun.Wait()
	begin := time.Now()
	for i, a := range c.active {
		d, err := join(a, i)
		if err != nil {
			return col, err
		}
		p.done.Go(func() {
			if err := a.write(ctx, d, p); err != nil {
				p.fail(fmt.Errorf("a writer: %w", err))
			}
		})
		if i >= c.plan.reading {
			continue
		}
		if d, err = join(a, i); err != nil {
			return col, err
		}
		p.done.Go(func() {
			if err := a.read(ctx, d, p); err != nil {
				p.fail(fmt.Errorf("a reader: %w", err))
			}
		})
	}
	col.samples, err = c.watch(ctx, p, begin.Add(last))
	close(p.stop)
	col.took = time.Since(begin)
	p.done.Wait()
	if err == nil {
		err = c.allHeard(ctx)
	}
	leave()
	idle.Wait()
	select {
	case failed := <-p.failed:
		err = errors.Join(failed, err)
	default:
	}
	if err != nil {
		return col, err
	}
	for _, cl := range clients {
		cl.Close()
	}
	col.writes, col.reads, col.lists, col.heard = p.writes.sorted(), p.reads.sorted(), p.lists.sorted(), p.heard.sorted()
	col.bytes, col.refused = p.bytes.Load(), int(p.refused.Load())
	col.stood, col.interrupted = p.stood.all(), int(p.interrupted.Load())
	col.after, err = c.settled(ctx, col.before.goroutines)
	return col, err
}

// watch looks at the servers' sizes until the end, or until somebody fails.
func (c *crowd) watch(ctx context.Context, p *phase, end time.Time) (samples []sample, err error) {
	for {
		s, err := c.site.sample(ctx)
		if err != nil {
			return nil, err
		}
		if samples = append(samples, s); !time.Now().Before(end) {
			return samples, nil
		}
		select {
		case err := <-p.failed:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(sampling, time.Until(end))):
		}
	}
}

// patience is for what a slow machine does late. What never comes is an error.
const patience = 2 * time.Minute

// allHeard waits until the idle clients of those who write have heard of all that was written.
func (c *crowd) allHeard(ctx context.Context) error {
	return eventually(ctx, func() error {
		for i, a := range c.active {
			if n := a.unheard(); n > 0 {
				return fmt.Errorf("a device of account %d was not told of %d writes", i, n)
			}
		}
		return nil
	})
}

// spare is how many goroutines a server may have beyond those before: what it does by itself every now
// and then. A leak of one for each client is more.
const spare = 12

// settled waits until the servers have let go of all clients.
func (c *crowd) settled(ctx context.Context, before int) (s sample, err error) {
	err = eventually(ctx, func() (err error) {
		if s, err = c.site.sample(ctx); err == nil && s.goroutines > before+spare*len(c.site.servers) {
			err = fmt.Errorf("%d goroutines are left of the clients: there were %d before, and now there are %d", s.goroutines-before, before, s.goroutines)
		}
		return err
	})
	return s, err
}

func eventually(ctx context.Context, fn func() error) error {
	for end := time.Now().Add(patience); ; {
		err := fn()
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// check reads every file that was acknowledged, by each of the servers.
func (c *crowd) check(ctx context.Context) error {
	for i, server := range c.site.servers {
		for _, a := range c.active {
			cl, err := client.New(server.URL, a.cred, nil)
			if err != nil {
				return err
			}
			err = a.check(ctx, cl.Drive(a.drive.String()))
			cl.Close()
			if err != nil {
				return fmt.Errorf("server %d: %w", i+1, err)
			}
		}
	}
	return nil
}

// check compares what the account's folder has with what was acknowledged.
func (a *account) check(ctx context.Context, d *client.Drive) error {
	page, err := d.Children(ctx, a.dir, "", 5000, nil)
	if err != nil {
		return err
	}
	there := map[api.ID]api.Node{}
	for _, n := range page.Nodes {
		there[n.ID] = n
	}
	for _, f := range a.files {
		if n, ok := there[f.node]; !ok || n.Version != f.version {
			return fmt.Errorf("a write was lost: %s has the version %s, not %s (there: %v)", f.name, n.Version, f.version, ok)
		}
	}
	if len(page.Entries) != len(a.files) {
		return fmt.Errorf("%d files were made, and %d are there", len(a.files), len(page.Entries))
	}
	for files := range slices.Chunk(a.files, 50) {
		refs := make([]api.ContentRef, len(files))
		for i, f := range files {
			refs[i] = api.ContentRef{Node: f.node}
		}
		seen := 0
		err := d.Contents(ctx, refs, func(i int, _ api.Version, body io.Reader) error {
			seen++
			return files[i].same(body)
		})
		if err == nil && seen != len(files) {
			err = fmt.Errorf("%d of %d files came back", seen, len(files))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
