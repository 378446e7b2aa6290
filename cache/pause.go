package cache

import (
	"context"

	"satchel/cache/locks"
)

// A pause keeps back what no program waits for: sending, and fetching what is
// pinned. Reading what is not here, and hearing of others' changes, goes on.
type pause struct {
	mu     locks.Mutex
	reason string        // for people; "" = nothing is kept back
	over   chan struct{} // closed when it ends
}

// Pause keeps sending and fetching ahead back until it is called with no
// reason; the reason is for people, in [Status]. What was pending stays so, and a call of
// fsync that waits for the server goes on waiting.
func (d *Drive) Pause(reason string) {
	p := &d.pause
	p.mu.Lock()
	was := p.reason
	p.reason = reason
	switch {
	case was == "" && reason != "":
		p.over = make(chan struct{})
	case was != "" && reason == "":
		close(p.over)
	}
	p.mu.Unlock()
	if was != "" && reason == "" {
		d.wakeSyncer()
		d.mu.Lock()
		d.pins.stir()
		d.mu.Unlock()
	}
}

// paused is why nothing is sent; "" when it is.
func (d *Drive) paused() string {
	d.pause.mu.Lock()
	defer d.pause.mu.Unlock()
	return d.pause.reason
}

// wait returns when there is no pause, or with ctx's error.
func (p *pause) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		reason, over := p.reason, p.over
		p.mu.Unlock()
		if reason == "" {
			return nil
		}
		select {
		case <-over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
