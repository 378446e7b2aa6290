package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"satchel/api"
	"satchel/api/pace"
)

// slowest is the rate of the slowest link that a device is to work over, bytes a second (MinRate in api/client), which lets so many bytes
// pass at once.
const (
	slowest = 16 << 10
	crumb   = 4 << 10
)

// A slowLink carries content in pieces, of one call after the other, and tells of them as api/client does.
type slowLink struct {
	piece    int           // bytes
	pause    time.Duration // that each takes
	up, down chan struct{} // of capacity 1: a piece is on its way
	sent     atomic.Int64  // bytes carried up
}

func newSlowLink(piece int, pause time.Duration) *slowLink {
	return &slowLink{piece: piece, pause: pause, up: make(chan struct{}, 1), down: make(chan struct{}, 1)}
}

// carry takes as long as n bytes do; a nil link takes no time.
func (l *slowLink) carry(ctx context.Context, way func(*slowLink) chan struct{}, n int) error {
	for l != nil && n > 0 {
		select {
		case way(l) <- struct{}{}:
			select {
			case <-time.After(l.pause):
			case <-ctx.Done():
			}
			<-way(l)
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return &api.Error{Kind: api.Cancelled, Message: "the call was given up", Err: ctx.Err()}
		}
		k := min(n, l.piece)
		pace.Of(ctx).Moved(k)
		if n -= k; way(l) == l.up {
			l.sent.Add(int64(k))
		}
	}
	return nil
}

func up(l *slowLink) chan struct{}   { return l.up }
func down(l *slowLink) chan struct{} { return l.down }

// A slowBody is content that comes over a slow link.
type slowBody struct {
	io.Reader
	io.Closer
	l   *slowLink
	ctx context.Context
}

func (b slowBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p[:min(len(p), b.l.piece)])
	return n, errors.Join(b.l.carry(b.ctx, down, n), err)
}

// body is a body that comes over it.
func (l *slowLink) body(ctx context.Context, body io.Reader) io.ReadCloser {
	c, ok := body.(io.ReadCloser)
	if !ok {
		c = io.NopCloser(body)
	}
	if l == nil {
		return c
	}
	return slowBody{body, c, l, ctx}
}

// narrow lets a device have a link that takes so long for a piece of so many bytes.
func (v *device) narrow(piece int, pause time.Duration) {
	v.wire.faults(func(w *wire) { w.link = newSlowLink(piece, pause) })
}

// narrowest is the slowest link that a device is to work over.
func (v *device) narrowest() { v.narrow(crumb, crumb*time.Second/slowest) }

func (v *device) widen() { v.wire.faults(func(w *wire) { w.link = nil }) }

// Over the slowest link all that is cold can be had, however long it takes: a file that is fetched whole, with small ones beside it, and parts of
// a large one, of which several programs read.
func TestSlowLink(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		photo, film := string(noise(wholeSize)), noise(8<<20)
		must(t, x.mkdir("d"))
		must(t, x.write("d/photo", photo))
		for _, name := range []string{"d/letter", "d/note"} {
			must(t, x.write(name, name))
		}
		must(t, x.write("film", string(film)))
		must(t, x.sync())
		eventually(t, "y knows the film", func() bool { a, err := y.stat("film"); return err == nil && a.Size == int64(len(film)) })
		y.narrowest()
		start := time.Now()
		for _, f := range [][2]string{{"d/photo", photo}, {"d/letter", "d/letter"}, {"d/note", "d/note"}} {
			if got, err := y.read(f[0]); err != nil || got != f[1] {
				t.Errorf("%s: %d bytes, %v", f[0], len(got), err)
			}
		}
		a, err := y.stat("film")
		must(t, err)
		_, err = y.d.Open(a.FID, unix.O_RDONLY, self, nil)
		must(t, err)
		read := make(chan error)
		for i := range 6 {
			go func() {
				off := i << 20
				got, err := readAt(y.d, a.FID, int64(off), blockSize)
				if err == nil && !bytes.Equal(got, film[off:off+blockSize]) {
					err = errors.New("it is something else")
				}
				read <- err
			}()
		}
		for range 6 {
			if err := <-read; err != nil {
				t.Errorf("a part of the film: %v", err)
			}
		}
		y.d.Release(a.FID, unix.O_RDONLY)
		if took := time.Since(start); took < wholeSize/slowest*time.Second {
			t.Errorf("all of it took %v: the link is not slow", took)
		}
	})
}

// A server that gives a byte now and then holds no program for long.
func TestServerThatDrips(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		must(t, x.write("photo", strings.Repeat("a photo ", 1000)))
		must(t, x.write("film", strings.Repeat("a film. ", 1<<20)))
		must(t, x.sync())
		eventually(t, "y knows the film", func() bool { _, err := y.stat("film"); return err == nil })
		for _, pause := range []time.Duration{time.Minute, patience - time.Second, time.Second} {
			y.narrow(1, pause)
			for _, name := range []string{"photo", "film"} {
				start := time.Now()
				if got, err := y.read(name); api.KindOf(err) != api.Unavailable {
					t.Errorf("%s, a byte after %v: %d bytes, %v", name, pause, len(got), err)
				}
				if took := time.Since(start); took > 2*patience {
					t.Errorf("%s, a byte after %v: it took %v", name, pause, took)
				}
			}
		}
		y.widen()
		for _, name := range []string{"photo", "film"} {
			if _, err := y.read(name); err != nil {
				t.Errorf("%s, when the server goes on: %v", name, err)
			}
		}
	})
}

