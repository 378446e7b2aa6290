package client

import (
	"context"
	"net/http"
	"time"

	"satchel/api"
)

// early is how long before its end a token is replaced; one that lives for
// less than twice that, at half its life.
const early = 30 * time.Second

// tokens holds the device's secret and the token it bought last. Whoever
// holds turn may read and replace the token; waiting for it ends with the
// caller's context.
type tokens struct {
	turn   chan struct{}
	secret string
	token  string
	until  time.Time // to be replaced then, by this machine's wall clock
}

func (t *tokens) init(cred api.Credentials) {
	t.turn = make(chan struct{}, 1)
	t.secret = cred.Secret
	t.token = cred.Token.Token
	t.until = cred.Token.Expires.Add(-early)
}

// token is a token that is not stale, the one the server has just refused. It
// buys a new one when there is need, one at a time.
func (c *Client) token(ctx context.Context, stale string) (string, error) {
	t := &c.tokens
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return "", &api.Error{Kind: api.Cancelled, Message: "the call was given up", Err: ctx.Err()}
	}
	defer func() { <-t.turn }()
	// Round(0) drops the monotonic clock, which stands still in suspend.
	if t.token != "" && t.token != stale && time.Now().Round(0).Before(t.until) {
		return t.token, nil
	}
	if t.secret == "" {
		return "", api.Errorf(api.Unauthenticated, "this device is not logged in to %s", c.server)
	}
	fresh, now, err := c.buy(ctx)
	if err != nil {
		return "", err
	}
	// Our clock may be wrong: what counts is how long the token has to live.
	life := fresh.Expires.Sub(now)
	t.token, t.until = fresh.Token, time.Now().Round(0).Add(life-min(early, life/2))
	return t.token, nil
}

// buy gets a token for the secret, and the server's time.
func (c *Client) buy(ctx context.Context) (api.Token, time.Time, error) {
	r := request{method: http.MethodPost, path: "/token", open: true}
	if err := r.encode(map[string]string{"secret": c.tokens.secret}); err != nil {
		return api.Token{}, time.Time{}, err
	}
	resp, err := c.send(ctx, r)
	if api.KindOf(err) == api.Unauthenticated {
		return api.Token{}, time.Time{}, &api.Error{Kind: api.Unauthenticated, Message: "this device's login at " + c.server + " has ended: log in again", Err: err}
	}
	if err != nil {
		return api.Token{}, time.Time{}, err
	}
	defer resp.Body.Close()
	var fresh api.Token
	if err := c.decode(resp, &fresh); err != nil {
		return api.Token{}, time.Time{}, err
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return fresh, now, nil
}
