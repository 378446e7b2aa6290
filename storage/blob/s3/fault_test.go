package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	service "github.com/aws/aws-sdk-go-v2/service/s3"

	"satchel/api"
	"satchel/storage/blob/blobtest"
	"satchel/storage/blob/s3/s3test"
)

// line is what stands between the SDK and the network: it loses requests,
// loses answers to requests that were carried out, and cuts bodies.
type line struct {
	to service.HTTPClient
	f  *blobtest.Fault
}

func (l *line) Do(r *http.Request) (*http.Response, error) {
	if err := l.f.Hit(); err != nil {
		return nil, &net.OpError{Op: "dial", Err: err}
	}
	resp, err := l.to.Do(r)
	if err != nil {
		return nil, err
	}
	if err := l.f.Hit(); err != nil {
		resp.Body.Close()
		return nil, &net.OpError{Op: "read", Err: err}
	}
	resp.Body = &cutBody{resp.Body, l.f}
	return resp, nil
}

// cutBody ends early, without an error, as with a peer that counts wrongly.
type cutBody struct {
	io.ReadCloser
	f *blobtest.Fault
}

func (b *cutBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && b.f.Hit() != nil {
		return n / 2, io.EOF
	}
	return n, err
}

func TestFaults(t *testing.T) {
	bucket, f := s3test.Bucket(t), &blobtest.Fault{}
	l := quick
	l.wrap = func(to service.HTTPClient) service.HTTPClient { return &line{to, f} }
	s := opened(t, bucket.URL, l)
	blobtest.Faults(t, s, f)
	if err := s.abort(t.Context(), 0); err != nil { // of those that an outage kept from being aborted
		t.Fatal(err)
	}
	if left := bucket.Uploads(t); len(left) > 0 {
		t.Errorf("uploads are left: %q", left)
	}
}

// front is a server before the real one, which answers as handle likes: nil
// passes the request on.
func front(t *testing.T, bucket s3test.Place, handle func(http.ResponseWriter, *http.Request, http.Handler)) (storeURL string) {
	t.Helper()
	target, err := url.Parse(bucket.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, proxy) }))
	t.Cleanup(server.Close)
	return strings.Replace(bucket.URL, bucket.Endpoint, server.URL, 1)
}

// refuse answers as S3 does when it can't.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	io.WriteString(w, `<?xml version="1.0"?><Error><Code>`+code+`</Code><Message>as the test wants</Message></Error>`)
}

func TestFailingServer(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		kind   api.Kind
		tried  int64 // requests of a call
	}{
		{503, "SlowDown", api.Unavailable, 3},
		{500, "InternalError", api.Unavailable, 3},
		{502, "BadGateway", api.Unavailable, 3},
		{429, "TooManyRequests", api.Unavailable, 3},
		{403, "AccessDenied", api.Unavailable, 1},
		{507, "InsufficientStorage", api.NoSpace, 1},
		{403, "QuotaExceeded", api.NoSpace, 1},
		{400, "InvalidArgument", api.Internal, 1},
	} {
		t.Run(test.code, func(t *testing.T) {
			var failing atomic.Bool
			var requests atomic.Int64
			s := opened(t, front(t, s3test.Bucket(t), func(w http.ResponseWriter, r *http.Request, on http.Handler) {
				if !failing.Load() {
					on.ServeHTTP(w, r)
					return
				}
				requests.Add(1)
				io.Copy(io.Discard, r.Body)
				refuse(w, test.status, test.code)
			}), quick)
			failing.Store(true)
			_, get := s.Get(t.Context(), "ab-0", 0, -1)
			if n := requests.Load(); api.KindOf(get) != test.kind || n < 1 || n > 3 || test.tried == 3 && n != 3 {
				t.Errorf("get: %s, %v after %d requests", api.KindOf(get), get, n)
			}
			for what, err := range map[string]error{
				"put":       s.Put(t.Context(), "ab-0", strings.NewReader("x")),
				"put parts": s.Put(t.Context(), "ab-0", bytes.NewReader(make([]byte, single+1))),
				"delete":    s.Delete(t.Context(), "ab-0"),
			} {
				if api.KindOf(err) != test.kind {
					t.Errorf("%s: %s, %v", what, api.KindOf(err), err)
				}
			}
			for _, err := range s.List(t.Context()) {
				if api.KindOf(err) != test.kind {
					t.Errorf("list: %s, %v", api.KindOf(err), err)
				}
			}
			failing.Store(false)
			if _, err := s.Get(t.Context(), "ab-0", 0, -1); api.KindOf(err) != api.NotFound {
				t.Errorf("get afterwards: %v", err)
			}
		})
	}
}

