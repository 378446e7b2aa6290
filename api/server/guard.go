package server

import (
	"io"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
)

// guard wraps all handlers: it says no to other sites' pages, keeps a slow or
// dead peer from holding a connection for ever, and logs each request without
// its query, which may hold what a log must not.
func (s *server) guard(next http.Handler) http.Handler {
	return s.guarded(s.cors(s.sameSite(next)))
}

// sameSite says no to what another site's page asks a browser to do.
func (s *server) sameSite(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	for _, origin := range s.corsOrigins {
		if err := cross.AddTrustedOrigin(origin); err != nil {
			panic(err) // CheckOrigin was not asked
		}
	}
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := otherSite(r)
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			s.refuse(w, r, err)
			return
		}
		s.render(w, r, http.StatusForbidden, web.Message{Page: pageOf(auth.Identity{}, "That did not work", ""), Text: sentence(err.Error()), Back: "/"})
	}))
	return cross.Handler(next)
}

// otherSite is why a page is refused. A browser that does not say itself that the page is another site's leaves that to the names,
// and a proxy may have changed the server's.
func otherSite(r *http.Request) error {
	if r.Header.Get("Sec-Fetch-Site") != "" {
		return api.Errorf(api.Permission, "a page of another site asked for this")
	}
	return api.Errorf(api.Permission, "a page of %s asked for this, and the server was asked as %s: if that is one site, a proxy between them must pass the Host header on as it is",
		r.Header.Get("Origin"), r.Host)
}

// guarded is guard but for the other sites: where no browser is logged in
// there is nothing for their pages to use.
func (s *server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		rw := &response{ResponseWriter: w, control: http.NewResponseController(w), stall: s.stall}
		// That of the connection's last request may be over by now. While nothing
		// is written there must be none: HTTP/2 would end a long poll by it.
		rw.control.SetWriteDeadline(time.Time{})
		if r.Body != nil && r.Body != http.NoBody {
			// On a copy: net/http must find its own body in its own request, or it
			// would take the rest of one that was not read for the next request.
			guarded := *r
			guarded.Body = &requestBody{ReadCloser: r.Body, control: rw.control, stall: s.stall}
			r = &guarded
		}
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				s.log.Error("handler panicked", "method", r.Method, "path", loggedPath(r.URL.Path), "panic", p, "stack", string(debug.Stack()))
				if rw.status != 0 {
					panic(http.ErrAbortHandler) // too late for an answer
				}
				s.family(r)(rw, r, api.Errorf(api.Internal, "handler panicked"))
			} else if p != nil {
				panic(p)
			}
		}()
		s.secure(rw.Header())
		next.ServeHTTP(rw, r)
		level := slog.LevelDebug
		if rw.status >= 500 {
			level = slog.LevelInfo
		}
		s.log.Log(r.Context(), level, "request", "method", r.Method, "path", loggedPath(r.URL.Path), "status", rw.status,
			"bytes", rw.bytes, "took", time.Since(begin), "from", address(r))
	})
}

// loggedPath is a path without the secret of a link. Also of a path that the mux will not
// take for a link's as it stands: it leads whoever asks to the one that it takes.
func loggedPath(p string) string {
	if rest, ok := strings.CutPrefix(path.Clean("/"+p), "/s/"); ok {
		_, below, _ := strings.Cut(rest, "/")
		return "/s/…/" + below
	}
	return p
}

// family is the error writer for a request's path.
func (s *server) family(r *http.Request) failure {
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		return s.problemError
	case strings.HasPrefix(r.URL.Path, "/api/"):
		return s.apiError
	}
	return s.pgrstError
}

// refuse writes an error in the family's shape.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) { s.family(r)(w, r, err) }

// secure sets what every answer says to browsers; pages and content loosen it
// for themselves.
func (s *server) secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if s.tls {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// stall is how long a peer may neither take nor give a byte.
const stall = time.Minute

// response counts what is written and extends the deadline while it moves.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	status  int
	bytes   int64
	armed   time.Time
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.arm()
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.arm()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom is part of [io.ReaderFrom], through which the kernel sends files. The deadline is
// for all of r: who calls it has pieces that the slowest peer takes within it.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.arm()
	n, err := io.Copy(w.ResponseWriter, r)
	w.bytes += n
	return n, err
}

func (w *response) arm() {
	if now := time.Now(); now.Sub(w.armed) > w.stall/8 {
		w.armed = now
		w.control.SetWriteDeadline(now.Add(w.stall)) // unsupported by some test writers
	}
}

// requestBody is the body of a request. Its errors say that it is the client's
// side that failed.
type requestBody struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	armed   time.Time
}

func (b *requestBody) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.armed) > b.stall/8 {
		b.armed = now
		b.control.SetReadDeadline(now.Add(b.stall))
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		// From here on net/http watches the connection for its end; a
		// deadline would look like one.
		b.control.SetReadDeadline(time.Time{})
	case err != nil:
		if _, ok := err.(*http.MaxBytesError); !ok {
			err = api.Errorf(api.Invalid, "the request's body broke off: %w", err)
		}
	}
	return n, err
}
