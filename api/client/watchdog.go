package client

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"satchel/api/pace"
)

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

// watchdog ends a call on which too little moves, by the clock of its context, and knows how far the call is.
type watchdog struct {
	parent context.Context
	ctx    context.Context
	clock  *pace.Clock

	mu      sync.Mutex
	moved   time.Time     // the last progress in sending the request
	sending bool          // some of the body is still to be read
	sent    bool          // the answer is here: what the transport still uploads is not our progress
	silence *time.Timer   // tells that no answer begins; nil: nobody wants to know
	quiet   time.Duration // of silence until that
}

// newWatchdog starts awake.
func newWatchdog(parent context.Context, limit time.Duration) *watchdog {
	ctx, clock := pace.With(parent, limit)
	return &watchdog{parent: parent, ctx: ctx, clock: clock, moved: time.Now()}
}

// uploaded tells of n more bytes of the request that were sent, and whether there is more of it.
func (w *watchdog) uploaded(n int, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sent {
		return
	}
	w.clock.Moved(n)
	w.moved, w.sending = time.Now(), more
	switch {
	case w.silence == nil:
	case more:
		w.silence.Stop()
	default:
		w.silence.Reset(w.quiet)
	}
}

// answer makes it sleep: the answer has begun, and the caller may take its time. Its body has a limit of its own.
func (w *watchdog) answer(limit time.Duration) {
	w.over()
	w.clock.Renew(limit)
	w.clock.Rest()
}

// over notes that sending is.
func (w *watchdog) over() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = true
	if w.silence != nil {
		w.silence.Stop()
	}
}

// end releases the context.
func (w *watchdog) end() {
	w.over()
	w.clock.End()
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

// upload is a request body that tells the watchdog of its progress.
type upload struct {
	body *bytes.Reader
	w    *watchdog
}

func (u *upload) Read(b []byte) (int, error) {
	n, err := u.body.Read(b)
	if n > 0 {
		u.w.uploaded(n, u.body.Len() > 0)
	}
	return n, err
}

func (u *upload) Close() error { return nil }

// download is an answer's body, which the watchdog watches while it is read. Every failure is an [api.Error].
type download struct {
	io.ReadCloser
	w *watchdog
	c *Client
}

func (d *download) Read(b []byte) (int, error) {
	d.w.clock.Wake()
	n, err := d.ReadCloser.Read(b)
	d.w.clock.Rest()
	d.w.clock.Moved(n)
	if err != nil && err != io.EOF {
		err = d.c.networkError(d.w, err)
	}
	return n, err
}

func (d *download) Close() error {
	d.w.end()
	return d.ReadCloser.Close()
}
