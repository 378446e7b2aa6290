package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"satchel/api"
	"satchel/api/chunk"
)

const (
	firstPack  = 4 << 20 // bytes of chunks sent in one request, at first
	minPack    = 1 << 20
	maxPack    = 16 << 20
	packTakes  = 30 * time.Second // about as much as the link carries meanwhile is sent in one
	packsAhead = 3                // packs of one lane under way at the same time
)

// A packSize is up to how many bytes the next packs have. One that is cut leaves nothing on the server: on a slow link it had better be small. It is
// safe for concurrent use.
type packSize struct{ bytes atomic.Int64 }

func (p *packSize) most() int64 {
	if n := p.bytes.Load(); n > 0 {
		return n
	}
	return firstPack
}

// learn goes by a pack of so many bytes, which took so long or was cut. Those that were under way with it are no reason to go further.
func (p *packSize) learn(size int64, took time.Duration, cut bool) {
	most := p.most()
	switch {
	case cut || took > packTakes:
		p.bytes.Store(min(most, max(size/2, minPack)))
	case took < packTakes/4 && size > most/2:
		p.bytes.Store(min(2*size, maxPack))
	}
}

// A sender gathers chunks into packs and sends those that the server lacks, a few packs at the same time, while
// more is read and hashed. Memory is that of packsAhead packs and one. What an attempt that failed has sent is
// there at the next one: the server is asked first. One goroutine calls the methods.
type sender struct {
	d       *Drive
	ctx     context.Context // ends with the first pack that fails; its cause is why
	cancel  context.CancelCauseFunc
	pack    *pack
	offered chunk.Offers
	room    chan struct{}
	wg      sync.WaitGroup
}

// A pack is chunks that are on their way, or gathered for it.
type pack struct {
	w      chunk.PackWriter
	chunks []packed
}

type packed struct {
	hash   api.Hash
	off, n int // where in the pack its bytes are
	of     *hot
}

// packs are used again once they have arrived: making room for one costs as much as filling it.
var packs = sync.Pool{New: func() any { return new(pack) }}

func (d *Drive) newSender() *sender {
	ctx, cancel := context.WithCancelCause(d.ctx)
	offered := chunk.Offers{Missing: func(hashes []api.Hash) ([]api.Hash, error) { return d.cfg.Remote.Missing(ctx, hashes) }}
	return &sender{d: d, ctx: ctx, cancel: cancel, offered: offered, room: make(chan struct{}, packsAhead)}
}

// add takes a copy of a chunk of a file. The error is of what was sent before, and ends the sender.
func (s *sender) add(of *hot, h api.Hash, data []byte) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	isNew, err := s.offered.Add(h)
	if err != nil {
		s.cancel(err)
		return err
	}
	if !isNew {
		s.d.sent(packed{of: of, n: len(data)})
		return nil
	}
	if s.pack != nil && int64(s.pack.w.Size()+len(data)) > s.d.syn.packSize.most() {
		if err := s.dispatch(); err != nil {
			return err
		}
	}
	if s.pack == nil {
		s.pack = packs.Get().(*pack)
	}
	if err := s.pack.w.Add(h, data); err != nil {
		return err
	}
	s.pack.chunks = append(s.pack.chunks, packed{h, s.pack.w.Size() - len(data), len(data), of})
	return nil
}

// dispatch sends the pack that was gathered, as soon as fewer than packsAhead are under way.
func (s *sender) dispatch() error {
	p := s.pack
	if p == nil {
		return nil
	}
	s.pack = nil
	select {
	case s.room <- struct{}{}:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	s.wg.Go(func() {
		defer func() { <-s.room }()
		if err := s.send(p); err != nil {
			s.cancel(err) // p is left alone: the connection may still read it
			return
		}
		s.d.sent(p.chunks...)
		p.w.Reset()
		p.chunks = p.chunks[:0]
		packs.Put(p)
	})
	return nil
}

// finish sends the rest and returns when all has arrived, or why it has not.
func (s *sender) finish() error {
	err := s.dispatch()
	s.wg.Wait()
	if err == nil && s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	s.cancel(nil)
	return err
}

// send sends those chunks of a pack that the server lacks.
func (s *sender) send(p *pack) error {
	if err := s.d.pause.wait(s.ctx); err != nil {
		return err
	}
	hashes := make([]api.Hash, len(p.chunks))
	for i, c := range p.chunks {
		hashes[i] = c.hash
	}
	missing, err := s.d.cfg.Remote.Missing(s.ctx, hashes)
	if err != nil || len(missing) == 0 {
		return err
	}
	w := &p.w
	if len(missing) < len(hashes) {
		lacks := make(map[api.Hash]bool, len(missing))
		for _, h := range missing {
			lacks[h] = true
		}
		w = new(chunk.PackWriter)
		for _, c := range p.chunks {
			if lacks[c.hash] {
				if err := w.Add(c.hash, p.w.Bytes()[c.off:c.off+c.n]); err != nil {
					return err
				}
			}
		}
		if w.Count() != len(missing) {
			return api.Errorf(api.Internal, "the server asked for a chunk that was not offered")
		}
	}
	size := int64(w.Size())
	s.d.syn.uploading.Add(size)
	defer s.d.syn.uploading.Add(-size)
	start := time.Now()
	err = s.d.cfg.Remote.PutPack(s.ctx, w.Bytes())
	if s.ctx.Err() == nil && (err == nil || api.KindOf(err) == api.Unavailable) {
		s.d.syn.packSize.learn(size, time.Since(start), err != nil)
	}
	return err
}

// sent notes that the server has chunks, for the progress that people see.
func (d *Drive) sent(chunks ...packed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range chunks {
		c.of.arrived += int64(c.n)
	}
}
