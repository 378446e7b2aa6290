package cache

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing/iotest"
	"time"

	"satchel/api"
)

// A wire is the way to the server.
type wire struct {
	Remote

	mu   sync.Mutex
	down bool
	lost int  // answers of changes still to be lost
	mute int  // answers of batches still to be lost
	held bool // no content gets through
	dark bool // no directory can be listed
	deaf bool // the feed is silent
	ctx  context.Context
	stop context.CancelFunc
	skew time.Duration // of the device's clock

	fails func(api.Batch) error   // what the server answers instead of applying a batch; nil = it applies it
	after func(api.Batch) error   // the same, having applied it
	packs func(pack []byte) error // the same for packs, before
	lacks func(node api.ID) error // why the content of a file can't be had; nil = it can

	holes func(context.Context) ([]api.Hole, error) // what is said of holes, instead of what the server says

	stuck chan struct{} // nil, or closed when the server goes on: it takes calls and answers none

	net  *network  // what may become of a message; nil: it arrives
	link *slowLink // that content goes over; nil: a fast one

	resyncs int // answers that told the device to list again
	lists   int // pages of directories that were asked for
	asks    int // requests for them

	together func(dirs []api.ID) error // what becomes of a request for directories, once it was answered; nil = its answer comes
}

func newWire(r Remote) *wire {
	w := &wire{Remote: r}
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	w.stop()
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		w.down = false
		w.ctx, w.stop = context.WithCancel(context.Background())
	}
}

func (w *wire) listings() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lists
}

// loseAnswers makes the next n changes happen without an answer.
func (w *wire) loseAnswers(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = n
}

// loseCommits makes the next n batches happen without an answer; the result
// tells how many are still to come.
func (w *wire) loseCommits(n int) (left func() int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute = n
	return func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.mute
	}
}

// faults sets what fails from now on.
func (w *wire) faults(set func(w *wire)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	set(w)
}

// breakCommits answers the next n batches with an error, applied or not.
func (w *wire) breakCommits(n int, applied bool) {
	var left atomic.Int64
	left.Store(int64(n))
	fail := func(api.Batch) error {
		if left.Add(-1) >= 0 {
			return api.Errorf(api.Internal, "something went wrong")
		}
		return nil
	}
	w.faults(func(w *wire) {
		if w.fails, w.after = fail, nil; applied {
			w.fails, w.after = nil, fail
		}
	})
}

// stopUploads lets no content through while all else gets through.
func (w *wire) stopUploads(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = on
}

// stick makes the server take all calls and answer none, until it is told to go on.
func (w *wire) stick() (goOn func()) {
	stuck := make(chan struct{})
	w.faults(func(w *wire) { w.stuck = stuck })
	return func() {
		w.faults(func(w *wire) { w.stuck = nil })
		close(stuck)
	}
}

// unanswered is how long the client's HTTP goes on with a call that is not answered (limits in api/client).
const unanswered = 30 * time.Second

var (
	errCut      = api.Errorf(api.Unavailable, "the wire is cut")
	errNoAnswer = api.Errorf(api.Unavailable, "the server does not answer")
)

// over makes a call over the wire.
func over[T any](w *wire, ctx context.Context, change bool, call func(context.Context) (T, error)) (T, error) {
	var none T
	w.mu.Lock()
	if w.down {
		w.mu.Unlock()
		return none, errCut
	}
	link, net, stuck, lose := w.ctx, w.net, w.stuck, change && w.lost > 0
	if lose {
		w.lost--
	}
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(link, cancel)()
	if stuck != nil {
		select {
		case <-stuck:
		case <-ctx.Done():
		case <-time.After(unanswered):
			cancel()
		}
		if ctx.Err() != nil {
			cancel()
			return none, errNoAnswer
		}
	}
	v, err := through(net, ctx, change, call)
	if _, body := any(v).(io.ReadCloser); !body {
		cancel()
	} else {
		context.AfterFunc(link, cancel) // the body ends with the wire too
	}
	if link.Err() != nil || lose && err == nil {
		return none, errCut
	}
	return v, err
}

func (w *wire) Info(ctx context.Context) (api.DriveInfo, error) {
	return over(w, ctx, false, w.Remote.Info)
}

func (w *wire) Node(ctx context.Context, id api.ID) (api.Node, error) {
	return over(w, ctx, false, func(ctx context.Context) (api.Node, error) { return w.Remote.Node(ctx, id) })
}

func (w *wire) Children(ctx context.Context, dir api.ID, after api.Name, limit int, next func(api.Name)) (api.Listing, error) {
	w.mu.Lock()
	w.lists++
	w.asks++
	dark, net, link := w.dark, w.net, w.link
	w.mu.Unlock()
	if dark {
		return api.Listing{}, errCut
	}
	return over(w, ctx, false, func(ctx context.Context) (api.Listing, error) {
		l, err := w.Remote.Children(ctx, dir, after, net.few(limit), next)
		if err == nil && link != nil {
			err = link.carry(ctx, down, len(mustJSON(l)))
		}
		return l, err
	})
}

