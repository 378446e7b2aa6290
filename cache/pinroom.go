package cache

import "time"

// Pinned content makes other clean content go, whatever --cache-size says, but leaves as much of the disk free as that does (room.go): nobody
// may be kept from writing by what nobody waits for. So what there is no room for is not begun, and tried again.

// fetchPinned fetches a pinned file; locked, and given up while it waits. The error is of kind NoSpace when there is no room for it.
func (d *Drive) fetchPinned(n *node) error {
	if _, err := d.awaitRoom(d.done); err != nil {
		return err
	}
	if n.slot == 0 && !n.dead && !n.stale && piecemeal(n) {
		return d.whole(n, true, d.done)
	}
	if err := d.roomToPin(n.size); err != nil {
		return err
	}
	return d.local(n, d.done)
}

// roomToPin returns when n more bytes of pinned content may come: there is room, or other content can go as they come; locked, and given up while it waits.
func (d *Drive) roomToPin(n int64) error {
	s := d.slots
	for end := time.Now().Add(patience); ; {
		k := d.diskNow()
		short := n + s.coming + s.pledged - (k.free - k.floor())
		switch {
		case short <= 0:
			return nil
		case d.ctx.Err() != nil:
			return errStopped
		case time.Now().After(end):
			return errNoRoom
		case s.sheds != s.freed.Load(): // what went takes up room until that is durable
		case d.pins.stays > 0 && short >= d.pins.stays:
			return errNoRoom
		case !d.couldGo(short):
			d.pins.stays = short
			return errNoRoom
		case n > wholeSize: // each part of it makes its own room
			return nil
		case !d.evictFor(n):
			return errNoRoom
		}
		d.mu.Unlock()
		select {
		case <-time.After(20 * time.Millisecond):
		case <-d.done:
		}
		d.mu.Lock()
	}
}
