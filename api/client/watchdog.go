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

// watchdog ends a call on which nothing moves: while it is awake and nobody
// tells it of progress for a while, it cancels the call's context.
type watchdog struct {
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	sent  bool // the answer is here: what the transport still uploads is not our progress
}

// newWatchdog starts awake.
func newWatchdog(parent context.Context, limit time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(parent)
	return &watchdog{
		parent: parent, ctx: ctx, cancel: cancel,
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
