package cache

import (
	"context"

	"satchel/api"
)

// shown is up to which change of the drive's order all that others did shows here. Guarded by Drive.mu.
type shown struct {
	seq   int64
	moved chan struct{} // closed when seq moves
}

// showing notes up to where all shows; locked.
func (d *Drive) showing(seq int64) {
	d.shown.seq = seq
	if d.shown.moved != nil {
		close(d.shown.moved)
		d.shown.moved = nil
	}
}

// ID is the drive's id.
func (d *Drive) ID() api.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drive.ID
}

// Await returns when programs see what others did up to a change in the drive's order: the replica has it, and the kernel was told. The change
// must be another's, since the feed does not tell of this device's own. The error is of kind Unavailable when the feed is
// down or breaks off, and so nothing is waited for; or ctx's.
func (d *Drive) Await(ctx context.Context, seq int64) error {
	for {
		d.mu.Lock()
		if d.shown.seq >= seq {
			d.mu.Unlock()
			return d.notes.told(ctx)
		}
		if d.shown.moved == nil {
			d.shown.moved = make(chan struct{})
		}
		moved := d.shown.moved
		d.mu.Unlock()
		if polled := d.polled.Load(); polled && !d.connected.Load() { // before the first answer that is not known
			return api.Errorf(api.Unavailable, "the server cannot be reached")
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-d.done:
			return api.Errorf(api.Unavailable, "the drive is closed")
		}
	}
}
