package client

import (
	"context"
	"io"
	"net/http"

	"golang.org/x/time/rate"

	"satchel/api/pace"
)

// Rates bound how many bytes of content pass in a second; 0 = as many as can.
type Rates struct{ Up, Down int64 }

// MinRate is the slowest rate in bytes a second. Sixteen calls at once may share it: less than that for each would be
// taken for a server that is dead.
const MinRate = 16 * pace.Slowest

// NewHTTPClient is a connection pool for [New] that keeps to rates; all of its
// connections share them.
func NewHTTPClient(r Rates) *http.Client {
	p := newTransport()
	p.slow = r.Down > 0
	return &http.Client{Transport: &limited{p, limiter(r.Up), limiter(r.Down)}, CheckRedirect: noRedirect}
}

// burst is how many bytes pass at once.
const burst = MinRate / 4

func limiter(bytes int64) *rate.Limiter {
	if bytes <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytes), burst)
}

// limited is a transport whose bodies pass slowly.
type limited struct {
	*pool
	up, down *rate.Limiter
}

// RoundTrip is that of [http.RoundTripper].
func (t *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.up != nil && r.Body != nil && r.Body != http.NoBody {
		slow := *r // a transport may not change its request
		slow.Body = &slowBody{r.Body, r.Context(), t.up}
		r = &slow
	}
	resp, err := t.pool.RoundTrip(r)
	if err == nil && t.down != nil {
		resp.Body = &slowBody{resp.Body, r.Context(), t.down}
	}
	return resp, err
}

type slowBody struct {
	io.ReadCloser
	ctx   context.Context
	limit *rate.Limiter
}

func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), burst)])
	if n > 0 {
		if e := b.limit.WaitN(b.ctx, n); e != nil && err == nil {
			err = e
		}
	}
	return n, err
}