// upload waits until all of a device is sent, for so long.
func (v *device) upload(most time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	return v.d.Sync(ctx, true, nil)
}

// What takes hours to send is sent, and once.
func TestSlowUpload(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		x.narrowest()
		film := string(noise(40 << 20))
		must(t, x.write("film", film))
		must(t, x.upload(3*time.Hour))
		x.wire.mu.Lock()
		sent := x.wire.link.sent.Load()
		x.wire.mu.Unlock()
		if most := int64(len(film) + 1<<20); sent > most {
			t.Errorf("%d bytes were sent of %d", sent, len(film))
		}
		x.narrow(64, 10*time.Second) // a batch is to take minutes
		must(t, x.write("letter", "a letter"))
		must(t, x.upload(time.Hour))
		x.widen()
		hasOnce(t, mustQuiet(t, x, y), film, "a letter")
	})
}

// Where connections end after some minutes, packs become so small that they arrive before that.
func TestUploadOverALinkThatBreaks(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		x.narrowest()
		done := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Minute): // in which some 5 MB pass
					x.wire.cut()
					x.wire.mend()
				}
			}
		}()
		film := string(noise(40 << 20))
		must(t, x.write("film", film))
		must(t, x.upload(6*time.Hour))
		close(done)
		<-ended
		x.widen()
		hasOnce(t, mustQuiet(t, x, y), film)
	})
}

// The size of packs goes by how long they took.
func TestPackSize(t *testing.T) {
	var p packSize
	for i, step := range []struct {
		size int64
		took time.Duration
		cut  bool
		want int64
	}{
		{firstPack, time.Second, false, 2 * firstPack},
		{2 * firstPack, time.Second, false, maxPack},
		{maxPack, time.Second, false, maxPack},
		{1000, time.Second, false, maxPack}, // the rest of a file says nothing
		{maxPack, packTakes / 2, false, maxPack},
		{maxPack, packTakes + 1, false, maxPack / 2},
		{maxPack, packTakes + 1, false, maxPack / 2}, // it was under way with that
		{maxPack / 2, time.Second, true, maxPack / 4},
		{1000, time.Second, true, minPack},
		{minPack, packTakes + 1, false, minPack},
		{minPack, time.Second, false, 2 * minPack},
	} {
		if p.learn(step.size, step.took, step.cut); p.most() != step.want {
			t.Errorf("after step %d packs have up to %d bytes, wanted %d", i, p.most(), step.want)
		}
	}
}

// More programs than there may be requests read one cold file, each from somewhere else, and then one reads what has as many gaps: a request is made as soon
// as another one has ended.
func TestMoreReadersThanRequests(t *testing.T) {
	inBubble(t, func(t *testing.T, s *simulated, x, y *device) {
		const readers, apart = urgentToo + 8, nearby + 2*blockSize
		const gaps = 2 * readers * blockSize // of which every second block comes first
		film := noise(readers*apart + gaps)
		must(t, s.store("film", string(film)))
		eventually(t, "y knows the film", func() bool { _, err := y.stat("film"); return err == nil })
		const roundTrip = 100 * time.Millisecond
		var requests atomic.Int64
		y.wire.faults(func(w *wire) {
			w.lacks = func(api.ID) error {
				requests.Add(1)
				time.Sleep(roundTrip)
				return nil
			}
		})
		a, err := y.stat("film")
		must(t, err)
		open(t, y.d, a.FID, unix.O_RDONLY)
		defer y.d.Release(a.FID, unix.O_RDONLY)
		read := func(off, n int) error {
			got, err := readAt(y.d, a.FID, int64(off), n)
			if err == nil && !bytes.Equal(got, film[off:off+n]) {
				err = errors.New("it is something else")
			}
			return err
		}
		start := time.Now()
		var all sync.WaitGroup
		for i := range readers {
			all.Go(func() {
				if err := read(gaps+i*apart, blockSize); err != nil {
					t.Errorf("reader %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took > 3*roundTrip {
			t.Errorf("%d readers took %v", readers, took)
		}
		for off := gaps - 2*blockSize; off >= 0; off -= 2 * blockSize { // backwards, so that nothing is read ahead
			must(t, read(off, blockSize))
		}
		requests.Store(0)
		start = time.Now()
		must(t, read(0, gaps))
		if took := time.Since(start); took > 3*roundTrip || requests.Load() <= urgentToo {
			t.Errorf("a read with %d gaps took %v", requests.Load(), took)
		}
	})
}
