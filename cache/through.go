package cache

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// A file of which not all can be kept is read through: what its readers and its hash have behind them makes room for what
// is read next. So a copy of a file larger than the disk goes on to its end, and takes from no other file. Which files these are
// shows when room is short: others go only for one that can be kept whole then.
//
// What goes becomes a hole in the content file, and is fetched again by whoever reads it again. Blocks go round: first what came first, as
// readers mostly go on. What a read is about to take stays, and what the hash comes to next without a gap. A block that goes leaves a mark
// of its content, and when it comes again it must be the same: so one hash of the whole proves all that was ever shown of it.

// ownShare is what a file gets in any case that is read, bytes: as much goes of what others have, or of what is left free.
const ownShare = maxAhead

// makeWay returns how many of n bytes may come; they count as coming from then on. Not locked. The error is of kind NoSpace when there
// is no room, of kind Cancelled at the end of ctx.
func (p *partial) makeWay(ctx context.Context, n int64) (int64, error) {
	d, s := p.d, p.d.slots
	d.mu.Lock()
	defer d.mu.Unlock()
	for end := time.Now().Add(patience); ; {
		d.account(p)
		short, must := p.lacks(n)
		grant := int64(0)
		switch {
		case short <= 0:
			grant = n
		case s.sheds != s.freed.Load(): // what went takes up room until that is durable
		case (must || !p.through && d.fits(p)) && d.evictFor(n): // room is coming
		case must:
			if k := d.diskNow(); k.free-s.coming-n < d.least(p, k) {
				return 0, errFull
			}
			grant = n
		default:
			s.pledged, p.coming = s.pledged+n, p.coming+n // what goes for them is not another's
			freed, err := d.cede(p, short)
			s.pledged, p.coming = s.pledged-n, p.coming-n
			if err != nil {
				return 0, err
			}
			if grant = n - max(short-freed, 0); grant < n {
				grant -= grant % blockSize
			}
			if freed > 0 {
				end = time.Now().Add(patience)
			}
		}
		if grant >= min(n, minAhead) {
			p.coming += grant
			s.coming += grant
			return grant, nil
		}
		if time.Now().After(end) {
			return 0, errFull
		}
		if !p.pause(ctx) {
			return 0, errStopped
		}
	}
}

// pause waits until there may be more room, false at the end of ctx; locked, and given up meanwhile.
func (p *partial) pause(ctx context.Context) bool {
	p.mu.Lock()
	p.till = time.Now().Add(patience) // nobody waits for the server now
	p.mu.Unlock()
	p.d.mu.Unlock()
	defer p.d.mu.Lock()
	select {
	case <-time.After(20 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}

// lacks tells by how many bytes there is too little room for n more, and whether these must come though that be so: where somebody waits
// for all of the file, and where there is hardly anything of it. Locked.
func (p *partial) lacks(n int64) (short int64, must bool) {
	d, s := p.d, p.d.slots
	limit, spare := d.limit()
	ceiling := d.ceiling()
	room := min(limit, ceiling-s.coming) - s.bytes - s.pledged
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all > 0 { // what is written, or pinned, is not bound by what was set
		k := d.diskNow()
		return n - (k.free - k.floor() - s.coming - s.pledged), true
	}
	if p.through || p.size-p.zeros() > ceiling { // what is fetched of others in between makes none of theirs go
		room -= spare / 2
	}
	here := (p.have.blocks-p.have.left)*blockSize - p.zeros()
	p.share = max(here+room, ownShare)
	return n - room, here+p.coming+n <= ownShare
}

// least is how much of a disk stays free even of what must come, bytes: of what is only pinned as much as of other clean content. Locked.
func (d *Drive) least(p *partial, k disk) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pins > 0 && p.pins == p.all {
		return k.floor()
	}
	return k.reserve()
}

// missing is how much of it is not here, bytes.
func (p *partial) missing() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.have.left * blockSize
}

// fits tells whether all of p can be kept once what may go went; locked, and given up in between.
func (d *Drive) fits(p *partial) bool {
	return d.couldGo(p.missing() - (d.ceiling() - d.slots.bytes))
}

// evictFor is evict for n bytes that are to come; locked, and given up in between.
func (d *Drive) evictFor(n int64) bool {
	d.slots.coming += n
	defer func() { d.slots.coming -= n }()
	return d.evict()
}

// cede makes at least n bytes of p go, as far as that can be, and returns how many did; locked, and given up meanwhile.
func (d *Drive) cede(p *partial, n int64) (int64, error) {
	err := d.readThrough(p)
	d.mu.Unlock()
	defer d.mu.Lock()
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	gone := p.behind(n)
	p.follow() // what the hash has taken may go next
	p.mu.Unlock()
	if len(gone) == 0 {
		return 0, nil
	}
	freed, err := p.punch(gone)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range gone {
		if p.release(s); errors.Is(err, unix.EOPNOTSUPP) { // it is as it was
			p.have.fill(s.first, s.end, &p.asked)
		}
	}
	p.tell(true) // somebody may have come for it meanwhile
	return freed, err
}

// makeOwnRoom is for n of the bytes that are coming, which did not fit, as in a quota, though no other content can go for them; locked, and
// given up while it waits for what the hash has to take first. Where all of the file is wanted it fails.
func (p *partial) makeOwnRoom(ctx context.Context, n int64) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		p.mu.Lock()
		all := p.all > 0
		p.mu.Unlock()
		if all {
			return false
		}
		freed, err := p.d.cede(p, n)
		if n -= freed; n <= 0 {
			return true
		}
		if err != nil || !p.pause(ctx) {
			return false
		}
	}
	return false
}

