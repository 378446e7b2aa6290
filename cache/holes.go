package cache

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/api/pace"
)

// holesFrom is from which size on the server is asked where the holes of a cold file are, bytes. They need not be
// fetched: the content file has them as it is made.
const holesFrom = 64 << 20

// askHoles asks once, while the first reads are under way; locked and with mu held, by somebody who uses p. A server that does
// not know of holes has all of the file fetched.
func (p *partial) askHoles() {
	if p.size < holesFrom || p.holesTold || p.holesAsk != nil {
		return
	}
	p.holesAsk = make(chan struct{})
	soon, answered := context.WithTimeout(p.d.ctx, patience)
	p.holesSoon = soon.Done()
	p.users++
	stop := p.stop
	p.d.wg.Go(func() {
		defer answered()
		ctx, cancel := p.until(stop)
		defer cancel()
		ctx, clock := pace.With(ctx, patience)
		defer clock.End()
		holes, err := p.d.cfg.Remote.Holes(ctx, p.node, p.version)
		p.d.mu.Lock()
		p.mu.Lock()
		if err == nil {
			p.learn(holes)
		}
		if n := p.d.byID[p.node]; n != nil && n.part == p && p.holesTold {
			n.taken = 1 + sectorsOf(p.size-p.zeros())
		}
		close(p.holesAsk)
		p.holesAsk = nil
		p.tell(err == nil)
		p.follow()
		whole := p.whole()
		p.mu.Unlock()
		p.d.mu.Unlock()
		if whole { // it was proven before
			p.d.adoptPart(p)
		}
		p.d.mu.Lock()
		p.d.unuse(p)
		p.d.mu.Unlock()
	})
}

// unsure tells whether n may have holes that only the server knows of; locked.
func (n *node) unsure() bool { return piecemeal(n) && n.size >= holesFrom && n.taken == 0 }

// awaitHoles waits while the server is asked, and tells whether that is over; false when stop was closed first. Locked, and given up meanwhile.
func (d *Drive) awaitHoles(p *partial, stop <-chan struct{}) bool {
	p.mu.Lock()
	asked := p.holesAsk
	p.mu.Unlock()
	if asked == nil {
		return true
	}
	d.mu.Unlock()
	defer d.mu.Lock()
	select {
	case <-asked:
		return true
	case <-stop:
		return false
	}
}

// zeros is how much of it is holes, bytes; with mu held.
func (p *partial) zeros() (n int64) {
	for _, h := range p.holes {
		n += h.Size
	}
	return n
}

// learn takes over where holes are, if that can be; with mu held. Whether it is true, the hash of the whole will show. A request
// under way ends before the first hole that it has not begun on: what it is asked for nobody else may say is here.
func (p *partial) learn(holes []api.Hole) {
	end := int64(0)
	for _, h := range holes {
		if h.Off < end || h.Size <= 0 || h.Size > p.size-h.Off {
			p.d.log.Error("the server named holes that can't be", "hole", h, "size", p.size)
			return
		}
		end = h.Off + h.Size
	}
	p.holes, p.holesTold, p.till = holes, true, time.Now().Add(patience)
	for _, r := range p.working {
		for b := r.first; b < r.end; b++ {
			if p.hollow(b) {
				rest := span{b, r.end}
				r.end = b
				p.release(rest)
				p.queue = slices.Insert(p.queue, 0, rest)
			}
		}
	}
	for _, h := range holes {
		p.have.fill(blocksOf(h.Off), p.blocksBy(h.Off+h.Size), &p.asked)
	}
}

// hollow tells whether a block is a hole; with mu held.
func (p *partial) hollow(b int64) bool {
	off := b * blockSize
	return p.zerosAt(off) >= min(blockSize, p.size-off)
}

// zerosAt is how many bytes of a hole follow at an offset; with mu held.
func (p *partial) zerosAt(off int64) int64 {
	i, found := slices.BinarySearchFunc(p.holes, off, func(h api.Hole, off int64) int {
		switch {
		case off < h.Off:
			return 1
		case off >= h.Off+h.Size:
			return -1
		}
		return 0
	})
	if !found {
		return 0
	}
	return p.holes[i].Off + p.holes[i].Size - off
}

// seek is lseek(2) with SEEK_DATA or SEEK_HOLE by what the server said of holes. Without its word all is data.
func (p *partial) seek(off int64, whence int) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if off >= p.size {
		return 0, unix.ENXIO
	}
	zeros := p.zerosAt(off)
	switch {
	case whence == unix.SEEK_DATA && off+zeros == p.size:
		return 0, unix.ENXIO
	case whence == unix.SEEK_DATA:
		return off + zeros, nil
	case zeros > 0:
		return off, nil
	}
	i, _ := slices.BinarySearchFunc(p.holes, off, func(h api.Hole, off int64) int { return int(min(max(h.Off-off, -1), 1)) })
	if i < len(p.holes) {
		return p.holes[i].Off, nil
	}
	return p.size, nil
}
