package cache

import (
	"cmp"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
)

// The hash of a file that is fetched in parts follows what has arrived, beside the fetching, so that it is known when
// the last part is here. Only where a link is as fast as the hash does it wait for the end: there it would
// slow down the reader.
const (
	fastLink    = 400 << 20 // bytes a second
	clockEvery  = 8 << 20   // bytes
	proveFirst  = 256 << 20 // bytes not hashed yet for which the end of a file is withheld: some 0.2 s
	zerosAtOnce = 1 << 30   // bytes of a hole that are hashed in one go
	restFrom    = 512 << 20 // bytes not hashed yet that are in no case proven before a reader is at the end
	readersRest = 50 * time.Millisecond
	restMost    = 2 * time.Second
)

// clock notes how fast content comes; with mu held.
func (p *partial) clock(n int64) {
	if p.clockRest -= n; p.clockRest > 0 {
		return
	}
	now := time.Now()
	p.fast = now.Sub(p.clocked) < time.Second*clockEvery/fastLink
	p.clocked, p.clockRest = now, clockEvery
}

// follow hashes what is here from the start on, as far as it reaches, and judges the whole; with mu held.
func (p *partial) follow() {
	end := min(p.have.run(p.hashed/blockSize)*blockSize, p.size)
	if p.hashing || p.proven || p.damaged != nil || !p.complete() && (p.defers() || end-p.hashed < 1<<20) {
		return
	}
	p.hashing = true
	p.users++
	fd := p.c.fd
	p.d.wg.Go(func() {
		p.hashOn(fd)
		p.d.mu.Lock()
		p.d.unuse(p)
		p.d.mu.Unlock()
	})
}

// defers tells whether the hash waits until all is here; with mu held.
func (p *partial) defers() bool { return p.fast && !p.through }

// rest lets those who read go first, where all of a very large file came faster than it could be hashed: what they have left is in memory, and
// the hash would take their processor, and still come after them. It ends when somebody waits for the proof, and after restMost.
func (p *partial) rest() {
	for begin := time.Now(); p.reading() && time.Since(begin) < restMost; {
		select {
		case <-p.d.done:
			return
		case <-time.After(readersRest):
		}
	}
}

// reading tells whether somebody reads now who does not wait for the proof.
func (p *partial) reading() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.defers() && p.all == 0 && p.size-p.hashed > restFrom &&
		slices.ContainsFunc(p.streams, func(s *stream) bool { return time.Since(s.used) < readersRest })
}

func (p *partial) hashOn(fd int) {
	p.rest()
	buf := make([]byte, 1<<20)
	for {
		p.mu.Lock()
		end := min(p.have.run(p.hashed/blockSize)*blockSize, p.size)
		if end == p.hashed || p.defers() && p.have.left > 0 || p.d.ctx.Err() != nil {
			done := p.hashed == p.size
			p.hashing = done // until it is judged
			p.mu.Unlock()
			if done {
				p.judge()
			}
			return
		}
		off := p.hashed
		if n := min(p.zerosAt(off), end-off, zerosAtOnce); n > 0 {
			p.mu.Unlock()
			p.hash.Zeros(n)
			p.mu.Lock()
			p.hashed += n
			p.mu.Unlock()
			continue
		}
		p.mu.Unlock()
		n, err := unix.Pread(fd, buf[:min(int64(len(buf)), end-off)], off)
		if n == 0 && err == nil {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			p.conclude(api.Errorf(api.Internal, "fetched content can't be read back: %w", err))
			return
		}
		p.hash.Write(buf[:n])
		p.mu.Lock()
		p.hashed += int64(n)
		p.mu.Unlock()
	}
}

// judge compares the hash of the whole with the version's.
func (p *partial) judge() {
	if p.sha.IsZero() || p.hash.Sum() == p.sha {
		p.conclude(nil)
	} else {
		p.conclude(api.Errorf(api.Internal, "the content does not have the hash that the server said"))
	}
}

// conclude ends the hashing: the whole is proven, or damaged. A reader finds it hashed still or judged, and nothing in between. Of a file
// that is read through not all is here then.
func (p *partial) conclude(damaged error) {
	if damaged != nil {
		p.d.spoil(p, damaged)
	}
	p.mu.Lock()
	p.damaged = cmp.Or(p.damaged, damaged)
	p.hashing, p.proven = false, p.damaged == nil
	whole := p.whole()
	p.mu.Unlock()
	if whole {
		p.d.adoptPart(p)
	}
	p.mu.Lock()
	p.tell(true)
	p.mu.Unlock()
}

// whole tells whether all is here and proven; with mu held.
func (p *partial) whole() bool { return p.proven && p.have.left == 0 }