func (w *wire) Listings(ctx context.Context, dirs []api.ID, limit int) ([]api.Listed, error) {
	w.mu.Lock()
	w.lists += len(dirs)
	w.asks++
	dark, net, link, together := w.dark, w.net, w.link, w.together
	w.mu.Unlock()
	if dark {
		return nil, errCut
	}
	return over(w, ctx, false, func(ctx context.Context) ([]api.Listed, error) {
		all, err := w.Remote.Listings(ctx, dirs, net.few(limit))
		if err == nil && link != nil {
			err = link.carry(ctx, down, len(mustJSON(all)))
		}
		if err == nil && together != nil {
			err = together(dirs)
		}
		return all, err
	})
}

func (w *wire) Commit(ctx context.Context, b api.Batch) (api.Committed, error) {
	w.mu.Lock()
	skew, fails, after, link := w.skew, w.fails, w.after, w.link
	w.mu.Unlock()
	if skew != 0 {
		b.Mutations = append([]api.Mutation(nil), b.Mutations...)
		for i := range b.Mutations {
			b.Mutations[i].Time += int64(skew)
		}
	}
	c, err := over(w, ctx, true, func(ctx context.Context) (api.Committed, error) {
		if err := link.carry(ctx, up, len(mustJSON(b))); err != nil {
			return api.Committed{}, err
		}
		if fails != nil {
			if err := fails(b); err != nil {
				return api.Committed{}, err
			}
		}
		c, err := w.Remote.Commit(ctx, b)
		if err == nil && after != nil {
			err = after(b)
		}
		return c, err
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && w.mute > 0 {
		w.mute--
		return api.Committed{}, errCut
	}
	return c, err
}

func (w *wire) Missing(ctx context.Context, hashes []api.Hash) ([]api.Hash, error) {
	w.mu.Lock()
	held := w.held
	w.mu.Unlock()
	if held {
		return nil, errCut
	}
	return over(w, ctx, false, func(ctx context.Context) ([]api.Hash, error) { return w.Remote.Missing(ctx, hashes) })
}

func (w *wire) PutPack(ctx context.Context, pack []byte) error {
	w.mu.Lock()
	packs, link := w.packs, w.link
	w.mu.Unlock()
	_, err := over(w, ctx, true, func(ctx context.Context) (struct{}, error) {
		if err := link.carry(ctx, up, len(pack)); err != nil {
			return struct{}{}, err
		}
		if packs != nil {
			if err := packs(pack); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, w.Remote.PutPack(ctx, pack)
	})
	return err
}

func (w *wire) Content(ctx context.Context, node, version api.ID, off, n int64) (io.ReadCloser, error) {
	w.mu.Lock()
	link, lacks := w.link, w.lacks
	w.mu.Unlock()
	return over(w, ctx, false, func(ctx context.Context) (io.ReadCloser, error) {
		if lacks != nil {
			if err := lacks(node); err != nil {
				return nil, err
			}
		}
		body, err := w.Remote.Content(ctx, node, version, off, n)
		if err != nil {
			return nil, err
		}
		return link.body(ctx, body), nil
	})
}

func (w *wire) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	w.mu.Lock()
	deaf := w.deaf
	w.mu.Unlock()
	if deaf { // but connected
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
		return api.Changes{State: api.State{Epoch: epoch, Seq: after}}, nil
	}
	c, err := over(w, ctx, false, func(ctx context.Context) (api.Changes, error) { return w.Remote.Changes(ctx, life, epoch, after, wait) })
	if api.KindOf(err) == api.Resync {
		w.mu.Lock()
		w.resyncs++
		w.mu.Unlock()
	}
	return c, err
}

func (w *wire) Holes(ctx context.Context, node, version api.ID) ([]api.Hole, error) {
	w.mu.Lock()
	holes := w.holes
	w.mu.Unlock()
	return over(w, ctx, false, func(ctx context.Context) ([]api.Hole, error) {
		if holes != nil {
			return holes(ctx)
		}
		return w.Remote.Holes(ctx, node, version)
	})
}

func (w *wire) Contents(ctx context.Context, files []api.ContentRef, fn func(index int, v api.Version, body io.Reader) error) error {
	w.mu.Lock()
	link, lacks := w.link, w.lacks
	w.mu.Unlock()
	_, err := over(w, ctx, false, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, w.Remote.Contents(ctx, files, func(i int, v api.Version, body io.Reader) error {
			if lacks != nil {
				if err := lacks(files[i].Node); err != nil {
					return fn(i, api.Version{}, iotest.ErrReader(err))
				}
			}
			return fn(i, v, link.body(ctx, body))
		})
	})
	return err
}
