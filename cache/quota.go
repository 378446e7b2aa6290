package cache

import (
	"context"
	"time"

	"satchel/api"
)

// The server counts the owner's quota and refuses what exceeds it; then the
// content is kept in the Recovered folder. So that programs hear of it before
// they write in vain, as on a local disk (EDQUOT), this machine does not begin what
// the server would refuse by all that is known here: what it said last, and by how
// much the files have grown since.
//
// What programs write through the kernel is not seen. So while less than tight is
// left, files opened for writing are not passed through, and each write is asked.
type quota struct {
	news   chan struct{} // what the server said may not be true any more
	all    int64         // bytes by which files that were not committed have grown, as far as was seen; guarded by Drive.mu
	grown  int64         // the same when it was last asked for, and what was afforded since; also
	counts time.Time     // when that was; also
}

const (
	tight     = 1 << 30 // bytes left of a quota
	recount   = 100 * time.Millisecond
	askQuota  = time.Minute // an operator may have changed it
	quotaRest = time.Second // between two questions
)

var errQuota = api.Errorf(api.Quota, "the quota of the drive is used up")

// quotaNews asks the server soon how much room there is.
func (d *Drive) quotaNews() {
	select {
	case d.quota.news <- struct{}{}:
	default:
	}
}

// runQuota keeps what is known of the drive's size true, until Close.
func (d *Drive) runQuota() {
	for {
		select {
		case <-d.done:
			return
		case <-d.quota.news:
		case <-time.After(askQuota):
		}
		if d.connected.Load() {
			d.hearQuota()
		}
		select {
		case <-d.done:
			return
		case <-time.After(quotaRest):
		}
	}
}

func (d *Drive) hearQuota() {
	ctx, cancel := context.WithTimeout(d.ctx, 30*time.Second)
	defer cancel()
	info, err := d.cfg.Remote.Info(ctx)
	if err != nil {
		return // the feed finds out what is wrong
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.room()
	d.drive.Quota, d.drive.Used, d.drive.Files, d.drive.Stored = info.Quota, info.Used, info.Files, info.Stored
	if d.room() > before {
		d.offerAgain()
	}
}

// offerAgain sends what was refused and waits, since there may be room for it
// now; locked.
func (d *Drive) offerAgain() {
	for _, e := range d.journal.order {
		if e.gone || e.after.IsZero() {
			continue
		}
		e.after = time.Time{}
		if n := d.syn.hots[e.m.Node]; n != nil && n.hot.entry == e {
			n.hot.due = time.Now()
			d.enqueue(n)
		}
	}
	d.wakeSyncer()
}

// noQuota is room without end.
const noQuota = 1 << 62

// room is how many bytes the files may grow by, as far as is known here;
// less than 0 when they are too large already. Locked.
func (d *Drive) room() int64 {
	q := d.drive.Quota
	if q == 0 {
		return noQuota
	}
	if time.Since(d.quota.counts) > recount {
		for n := range d.writing {
			if n.hot != nil {
				d.pull(n)
			}
		}
		d.quota.grown, d.quota.counts = d.quota.all, time.Now()
	}
	return q - d.drive.Used - d.quota.grown
}

// grew counts by how much a hot node has grown since the server counted it: to be called when what that depends on has changed. Locked.
func (d *Drive) grew(n *node) {
	by := int64(0)
	if !d.stays(n) {
		by = n.size - n.hot.base
	}
	d.quota.all += by - n.hot.grown
	n.hot.grown = by
}

// affords refuses files that shall grow by a number of bytes, if there is no
// room for them; locked.
func (d *Drive) affords(bytes int64) error {
	room := d.room()
	if room < bytes {
		return errQuota
	}
	if room != noQuota {
		d.quota.grown += bytes // until they are counted
	}
	return nil
}

// counts tells whether a file counts against the quota; locked.
func (d *Drive) counts(n *node) bool { return !n.dead && !d.stays(n) }

// solvent refuses what will grow by some bytes at least; locked.
func (d *Drive) solvent() error {
	if d.room() < 1 {
		return errQuota
	}
	return nil
}

// tight tells whether a file that is opened for writing could soon fill the
// quota; locked.
func (d *Drive) tight() bool { return d.room() < tight }

// committed notes that the server counts n's content now; locked.
func (d *Drive) committed(n *node, size int64) {
	if n.hot == nil {
		return
	}
	d.drive.Used += size - n.hot.base
	n.hot.base = size
	d.grew(n)
	d.quota.counts = time.Time{}
}
