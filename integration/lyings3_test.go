package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"satchel/integration/require"
	"satchel/integration/rig"
)

// A lie is what an S3 server answers to the reading of an object, instead of what on would. It may be called
// by several requests at once.
type lie func(w http.ResponseWriter, r *http.Request, on http.Handler)

// liar stands between a server and S3, and lies when it is told to.
type liar struct {
	lie  atomic.Pointer[lie]
	told atomic.Int64 // lies

	mu    sync.Mutex
	first []byte // the first object that was stored
}

// newLiar stands before host; addr is where.
func newLiar(t *testing.T, host string) (l *liar, addr string) {
	t.Helper()
	l = &liar{}
	on := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: host})
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Else a bucket is listed, or it is asked whose the store is.
		object := strings.Count(r.URL.Path, "/") > 2 && !strings.HasSuffix(r.URL.Path, "/satchel-installation")
		tell := l.lie.Load()
		switch {
		case object && r.Method == http.MethodGet && tell != nil:
			l.told.Add(1)
			(*tell)(w, r, on)
			return
		case object && r.Method == http.MethodPut:
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			l.mu.Lock()
			if l.first == nil {
				l.first = body
			}
			l.mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		on.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return l, strings.TrimPrefix(server.URL, "http://")
}

// instead answers with what change makes of the right body, under the right header.
func instead(change func(r *http.Request, body []byte) []byte) lie {
	return func(w http.ResponseWriter, r *http.Request, on http.Handler) {
		right := httptest.NewRecorder()
		on.ServeHTTP(right, r)
		for name, values := range right.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(right.Code)
		w.Write(change(r, right.Body.Bytes()))
	}
}

