package cache

import (
	"testing"
	"testing/synctest"
	"time"
)

// The hash of what came fast waits while somebody reads, but not for long, and not where somebody waits for it.
func TestHashLetsReadersGoFirst(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*partial)
		reads  time.Duration // for how long
		want   time.Duration
	}{
		"a reader":              {func(*partial) {}, 330 * time.Millisecond, 400 * time.Millisecond},
		"one who does not stop": {func(*partial) {}, time.Hour, restMost},
		"nobody":                {func(p *partial) { p.streams = nil }, 0, 0},
		"one who waits":         {func(p *partial) { p.all = 1 }, time.Hour, 0},
		"a small file":          {func(p *partial) { p.size = proveFirst }, time.Hour, 0},
		"the end of a large":    {func(p *partial) { p.hashed = p.size - proveFirst }, time.Hour, 0},
		"a slow link":           {func(p *partial) { p.fast = false }, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				s := &stream{used: begin}
				p := &partial{d: &Drive{done: make(chan struct{})}, size: 1 << 30, fast: true, streams: []*stream{s}}
				test.change(p)
				stop := make(chan struct{})
				go func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(10 * time.Millisecond):
						}
						if time.Since(begin) <= test.reads {
							p.mu.Lock()
							s.used = time.Now()
							p.mu.Unlock()
						}
					}
				}()
				p.rest()
				if took := time.Since(begin); took != test.want {
					t.Errorf("it waited for %v, want %v", took, test.want)
				}
				close(stop)
			})
		})
	}
}

// A reader on a fast link asks seldom, and for much.
func TestFastLinkNeedsFewRequests(t *testing.T) {
	requests := func(fast bool) (n int) {
		const size = 1 << 30
		p := &partial{size: size, fast: fast, have: newBlockMap(size), asked: newBlockMap(size)}
		for off := int64(0); off < size; off += 128 << 10 {
			p.readAhead(off, off+128<<10)
			for s, ok := p.next(); ok; s, ok = p.next() {
				n++
				for b := s.first; b < s.end; b++ {
					p.have.set(b)
				}
			}
		}
		if left := p.have.left; left > 8 {
			t.Errorf("%d blocks were not asked for", left)
		}
		return n
	}
	slow, fast := requests(false), requests(true)
	if t.Logf("%d requests, on a fast link %d", slow, fast); slow < 3*fast {
		t.Errorf("1 GiB takes %d requests, on a fast link %d", slow, fast)
	}
}
