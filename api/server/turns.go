package server

import (
	"context"
	"sync"
	"time"

	"satchel/api"
)

// turns lets one of each user's requests do something at a time. It is safe for concurrent use.
type turns struct {
	mu sync.Mutex
	of map[api.ID]*turn // of those who are at it, or wait
}

type turn struct {
	taken  chan struct{} // has one while somebody is at it
	inside int           // how many are, or wait; under turns.mu
}

// turnPatience is for how long a request waits for the user's others.
const turnPatience = 15 * time.Second

func newTurns() *turns { return &turns{of: map[api.ID]*turn{}} }

// do calls fn when it is the user's turn. Who waits for too long is [api.Unavailable].
func (t *turns) do(ctx context.Context, user api.ID, fn func() error) error {
	mine := t.join(user)
	defer t.leave(user, mine)
	patience := time.NewTimer(turnPatience)
	defer patience.Stop()
	select {
	case mine.taken <- struct{}{}:
		defer func() { <-mine.taken }()
		return fn()
	case <-patience.C:
		return &api.Error{Kind: api.Unavailable, Message: "another change of your files takes long: try again in a moment", RetryAfter: api.Soon()}
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *turns) join(user api.ID) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.of[user]
	if mine == nil {
		mine = &turn{taken: make(chan struct{}, 1)}
		t.of[user] = mine
	}
	mine.inside++
	return mine
}

func (t *turns) leave(user api.ID, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.inside--; mine.inside == 0 {
		delete(t.of, user)
	}
}