// landed notes that n bytes are here that were coming, or will not be; locked.
func (p *partial) landed(n int64) {
	p.coming -= n
	p.d.slots.coming -= n
}

// readThrough makes p a file that is read through; locked, and given up meanwhile. First its map goes from the replica, durably: after a crash that would
// say of what went that it is here.
func (d *Drive) readThrough(p *partial) error {
	if p.through {
		return nil
	}
	p.unmapped = true
	if p.mapped {
		t := d.begin()
		t.behind = true
		if d.parts[p.node] == p {
			t.b.Delete(partialKey(p.node), nil)
		}
		if err := t.commit(); err != nil {
			return err
		}
		d.mu.Unlock()
		err := d.st.settle()
		d.mu.Lock()
		if err != nil {
			return err
		}
		p.mapped = false
	}
	p.mu.Lock()
	p.through = true
	if p.marks == nil {
		p.marks = make([]uint32, p.have.blocks)
	}
	p.mu.Unlock()
	return nil
}

// behind takes n bytes from the map that may go, and counts them as asked for until they are gone; with mu held. When what the readers have
// behind them is not enough and the hash is not about to leave more, what was fetched ahead of one goes, of that who did not read for longest.
func (p *partial) behind(n int64) (gone []span) {
	all := p.have.blocks - 1 // the last one stays: it may be a part of one
	for {
		kept := p.needed()
		for left := all; left > 0 && n > 0; left-- {
			b := p.hand
			p.hand = (b + 1) % all
			if !p.have.has(b) || p.hollow(b) || slices.ContainsFunc(kept, func(s span) bool { return s.first <= b && b < s.end }) {
				continue
			}
			p.have.clear(b)
			p.asked.set(b)
			n -= blockSize
			if k := len(gone) - 1; k >= 0 && gone[k].end == b {
				gone[k].end++
			} else {
				gone = append(gone, span{b, b + 1})
			}
		}
		if n <= 0 || p.hashing || len(p.streams) == 0 {
			return gone
		}
		oldest := slices.MinFunc(p.streams, func(a, b *stream) int { return a.used.Compare(b.used) })
		p.streams = slices.DeleteFunc(p.streams, func(s *stream) bool { return s == oldest })
	}
}

// needed is what stays: where a read or a stream is, and what the hash comes to without a gap; with mu held.
func (p *partial) needed() []span {
	at := p.hashed / blockSize
	kept := []span{{at, p.have.run(at)}}
	for _, r := range p.reads {
		kept = append(kept, *r)
	}
	for _, s := range p.streams {
		kept = append(kept, span{(s.next - nearby) / blockSize, blocksOf(max(s.next, s.ahead))})
	}
	return kept
}

// punch makes holes where blocks were that nobody else has to do with, and returns how many bytes that gives back; not locked.
func (p *partial) punch(gone []span) (freed int64, err error) {
	f, err := os.OpenFile(p.d.slotPath(p.slot), os.O_RDWR, 0)
	if err != nil {
		return 0, api.Errorf(kindOf(err), "make room in a content file: %w", err)
	}
	defer f.Close()
	for _, s := range gone {
		for b := s.first; b < s.end; b++ {
			if p.marks[b] == 0 {
				if p.marks[b], err = markOf(f, b); err != nil {
					return freed, api.Errorf(kindOf(err), "read a content file: %w", err)
				}
			}
		}
		n := (s.end - s.first) * blockSize
		if err := punch(int(f.Fd()), s.first*blockSize, n); err != nil {
			return freed, api.Errorf(api.NoSpace, "make room in a content file: %w", err)
		}
		freed += n
	}
	return freed, nil
}

// markSeed makes marks those of this process: nobody can make content for them.
var markSeed = maphash.MakeSeed()

// markOf is the mark of a block, never 0.
func markOf(f io.ReaderAt, b int64) (uint32, error) {
	buf := pieces.Get().(*[piece]byte)
	defer pieces.Put(buf)
	if _, err := f.ReadAt(buf[:blockSize], b*blockSize); err != nil {
		return 0, err
	}
	return uint32(maphash.Bytes(markSeed, buf[:blockSize])) | 1, nil
}

// compare makes sure that blocks first to end, which have just come, are what they were when they went; not locked. Marks are
// written and read by whoever has the block asked for.
func (p *partial) compare(f *os.File, first, end int64) error {
	p.mu.Lock()
	marks := p.marks
	p.mu.Unlock()
	for b := first; b < end && marks != nil; b++ {
		if marks[b] == 0 {
			continue
		}
		mark, err := markOf(f, b)
		if err != nil {
			return api.Errorf(kindOf(err), "read a content file: %w", err)
		}
		if mark != marks[b] {
			err = api.Errorf(api.Internal, "the content is not what it was when it came first")
			p.spoiled(err)
			return err
		}
	}
	return nil
}

// spoiled gives p up as damaged; not locked.
func (p *partial) spoiled(why error) {
	p.d.spoil(p, why)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.damaged = cmp.Or(p.damaged, why)
	p.tell(true)
}

// hold is await, after which the content stays where it is until done is called; not locked.
func (p *partial) hold(off, end int64, intr Interrupt) (done func(), err error) {
	r := &span{off / blockSize, blocksOf(min(end, p.size))}
	p.mu.Lock()
	p.reads = append(p.reads, r)
	p.mu.Unlock()
	done = func() {
		p.mu.Lock()
		p.reads = slices.DeleteFunc(p.reads, func(x *span) bool { return x == r })
		p.mu.Unlock()
	}
	if err := p.await(off, end, intr); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// complete tells whether all is here that the hash has not taken yet; with mu held.
func (p *partial) complete() bool {
	return p.have.left == 0 || p.marks != nil && p.have.run(p.hashed/blockSize) == p.have.blocks
}
