package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// sending is a request of which the server has begun to read the body.
type sending struct {
	body *io.PipeWriter
	done chan answerData
}

// begin sends a request's header, and comes back when the server asks for its body.
func (f *fixture) begin(r request) *sending {
	f.t.Helper()
	body, w := io.Pipe()
	req, err := http.NewRequestWithContext(f.t.Context(), r.method, f.url+r.path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.token(r.as))
	req.Header.Set("Expect", "100-continue")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	asked := make(chan struct{})
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { close(asked); return nil },
	}))
	s := &sending{w, make(chan answerData, 1)}
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			s.done <- answerData{body: err.Error()}
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		s.done <- answerData{resp.StatusCode, resp.Header, string(b)}
	}()
	select {
	case <-asked:
	case a := <-s.done:
		f.t.Fatalf("%s %s: %d %s before its body", r.method, r.path, a.status, a.body)
	}
	return s
}

// end sends the body.
func (s *sending) end(content string) answerData {
	io.WriteString(s.body, content)
	s.body.Close()
	return <-s.done
}

// writes are the APIs that take a whole file: to a path, with a body and headers.
var writes = map[string]func(path string) request{
	"vfs": func(path string) request {
		return request{method: "PUT", path: "/api/vfs/write/home/" + path, as: alice}
	},
	"rpc": func(path string) request {
		return request{method: "POST", path: "/rpc/store_file", as: alice, header: map[string]string{"File-Path": path}}
	},
	"dav": func(path string) request { return request{method: "PUT", path: "/dav/" + path, as: alice} },
}

func (r request) with(body any, header ...string) request {
	all := map[string]string{}
	for name, value := range r.header {
		all[name] = value
	}
	for i := 0; i < len(header); i += 2 {
		all[header[i]] = header[i+1]
	}
	r.body, r.header = body, all
	return r
}

// A part of a file does not become all of it.
func TestPartIsRefused(t *testing.T) {
	f := newFixture(t)
	for name, to := range writes {
		f.store(alice, name, "the whole")
		if a := f.do(to(name).with("tail", "Content-Range", "bytes 5-8/9")); a.status != 400 || !strings.Contains(a.body, "a part of a file can't be written") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if got := f.stored(t, alice, name); got != "the whole" {
			t.Errorf("%s: the file has %q", name, got)
		}
	}
}

// What has no room is refused before it is sent.
func TestNoRoomIsSaidFirst(t *testing.T) {
	f := newFixture(t)
	if err := f.operator.SetQuota(t.Context(), alice, 1000); err != nil {
		t.Fatal(err)
	}
	for name, to := range writes {
		body := &counted{Reader: strings.NewReader(strings.Repeat("x", 1001))}
		r := to("large")
		req, err := http.NewRequestWithContext(t.Context(), r.method, f.url+r.path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 1001
		req.Header.Set("Expect", "100-continue")
		req.Header.Set("File-Path", "large")
		req.Header.Set("Authorization", "Bearer "+f.token(alice))
		// Only an answer ends the wait for 100 Continue.
		transport := &http.Transport{ExpectContinueTimeout: time.Hour}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		transport.CloseIdleConnections()
		if resp.StatusCode != 507 || body.n > 0 {
			t.Errorf("%s: %s after %d bytes", name, resp.Status, body.n)
		}
	}
}

// counted counts what is read.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// Preconditions hold for all that takes a whole file, with what its GET says, and when the file is committed.
func TestWritePreconditions(t *testing.T) {
	f := newFixture(t)
	gets := map[string]string{"vfs": "/api/vfs/get/home/", "rpc": "/rpc/retrieve_file?p_file_path=", "dav": "/dav/"}
	for name, to := range writes {
		t.Run(name, func(t *testing.T) {
			refused := func(what string, a answerData) {
				t.Helper()
				if a.status != 412 {
					t.Errorf("%s: %d %s", what, a.status, a.body)
				}
			}
			taken := func(what string, a answerData) {
				t.Helper()
				if a.status/100 != 2 {
					t.Errorf("%s: %d %s", what, a.status, a.body)
				}
			}
			refused("the same of nothing", f.do(to(name).with("1", "If-Match", "*")))
			taken("a new one", f.do(to(name).with("1", "If-None-Match", "*")))
			refused("a new one again", f.do(to(name).with("2", "If-None-Match", "*")))
			got := f.do(request{path: gets[name] + name, as: alice})
			tag, at := got.header.Get("Etag"), got.header.Get("Last-Modified")
			earlier := "Mon, 01 Jan 2024 00:00:00 GMT"
			refused("changed since", f.do(to(name).with("2", "If-Unmodified-Since", earlier)))
			taken("not changed since", f.do(to(name).with("1", "If-Unmodified-Since", at)))
			refused("another", f.do(to(name).with("2", "If-Match", `"x"`)))
			if got := f.stored(t, alice, name); got != "1" {
				t.Fatalf("it has %q", got)
			}

			// Two who have seen the same version send at once: one of them is too late.
			first, second := f.begin(to(name).with(nil, "If-Match", tag)), f.begin(to(name).with(nil, "If-Match", tag))
			taken("the first", first.end("first"))
			refused("the second", second.end("second"))
			first, second = f.begin(to("new"+name).with(nil, "If-None-Match", "*")), f.begin(to("new"+name).with(nil, "If-None-Match", "*"))
			taken("the first of two new", first.end("first"))
			refused("the second of them", second.end("second"))
			if got := f.stored(t, alice, name) + " " + f.stored(t, alice, "new"+name); got != "first first" {
				t.Errorf("they have %q", got)
			}

			modified := func() string { return f.do(request{path: gets[name] + name, as: alice}).header.Get("Last-Modified") }
			at = modified()
			late := f.begin(to(name).with(nil, "If-Unmodified-Since", at))
			until(t, func() bool { // dates have whole seconds
				f.store(alice, name, fmt.Sprint(time.Now()))
				return modified() != at
			})
			refused("one that was changed meanwhile", late.end("late"))
		})
	}
}
