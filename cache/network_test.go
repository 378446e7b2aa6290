package cache

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// A network delays messages, so that they overtake each other, loses some of them and some of
// their answers, and delivers some twice, or when nobody waits for them any more.
type network struct {
	mu  sync.Mutex
	rng *rand.Rand

	room       int           // entries that an answer about directories has at most; 0 = as many as are asked for
	delay      time.Duration // each way, at most
	lost       float64       // of the messages, and of the answers to them
	late       float64       // of the changes: lost for the sender, and they arrive all the same
	twice      float64       // of the changes: they arrive once more, later
	stragglers sync.WaitGroup
	off        context.CancelFunc // ends what is still on its way
	ctx        context.Context
}

func newNetwork(rng *rand.Rand) *network {
	n := &network{rng: rng}
	n.ctx, n.off = context.WithCancel(context.Background())
	return n
}

// calm makes the network a good one; what is still on its way arrives.
func (n *network) calm() {
	n.mu.Lock()
	n.delay, n.lost, n.late, n.twice = 0, 0, 0, 0
	n.mu.Unlock()
	n.stragglers.Wait()
}

// drop loses what is still on its way.
func (n *network) drop() {
	n.mu.Lock()
	n.off()
	n.ctx, n.off = context.WithCancel(context.Background())
	n.mu.Unlock()
}

// end drops what is still on its way, for good.
func (n *network) end() {
	n.drop()
	n.off()
	n.stragglers.Wait()
}

// listing is how long a directory is locked by who waits for the server there; mostly nobody does.
func (n *network) listing() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.delay == 0 || n.rng.IntN(4) > 0 {
		return 0
	}
	return time.Duration(n.rng.Int64N(int64(2 * n.delay)))
}

func (n *network) chance(p float64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.Float64() < p
}

// few is how many entries an answer has that may have so many.
func (n *network) few(limit int) int {
	if n == nil {
		return limit
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.room > 0 {
		limit = min(limit, n.room)
	}
	return limit
}

// upTo waits for a random while.
func (n *network) upTo(ctx context.Context, most time.Duration) {
	if most <= 0 {
		return
	}
	n.mu.Lock()
	d := time.Duration(n.rng.Int64N(int64(most)))
	n.mu.Unlock()
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// through makes a call through a network, nil for one that only carries.
func through[T any](n *network, ctx context.Context, change bool, call func(context.Context) (T, error)) (v T, err error) {
	if n == nil {
		return call(ctx)
	}
	n.mu.Lock()
	delay, lost, late, twice, life := n.delay, n.lost, n.late, n.twice, n.ctx
	n.mu.Unlock()
	again := func() {
		n.stragglers.Go(func() {
			n.upTo(life, 40*time.Second)
			if life.Err() == nil {
				call(life)
			}
		})
	}
	n.upTo(ctx, delay)
	switch {
	case life.Err() != nil:
		return v, errCut
	case change && n.chance(late):
		again()
		return v, errCut
	case n.chance(lost):
		return v, errCut
	case change && n.chance(twice):
		again()
	}
	if v, err = call(ctx); err == nil {
		n.upTo(ctx, delay)
		if n.chance(lost) || life.Err() != nil {
			return v, errCut
		}
	}
	return v, err
}
