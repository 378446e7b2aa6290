package cache

import "time"

// A span is a range of blocks, end exclusive.
type span struct{ first, end int64 }

// A stream is a reader that goes through a partial file from somewhere on. What it will read next is
// fetched ahead of it, little at first, then up to maxAhead (on a fast link four times that), so that a look at a file's head costs
// little and a long read runs at the link's speed. A read that belongs to no stream begins one.
type stream struct {
	next  int64 // where the reads have come to, bytes
	ahead int64 // up to where was asked, a multiple of blockSize or the file's end
	size  int64 // how far ahead of next to be
	used  time.Time
}

const (
	minAhead    = 256 << 10
	maxAhead    = 32 << 20
	twoRequests = 2 << 20 // from here on in two requests
	nearby      = 1 << 20 // the kernel's reads of one stream come a little out of order
	maxStreams  = 16
)

// readAhead follows a read and asks for what will be read next; with mu held.
func (p *partial) readAhead(off, end int64) {
	var s *stream
	oldest := 0
	for i, x := range p.streams {
		if off <= x.next+nearby/8 && off >= x.next-nearby {
			s = x
			break
		}
		if x.used.Before(p.streams[oldest].used) {
			oldest = i
		}
	}
	now := time.Now()
	if s == nil {
		s = &stream{next: end, ahead: min(blocksOf(end)*blockSize, p.size), used: now}
		if off == 0 {
			s.size = minAhead // whoever looks at the head looks a little further
		}
		if len(p.streams) < maxStreams {
			p.streams = append(p.streams, s)
		} else {
			p.streams[oldest] = s
		}
		p.extend(s)
		return
	}
	s.used = now
	if end <= s.next {
		return
	}
	s.next = end
	s.ahead = max(s.ahead, min(blocksOf(end)*blockSize, p.size))
	if s.ahead-s.next < s.size/2 || s.size == 0 {
		s.size = min(max(2*s.size, minAhead), p.most(maxAhead))
		p.extend(s)
	}
}

// extend queues what a stream is to have ahead of it.
func (p *partial) extend(s *stream) {
	to := min(blocksOf(s.next+s.size)*blockSize, p.size)
	if to <= s.ahead {
		return
	}
	first, end := s.ahead/blockSize, blocksOf(to)
	if end-first >= twoRequests/blockSize { // one connection may be slower than the link
		half := (first + end) / 2
		p.queue = append(p.queue, span{first, half})
		first = half
	}
	p.queue = append(p.queue, span{first, end})
	s.ahead = to
}

// most is four times n where content comes faster than it could be hashed: there it is the requests that cost. Of a file that is read
// through it is no more than all readers together have room for.
func (p *partial) most(n int64) int64 {
	if p.fast {
		n *= 4
	}
	if p.through {
		n = min(n, max(p.share/int64(4*max(len(p.streams), 1)), minAhead))
	}
	return n
}
