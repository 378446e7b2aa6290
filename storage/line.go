package storage

import (
	"context"
	"slices"
	"sync"
	"time"

	"satchel/api"
	"satchel/storage/postgres"
)

// lines are where writes of files wait for their drive. Whoever comes first
// does at once, in one transaction, what waits by then; what comes meanwhile
// waits to be done together by the next. So a drive to which many write at the same time is
// locked, and the disk is waited for, once for all of them. It is safe for concurrent use.
type lines struct {
	mu   sync.Mutex
	open map[lineKey]*line // those in which somebody is

	running context.Context // what is done in them ends with it
	end     context.CancelFunc
}

// lineKey is of writes that can be done together: they are in one drive, and the same caller's. Where each
// request comes from may differ: that is for the audit log, in which files are not.
type lineKey struct {
	drive, root api.ID
	caller      Caller
}

type line struct {
	turn    chan struct{} // has one while somebody does what waits
	waiting []*write      // under lines.mu, as is
	inside  int           // how many are in the line, or are being done
}

// What is done at once is bounded: by number, and by the chunks that are named.
const (
	maxTogether       = 64
	maxTogetherChunks = 4096
)

// How long a write waits for those before it, and what is done at once may take. Nobody behind one who waits for the drive hears
// that it takes too long before that one does.
var (
	linePatience  = postgres.Patience + 5*time.Second
	groupPatience = postgres.Patience + 10*time.Second
)

func newLines() *lines {
	l := &lines{open: map[lineKey]*line{}}
	l.running, l.end = context.WithCancel(context.Background())
	return l
}

// do has a write done by together, which may be called for it by another one
// who does, and is never called twice at a time for a key. Who gives up while he
// waits is out of the line; what is being done is waited for.
func (l *lines) do(ctx context.Context, key lineKey, w *write, together func(context.Context, []*write)) error {
	in := l.join(key, w)
	defer l.leave(key, in)
	patience := time.NewTimer(linePatience)
	defer patience.Stop()
	select {
	case in.turn <- struct{}{}:
		defer func() { <-in.turn }()
		for !w.over() {
			l.next(ctx, in, together)
		}
	case <-w.done:
	case <-patience.C:
		if l.withdraw(in, w) {
			return errCrowded()
		}
	case <-ctx.Done():
		if l.withdraw(in, w) {
			return ctx.Err()
		}
	}
	<-w.done
	return w.err
}

// next does what waits, or the first of it. It is nobody's alone, so it goes on when the one who does it has gone, until its time
// is over or the lines end.
func (l *lines) next(ctx context.Context, in *line, together func(context.Context, []*write)) {
	group := l.take(in)
	ctx, breakOff := context.WithCancelCause(context.WithoutCancel(ctx))
	defer breakOff(nil)
	defer context.AfterFunc(l.running, func() { breakOff(errEnding()) })()
	ctx, cancel := context.WithTimeoutCause(ctx, groupPatience, errCrowded())
	defer cancel()
	for _, w := range group {
		w.err = errBroken() // unless together comes to its end
	}
	defer func() {
		for _, w := range group {
			close(w.done)
		}
	}()
	together(ctx, group)
}

func (l *lines) join(key lineKey, w *write) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.open[key]
	if in == nil {
		in = &line{turn: make(chan struct{}, 1)}
		l.open[key] = in
	}
	in.inside++
	in.waiting = append(in.waiting, w)
	return in
}

func (l *lines) leave(key lineKey, in *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.inside--; in.inside == 0 {
		delete(l.open, key)
	}
}

// withdraw takes a write out of its line, unless it is being done, or was.
func (l *lines) withdraw(in *line, w *write) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(in.waiting, w)
	if i >= 0 {
		in.waiting = slices.Delete(in.waiting, i, i+1)
	}
	return i >= 0
}

// take is the first of those who wait: as many as may be done at once.
func (l *lines) take(in *line) []*write {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, chunks := 0, 0
	for n < min(len(in.waiting), maxTogether) {
		if chunks += len(in.waiting[n].version.Chunks); n > 0 && chunks > maxTogetherChunks {
			break
		}
		n++
	}
	group := slices.Clone(in.waiting[:n])
	in.waiting = slices.Delete(in.waiting, 0, n)
	return group
}

func errCrowded() error {
	return &api.Error{Kind: api.Unavailable, Message: "the drive has more writers than it can serve: try again in a moment", RetryAfter: api.Soon()}
}

func errEnding() error {
	return &api.Error{Kind: api.Unavailable, Message: "the server is about to end: try again in a moment", RetryAfter: api.Soon()}
}
