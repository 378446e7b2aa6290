package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// errStalled is the cause of a call that a watchdog ended.
var errStalled = errors.New("nothing moved")

// silenceKey is that of [WithSilence] in a context.
type silenceKey struct{}

// WithSilence makes calls tell when a server, whose address is told, lets them wait for the beginning of an answer: once in all, after three seconds. It is for
// people who watch.
func WithSilence(ctx context.Context, tell func(server string)) context.Context {
	var once sync.Once
	return context.WithValue(ctx, silenceKey{}, func(server string) { once.Do(func() { tell(server) }) })
}

// listen waits for an answer to begin, of which the result is to be told.
func (c *Client) listen(ctx context.Context) (heard func()) {
	tell, ok := ctx.Value(silenceKey{}).(func(string))
	if !ok {
		return func() {}
	}
	timer := time.AfterFunc(c.limits.quiet, func() { tell(c.server) })
	return func() { timer.Stop() }
}

// watchdog ends a call on which nothing moves: while it is awake and nobody
// tells it of progress for a while, it cancels the call's context.
type watchdog struct {
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc

	start time.Time

	mu    sync.Mutex
	timer *time.Timer
	sent  bool // the answer is here: what the transport still uploads is not our progress
}

// newWatchdog starts awake.
func newWatchdog(parent context.Context, limit time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(parent)
	return &watchdog{
		parent: parent, ctx: ctx, cancel: cancel, start: time.Now(),
		timer: time.AfterFunc(limit, func() { cancel(errStalled) }),
	}
}

// uploaded tells of progress in sending the request.
func (w *watchdog) uploaded(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.sent {
		w.timer.Reset(limit)
	}
}

// rest makes it sleep: the answer is here, and the caller may take its time.
func (w *watchdog) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = true
	w.timer.Stop()
}

// wake makes it watch a read of the answer's body.
func (w *watchdog) wake(limit time.Duration) { w.timer.Reset(limit) }

// end releases the context.
func (w *watchdog) end() {
	w.rest()
	w.cancel(nil)
}

// answered tells whether an answer had begun.
func (w *watchdog) answered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

// stalled tells whether it was the watchdog that ended the call.
func (w *watchdog) stalled() bool {
	return w.parent.Err() == nil && context.Cause(w.ctx) == errStalled
}

// upload is a request body that tells the watchdog of its progress.
type upload struct {
	io.Reader
	w     *watchdog
	limit time.Duration
}

func (u *upload) Read(b []byte) (int, error) {
	u.w.uploaded(u.limit)
	return u.Reader.Read(b)
}

func (u *upload) Close() error { return nil }

// download is an answer's body. A read that gets nothing for the limit fails,
// and every failure is an [api.Error].
type download struct {
	io.ReadCloser
	w     *watchdog
	limit time.Duration
	c     *Client
}

func (d *download) Read(b []byte) (int, error) {
	d.w.wake(d.limit)
	n, err := d.ReadCloser.Read(b)
	d.w.rest()
	if err != nil && err != io.EOF {
		err = d.c.networkError(d.w, err)
	}
	return n, err
}

func (d *download) Close() error {
	d.w.end()
	return d.ReadCloser.Close()
}
