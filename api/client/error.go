package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/pace"
)

// problem is an error as the server sends it (RFC 9457), with our kind.
type problem struct {
	Title  string   `json:"title"`
	Detail string   `json:"detail"`
	Kind   api.Kind `json:"kind"`
}

// answerError turns an answer that is not 2xx into an [api.Error]. What has no
// problem document comes from something between us and the server, so it says
// nothing about the drive: a proxy's 404 must not pass for a deleted file.
func (c *Client) answerError(resp *http.Response) error {
	e := &api.Error{RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	var p problem
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "application/problem+json" && json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p) == nil && p.Kind != "" {
		e.Kind, e.Message = p.Kind, p.Detail
		if e.Message == "" {
			e.Message = p.Title
		}
		if e.Message == "" {
			e.Message = "the server refused: " + strings.ReplaceAll(string(p.Kind), "_", " ")
		}
		return e
	}
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		e.Kind, e.Message = api.RateLimited, fmt.Sprintf("%s asks to slow down", c.server)
	case code == http.StatusRequestEntityTooLarge:
		e.Kind, e.Message = api.TooLarge, fmt.Sprintf("a proxy before %s refuses requests of this size", c.server)
	case code/100 == 3:
		e.Kind, e.Message = api.Unavailable, fmt.Sprintf("%s sends us on to %s: log in with that address", c.server, resp.Header.Get("Location"))
	default:
		e.Kind, e.Message = api.Unavailable, fmt.Sprintf("%s did not answer as a Satchel server does (%s)", c.server, resp.Status)
	}
	return e
}

// retryAfter reads the header of that name: seconds or a date.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// networkError turns a failure of the connection into an [api.Error] that
// names the server.
func (c *Client) networkError(w *watchdog, err error) error {
	if stall := pace.Stalled(w.ctx); stall != nil { // by its own limit, or the caller's
		what := fmt.Sprintf("%s does not answer: it was waited for %v", c.server, w.waited())
		if w.answered() {
			what = fmt.Sprintf("%s stopped answering: next to nothing came for %v", c.server, stall.For)
		}
		return &api.Error{Kind: api.Unavailable, Message: what, Err: stall}
	}
	if errors.Is(w.parent.Err(), context.DeadlineExceeded) {
		what := fmt.Sprintf("%s does not answer: it was waited for %v", c.server, w.waited())
		switch {
		case w.uploading():
			what = "the time was over before all was sent to " + c.server
		case w.answered():
			what = "the time was over before all had come from " + c.server
		}
		return &api.Error{Kind: api.Cancelled, Message: what, Err: w.parent.Err()}
	}
	if w.parent.Err() != nil {
		return &api.Error{Kind: api.Cancelled, Message: "the call was given up", Err: w.parent.Err()}
	}
	return &api.Error{Kind: api.Unavailable, Message: c.server + " " + reason(err), Err: err}
}

// reason completes the sentence "SERVER …".
func reason(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return "cannot be reached: there is no host of that name"
		}
		return "cannot be reached: its name could not be looked up"
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		if host, ok := errors.AsType[x509.HostnameError](err); ok {
			return "cannot be trusted: its certificate is for another name (" + host.Error() + ")"
		}
		return "cannot be trusted: " + e.Err.Error()
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "does not speak TLS: does its address begin with http:// ?"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "cannot be reached: no answer in time"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "ended the connection"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return "cannot be reached: " + deepest(e.Err).Error()
	}
	return "cannot be reached: " + deepest(err).Error()
}

// deepest is the last error of a chain: the one without prefixes.
func deepest(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