// refusing answers with an error as S3 writes it.
func refusing(status int, code string) lie {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>as the test wants</Message></Error>`, code)
	}
}

// through puts something between a server, which does not run yet, and the host of its bucket.
func through(t *testing.T, s *rig.Server, between func(host string) (addr string)) {
	t.Helper()
	blobs, err := url.Parse(s.Getenv("SATCHELD_BLOBS"))
	must(t, err)
	query := blobs.Query()
	endpoint, err := url.Parse(query.Get("endpoint"))
	must(t, err)
	query.Set("endpoint", "http://"+between(endpoint.Host))
	blobs.RawQuery = query.Encode()
	s.Setenv("SATCHELD_BLOBS", blobs.String())
}

// TestLyingS3: what S3 answers wrongly, or not at all, is an error on every way to a file, in the log and for fsck.
// None of it is given out for content, and all is well again when S3 is.
func TestLyingS3(t *testing.T) {
	require.Fuse(t)
	endpoint, err := rig.FreeAddr()
	must(t, err)
	s, err := parts.NewServer(unique(t, "server"), "--s3-listen", endpoint)
	must(t, err)
	must(t, parts.ShareBucket(t.Context(), require.Tool(t, "versitygw"), unique(t, "bucket"), s))
	var l *liar
	through(t, s, func(host string) (addr string) {
		l, addr = newLiar(t, host)
		return addr
	})
	must(t, s.Start(t.Context()))
	t.Cleanup(func() { must(t, s.Stop()) })
	showLogOnFailure(t, s)
	anna := (&buckets{Server: s, endpoint: "http://" + endpoint}).user(t, "anna")
	anna.dav = anna.appPassword(t, "lies").Password
	bucket := anna.bucket(t)

	const size = 300_000                               // more than what comes along with another file
	anna.store(t, bucket+"/before", randomBytes(size)) // the first object
	tests := []struct {
		name   string
		lie    lie
		status int    // of an answer; 0: the content is right
		fsck   string // what it says; "" = it is not asked
	}{
		{"a bit is another one", instead(func(_ *http.Request, b []byte) []byte { b[len(b)/2] ^= 4; return b }), 500, "not what its hash says"},
		{"older data", instead(func(r *http.Request, b []byte) []byte {
			var from int
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			l.mu.Lock()
			defer l.mu.Unlock()
			copy(b, l.first[min(from, len(l.first)):])
			return b
		}), 500, "not what its hash says"},
		{"no object", refusing(404, "NoSuchKey"), 500, "has not the newest content"},
		{"half a body", instead(func(_ *http.Request, b []byte) []byte { return b[:len(b)/200] }), 503, ""},
		{"too busy", refusing(503, "SlowDown"), 503, ""},
		{"slow", func(w http.ResponseWriter, r *http.Request, on http.Handler) {
			time.Sleep(300 * time.Millisecond)
			on.ServeHTTP(w, r)
		}, 0, ""},
	}
	large := randomBytes(6 << 20)
	anna.store(t, bucket+"/large.mp4", large)
	desk := anna.mountNew(t, "desk")

	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			content, mounted := randomBytes(size), filepath.Join(desk.Mount, bucket, test.name)
			anna.store(t, bucket+"/"+test.name, content)
			eventually(t, 20*time.Second, func() error { _, err := os.Stat(mounted); return err })
			views := views(anna, bucket, test.name, mounted)
			l.lie.Store(&test.lie)
			before, logged := l.told.Load(), logSize(t, s)
			var all sync.WaitGroup
			for _, v := range views {
				all.Go(func() {
					switch got, err := v.get(t.Context()); {
					case test.status == 0:
						if err != nil || !bytes.Contains(got, content) {
							t.Errorf("%s: %d bytes, %v", v.name, len(got), err)
						}
					case !v.failed(err, test.status):
						t.Errorf("%s: %d bytes, %v; wanted %d", v.name, len(got), err, test.status)
					case bytes.Contains(got, content[:32]) || len(got) > 4096:
						t.Errorf("%s: gave out %d bytes", v.name, len(got))
					}
				})
			}
			all.Wait()
			if told := l.told.Load() - before; told < int64(len(views)) {
				t.Errorf("S3 was asked %d times by %d readers", told, len(views))
			}
			if said := logSince(t, s, logged); test.status != 0 && !strings.Contains(said, "pack") {
				t.Errorf("the log says: %s", said)
			}
			if test.fsck != "" {
				out, err := s.Satcheld(t.Context(), "", "fsck", "--deep")
				if err == nil || !strings.Contains(out+err.Error(), test.fsck) {
					t.Errorf("fsck: %s %v; wanted %q", out, err, test.fsck)
				}
			}
			l.lie.Store(nil)
			for _, v := range views {
				if got, err := v.get(t.Context()); err != nil || !bytes.Contains(got, content) {
					t.Errorf("%s, when S3 is right again: %d bytes, %v", v.name, len(got), err)
				}
			}
		})
	}

	// What is right before the lie is given out, and then the answer breaks off: nobody takes it for the whole.
	last := instead(func(_ *http.Request, b []byte) []byte { b[len(b)-1] ^= 1; return b })
	l.lie.Store(&last)
	for _, v := range views(anna, bucket, "large.mp4", filepath.Join(desk.Mount, bucket, "large.mp4")) {
		got, err := v.get(t.Context())
		if err == nil || len(got) >= len(large) || !bytes.HasPrefix(large, got) {
			t.Errorf("%s: %d bytes of %d, right: %v, %v", v.name, len(got), len(large), bytes.HasPrefix(large, got), err)
		}
	}
	l.lie.Store(nil)
	must(t, anna.stored(t, bucket+"/large.mp4", large))
	must(t, has(filepath.Join(desk.Mount, bucket, "large.mp4"), string(large)))
	clean(t, s)
}

// view is a way to read a file.
type view struct {
	name   string
	get    func(context.Context) ([]byte, error)
	failed func(err error, status int) bool // whether that is how it tells of this status
}

// statusError is an HTTP answer that is no success.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// views are the ways to read a file of a bucket.
func views(a *s3User, bucket, name, mounted string) []view {
	path := bucket + "/" + url.PathEscape(name)
	bearer := map[string]string{"Authorization": "Bearer " + a.token}
	all := []view{
		{name: "the mount",
			get: func(context.Context) ([]byte, error) { return os.ReadFile(mounted) },
			failed: func(err error, _ int) bool {
				return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.EHOSTUNREACH)
			}},
		{name: "S3",
			get: func(ctx context.Context) ([]byte, error) { return a.get(ctx, bucket, name) },
			failed: func(err error, status int) bool {
				return code(err) == map[int]string{500: "InternalError", 503: "ServiceUnavailable"}[status]
			}},
	}
	for what, at := range map[string]struct {
		url    string
		header map[string]string
	}{
		"/rpc/retrieve_file": {"/rpc/retrieve_file?p_file_path=" + url.QueryEscape(bucket+"/"+name), bearer},
		"/rpc/get_file":      {"/rpc/get_file?p_bucket_path=" + bucket + "&p_file_name=" + url.QueryEscape(name), bearer},
		"/api/vfs":           {"/api/vfs/get/home/" + path, bearer},
		"WebDAV":             {"/dav/" + path, map[string]string{"Authorization": basic(a.email, a.dav)}},
		"a range":            {"/dav/" + path, map[string]string{"Authorization": basic(a.email, a.dav), "Range": "bytes=0-"}},
	} {
		all = append(all, view{what,
			func(ctx context.Context) ([]byte, error) { return fetch(ctx, a.server.URL+at.url, at.header) },
			func(err error, status int) bool { return errors.Is(err, statusError(status)) },
		})
	}
	return all
}

// fetch is the body of a success; with an error, what came of it.
func fetch(ctx context.Context, url string, header map[string]string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = statusError(res.StatusCode)
	}
	return body, err
}

func logSize(t *testing.T, s *rig.Server) int64 {
	t.Helper()
	info, err := os.Stat(s.Log)
	must(t, err)
	return info.Size()
}

// logSince is what the server has logged since its log had a size.
func logSince(t *testing.T, s *rig.Server, size int64) string {
	t.Helper()
	b, err := os.ReadFile(s.Log)
	must(t, err)
	return string(b[min(size, int64(len(b))):])
}