// A server that is slow is waited for; one that says nothing any more is not.
func TestSlowServer(t *testing.T) {
	var stuck atomic.Bool
	bucket := s3test.Bucket(t)
	l := quick
	l.stall = 300 * time.Millisecond
	release := make(chan struct{})
	url := front(t, bucket, func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		switch {
		case stuck.Load():
			<-release
			panic(http.ErrAbortHandler)
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/slow-0"):
			on.ServeHTTP(&slowWriter{ResponseWriter: w, pause: 40 * time.Millisecond, release: release}, r)
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/hang-0"):
			on.ServeHTTP(&slowWriter{ResponseWriter: w, hangs: true, release: release}, r)
		default:
			on.ServeHTTP(w, r)
		}
	})
	t.Cleanup(func() { close(release) }) // before the server is closed, which waits
	s := opened(t, url, l)
	content := make([]byte, 600<<10)
	for _, key := range []string{"slow-0", "hang-0"} {
		if err := s.Put(t.Context(), key, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(key string) (int64, error) {
		r, err := s.Get(t.Context(), key, 0, -1)
		if err != nil {
			return 0, err
		}
		defer r.Close()
		return io.Copy(io.Discard, r)
	}
	start := time.Now()
	if n, err := read("slow-0"); err != nil || n != int64(len(content)) || time.Since(start) < 2*l.stall {
		t.Errorf("a slow body: %d bytes, %v after %v", n, err, time.Since(start))
	}
	start = time.Now()
	if n, err := read("hang-0"); api.KindOf(err) != api.Unavailable || n >= int64(len(content)) || time.Since(start) > 10*time.Second {
		t.Errorf("a body that hangs: %d bytes, %v after %v", n, err, time.Since(start))
	}
	stuck.Store(true)
	start = time.Now()
	if err := s.Put(t.Context(), "ab-0", bytes.NewReader(content)); api.KindOf(err) != api.Unavailable || time.Since(start) > 10*time.Second {
		t.Errorf("a server that does not answer: %v after %v", err, time.Since(start))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Get(ctx, "slow-0", 0, -1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's own deadline: %v", err)
	}
}

// slowWriter sends 32 KiB at a time, or hangs after the first.
type slowWriter struct {
	http.ResponseWriter
	pause   time.Duration
	hangs   bool
	sent    bool
	release chan struct{}
}

func (w *slowWriter) Write(b []byte) (int, error) {
	if w.sent && w.hangs {
		<-w.release
		panic(http.ErrAbortHandler)
	}
	w.sent = true
	n, err := w.ResponseWriter.Write(b)
	http.NewResponseController(w.ResponseWriter).Flush()
	time.Sleep(w.pause)
	return n, err
}

// A server that ignores Range, or answers another one, must not pass for content.
func TestWrongRange(t *testing.T) {
	s := opened(t, front(t, s3test.Bucket(t), func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		if r.URL.Query().Get("list-type") == "" && r.Header.Get("Range") != "" {
			io.WriteString(w, "all of the content")
			return
		}
		on.ServeHTTP(w, r)
	}), quick)
	if err := s.Put(t.Context(), "ab-0", strings.NewReader("all of the content")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "ab-0", 4, 2); api.KindOf(err) != api.Internal {
		t.Errorf("a range from a server that ignores it: %v", err)
	}
}
