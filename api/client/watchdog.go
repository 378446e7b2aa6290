package client

import (
	"bytes"
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

// WithSilence makes calls tell when a server, whose address is told, lets them wait for the beginning of an answer to what it was sent: once in all, after three
// seconds, or longer where what was sent may be on its way still. It is for people who watch.
func WithSilence(ctx context.Context, tell func(server string)) context.Context {
	var once sync.Once
	return context.WithValue(ctx, silenceKey{}, func(server string) { once.Do(func() { tell(server) }) })
}

// tellSilence makes the watchdog tell when no answer has begun for a while after the request was sent.
func (c *Client) tellSilence(w *watchdog, after time.Duration) {
	tell, ok := w.parent.Value(silenceKey{}).(func(string))
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet = after
	w.silence = time.AfterFunc(after, func() { tell(c.server) })
	if w.sending {
		w.silence.Stop()
	}
}

// watchdog ends a call on which nothing moves: while it is awake and nobody
// tells it of progress for a while, it cancels the call's context.
type watchdog struct {
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	moved   time.Time     // the last progress in sending the request
	sending bool          // some of the body is still to be read
	sent    bool          // the answer is here: what the transport still uploads is not our progress
	silence *time.Timer   // tells that no answer begins; nil: nobody wants to know
	quiet   time.Duration // of silence until that
}

// newWatchdog starts awake.
func newWatchdog(parent context.Context, limit time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(parent)
	return &watchdog{
		parent: parent, ctx: ctx, cancel: cancel, moved: time.Now(),
		timer: time.AfterFunc(limit, func() { cancel(errStalled) }),
	}
}

// uploaded tells of progress in sending the request, and whether there is more of it.
func (w *watchdog) uploaded(limit time.Duration, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sent {
		return
	}
	w.timer.Reset(limit)
	w.moved, w.sending = time.Now(), more
	switch {
	case w.silence == nil:
	case more:
		w.silence.Stop()
	default:
		w.silence.Reset(w.quiet)
	}
}

// rest makes it sleep: the answer is here, and the caller may take its time.
func (w *watchdog) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = true
	w.timer.Stop()
	if w.silence != nil {
		w.silence.Stop()
	}
}

// wake makes it watch a read of the answer's body.
func (w *watchdog) wake(limit time.Duration) { w.timer.Reset(limit) }

// end releases the context.
func (w *watchdog) end() {
	w.rest()
	w.cancel(nil)
}

// waited says for how long nothing has moved, of a request that was sent.
func (w *watchdog) waited() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := time.Since(w.moved)
	if d < time.Second {
		return (d + 100*time.Millisecond).Truncate(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// uploading tells whether some of the request was still to be sent.
func (w *watchdog) uploading() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sending && !w.sent
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
	body  *bytes.Reader
	w     *watchdog
	limit time.Duration
}

func (u *upload) Read(b []byte) (int, error) {
	n, err := u.body.Read(b)
	if n > 0 {
		u.w.uploaded(u.limit, u.body.Len() > 0)
	}
	return n, err
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
