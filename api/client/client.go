// Package client speaks /v1 to a Satchel server.
//
// A [Client] is one device: it turns the device's secret into short-lived
// tokens as it needs them. A [Drive] is one drive seen by that device.
//
// Errors are [api.Error] with the server's kind, or:
//
//   - [api.Unavailable]: the server can't be reached, stopped answering, or
//     what answers is not a Satchel server;
//   - [api.Unauthenticated]: the device was revoked or never logged in;
//   - [api.Cancelled]: the context ended.
//
// Nothing is tried twice, except a request whose token had run out and one
// that met a kept-alive connection which the server had closed already: when
// to try again is the caller's decision. No call has a deadline of its own,
// since a long poll and a large transfer may take any time, but one on which
// too little moves is cut (package pace). A caller that waits for less long gives the call's context a clock of its own, which
// calls tell of the bytes that move.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"satchel/api"
)

// maxJSON bounds a decoded answer in bytes. The largest honest one is a page
// of 5000 nodes with extended attributes.
const maxJSON = 64 << 20

// smallBody is up to which size in bytes a request's body is handed to
// net/http as it is: it then leaves in one write with the header.
const smallBody = 32 << 10

// Client calls one server as one device. It is safe for concurrent use.
type Client struct {
	server string // scheme://host[:port][/prefix], without a slash at the end
	http   *http.Client
	limits limits
	tokens tokens
}

// limits say how long nothing may move before a call is cut; see package pace.
type limits struct {
	answer time.Duration // from the last byte sent to the answer's header
	pack   time.Duration // the same for packs, whose last bytes may wait in socket buffers
	body   time.Duration // between two pieces of a body
	quiet  time.Duration // until whoever waits is told; see WithSilence
}

var defaultLimits = limits{answer: 30 * time.Second, pack: 2 * time.Minute, body: 30 * time.Second, quiet: 3 * time.Second}

// New makes a client of the server for the device whose credentials these
// are; only Secret and, while it is fresh, Token are used. It makes no call. A
// nil hc means a connection pool of its own. The error's kind is
// [api.Invalid].
func New(server string, cred api.Credentials, hc *http.Client) (*Client, error) {
	base, err := ParseServer(server)
	if err != nil {
		return nil, err
	}
	if hc == nil {
		hc = &http.Client{Transport: newTransport(), CheckRedirect: noRedirect}
	}
	c := &Client{server: base, http: hc, limits: defaultLimits}
	c.tokens.init(cred)
	return c, nil
}

// ParseServer checks the address of a server and brings it into the form in
// which it is stored and shown. The error's kind is [api.Invalid].
func ParseServer(s string) (string, error) {
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", api.Errorf(api.Invalid, "%q is not the address of a server: write it as %s", s, likeAnAddress(s))
	}
	u.Host = strings.ToLower(u.Host)
	return u.String(), nil
}

// likeAnAddress is what was meant by what is no server's address, if that can be guessed.
func likeAnAddress(s string) string {
	if !strings.Contains(s, "://") {
		if u, err := url.Parse("http://" + s); err == nil && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" {
			if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
				return u.String()
			}
			return "https://" + s
		}
	}
	return "https://HOST or https://HOST:PORT, or http:// for a server of this machine"
}

// Server is the server's address.
func (c *Client) Server() string { return c.server }

// Close ends the idle connections. Calls in progress go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// request is one call under /v1.
type request struct {
	method string
	path   string // below /v1, escaped
	query  url.Values
	header http.Header
	body   []byte
	limit  time.Duration // until the answer's header; 0 = limits.answer
	open   bool          // without a token
	once   bool          // must not be sent again over another connection
	conn   **wideConn    // tells which connection the answer came over, if it is not under TLS; may be nil
}

// encode makes in the request's body.
func (r *request) encode(in any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return api.Errorf(api.Invalid, "encode the request: %w", err)
	}
	r.body, r.header = b, http.Header{"Content-Type": {"application/json"}}
	return nil
}

// call sends in as JSON (nil: no body) and decodes the answer into out (nil:
// it is dropped).
func (c *Client) call(ctx context.Context, r request, in, out any) error {
	if in != nil {
		if err := r.encode(in); err != nil {
			return err
		}
	}
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return c.decode(resp, out)
}

func (c *Client) decode(resp *http.Response, out any) error {
	body := &io.LimitedReader{R: resp.Body, N: maxJSON}
	if out != nil {
		if err := jsonv2.UnmarshalRead(body, out); err != nil {
			if e, ok := errors.AsType[*api.Error](err); ok {
				return e // the connection failed
			}
			if body.N <= 0 {
				return api.Errorf(api.Unavailable, "%s sent an answer of more than %d MiB", c.server, maxJSON>>20)
			}
			return &api.Error{Kind: api.Unavailable, Message: c.server + " did not answer as a Satchel server does", Err: err}
		}
	}
	// What is left is white space; a connection is used again only when it was read.
	io.CopyN(io.Discard, body, 4096)
	return nil
}

// send makes the request with a valid token and returns an answer of 2xx,
// whose body the caller closes.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	if r.open {
		return c.sendOnce(ctx, r, "")
	}
	token, err := c.token(ctx, "")
	if err != nil {
		return nil, err
	}
	resp, err := c.sendOnce(ctx, r, token)
	if api.KindOf(err) != api.Unauthenticated {
		return resp, err
	}
	if token, err = c.token(ctx, token); err != nil {
		return nil, err
	}
	return c.sendOnce(ctx, r, token)
}

func (c *Client) sendOnce(ctx context.Context, r request, token string) (*http.Response, error) {
	target := c.server + "/v1" + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	limit := r.limit
	if limit == 0 {
		limit = c.limits.answer
	}
	if r.conn != nil {
		ctx = traced(ctx, r.conn)
	}
	w := newWatchdog(ctx, limit)
	req, err := http.NewRequestWithContext(w.ctx, r.method, target, nil)
	if err != nil {
		w.end()
		return nil, api.Errorf(api.Invalid, "make the request: %w", err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.body != nil {
		req.ContentLength = int64(len(r.body))
		req.GetBody = func() (io.ReadCloser, error) {
			if len(r.body) <= smallBody {
				return io.NopCloser(bytes.NewReader(r.body)), nil
			}
			w.uploaded(0, true)
			return &upload{bytes.NewReader(r.body), w}, nil
		}
		req.Body, _ = req.GetBody()
	}
	if !r.once {
		// net/http takes the empty header as leave to repeat a request that
		// met a closed connection, and does not send it.
		req.Header["Idempotency-Key"] = nil
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("User-Agent", "satchel")

	quiet := c.limits.quiet
	if len(r.body) > smallBody { // its last bytes may wait in socket buffers
		quiet = quiet * limit / c.limits.answer
	}
	c.tellSilence(w, quiet)
	resp, err := c.http.Do(req)
	if err != nil {
		err = c.networkError(w, err)
		w.end()
		return nil, err
	}
	w.answer(c.limits.body)
	resp.Body = &download{ReadCloser: resp.Body, w: w, c: c}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, c.answerError(resp)
	}
	return resp, nil
}
