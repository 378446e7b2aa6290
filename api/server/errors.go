package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"satchel/api"
	"satchel/api/route"
)

// statusClosed is for the log only: the client is gone.
const statusClosed = 499

// statuses maps kinds to HTTP, for every family.
var statuses = map[api.Kind]int{
	api.Invalid:         http.StatusBadRequest,
	api.NameTooLong:     http.StatusBadRequest,
	api.Unauthenticated: http.StatusUnauthorized,
	api.Permission:      http.StatusForbidden,
	api.NotFound:        http.StatusNotFound,
	api.Exists:          http.StatusConflict,
	api.NotEmpty:        http.StatusConflict,
	api.IsDirectory:     http.StatusConflict,
	api.NotDirectory:    http.StatusConflict,
	api.Resync:          http.StatusConflict,
	api.MissingChunks:   http.StatusConflict,
	api.Conflict:        http.StatusPreconditionFailed,
	api.TooLarge:        http.StatusRequestEntityTooLarge,
	api.Quota:           http.StatusInsufficientStorage,
	api.NoSpace:         http.StatusInsufficientStorage,
	api.RateLimited:     http.StatusTooManyRequests,
	api.Unavailable:     http.StatusServiceUnavailable,
	api.Cancelled:       statusClosed,
	api.Internal:        http.StatusInternalServerError,
}

// fault is an error as a client may see it.
type fault struct {
	status  int
	kind    api.Kind
	message string
	header  http.Header
}

// faultOf classifies an error and logs those that are ours to mend. What lies
// under them (SQL, paths on this machine) is not for clients.
func faultOf(log *slog.Logger, err error) fault {
	kind := api.KindOf(err)
	f := fault{status: statuses[kind], kind: kind, message: err.Error(), header: http.Header{}}
	if f.status == 0 {
		f.status, f.kind = http.StatusInternalServerError, api.Internal
	}
	var e *api.Error
	if errors.As(err, &e) {
		f.message = e.Message
		if e.RetryAfter > 0 {
			f.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
		}
	}
	if f.status == http.StatusServiceUnavailable && f.header.Get("Retry-After") == "" {
		f.header.Set("Retry-After", "1") // RFC 9110 section 10.2.3
	}
	if e, ok := errors.AsType[*pgrstStatus](err); ok {
		f.status = e.status
	}
	if _, ok := errors.AsType[*route.MethodError](err); ok {
		f.status = http.StatusMethodNotAllowed
	}
	switch {
	case f.kind == api.Cancelled:
		f.message = "the request was given up"
	case f.kind == api.Internal:
		log.Error("request failed", "err", err)
		f.message = "something went wrong on the server; its log says what"
	case f.status >= 500 && (e == nil || e.Err != nil):
		log.Warn("request failed", "kind", f.kind, "err", err)
		f.message = plain[f.kind]
	case f.kind == api.Unauthenticated:
		f.header.Set("WWW-Authenticate", `Bearer realm="satchel"`)
	}
	return f
}

// plain is what clients are told when the error's own text is not for them.
var plain = map[api.Kind]string{
	api.Unavailable: "the server is busy, or can't reach its database or where it stores content; try again",
	api.NoSpace:     "the server's disk is full",
	api.Quota:       "the quota is used up",
}

func (f fault) write(w http.ResponseWriter, contentType string, body any) {
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Disposition", "Etag", "Last-Modified"} {
		h.Del(name) // they were for the answer that there is not
	}
	if f.status != http.StatusRequestedRangeNotSatisfiable {
		h.Del("Content-Range") // where it says how much there is
	}
	h.Set("Cache-Control", "no-store")
	for name, values := range f.header {
		h[name] = values
	}
	h.Set("Content-Type", contentType)
	w.WriteHeader(f.status)
	json.NewEncoder(w).Encode(body)
}

// failure writes an error in a family's shape.
type failure func(w http.ResponseWriter, r *http.Request, err error)

// pgrst is PostgREST's shape of an error.
type pgrst struct {
	Message string  `json:"message"`
	Code    string  `json:"code"`
	Details *string `json:"details"`
	Hint    *string `json:"hint"`
}

// pgrstCodes are what PostgreSQL and PostgREST say in such cases.
var pgrstCodes = map[api.Kind]string{
	api.Invalid:         "22023",
	api.NameTooLong:     "22023",
	api.Unauthenticated: "PGRST301",
	api.Permission:      "42501",
	api.NotFound:        "PGRST202",
	api.Exists:          "23505",
	api.Quota:           "53400",
	api.NoSpace:         "53100",
	api.RateLimited:     "PGRST003",
	api.Unavailable:     "PGRST001",
	api.Internal:        "XX000",
}

// pgrstError writes an error as /rpc and /files have it.
func (s *server) pgrstError(w http.ResponseWriter, _ *http.Request, err error) {
	f := faultOf(s.log, err)
	body := pgrst{Message: f.message, Code: pgrstCodes[f.kind]}
	if body.Code == "" {
		body.Code = "P0001" // raised
	}
	if e, ok := errors.AsType[*pgrstStatus](err); ok {
		body.Code = e.code
	}
	if e, ok := errors.AsType[*explained](err); ok {
		body.Details, body.Hint = &e.details, &e.hint
	}
	if f.status == http.StatusMethodNotAllowed {
		body.Code = "PGRST105"
	}
	f.write(w, "application/json; charset=utf-8", body)
}

// apiError writes an error as /api has it.
func (s *server) apiError(w http.ResponseWriter, _ *http.Request, err error) {
	f := faultOf(s.log, err)
	f.write(w, "application/json; charset=utf-8", struct {
		Success bool   `json:"success"`
		Error   string `json:"error"`
		Message string `json:"message"`
	}{false, http.StatusText(f.status), f.message})
}

// pgrstStatus is an error for which PostgREST has a status and a code of its own.
type pgrstStatus struct {
	status int
	code   string
	error
}

func (e *pgrstStatus) Unwrap() error { return e.error }

// explained is an error with what PostgREST says besides its message.
type explained struct {
	details, hint string
	error
}

func (e *explained) Unwrap() error { return e.error }

// unmatched answers what the patterns under a prefix leave over: 405 if
// another method would match, else 404.
func unmatched(mux *http.ServeMux, prefix string, fail failure) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allow []string
		for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
			other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
			if _, pattern := mux.Handler(other); pattern != "" && pattern != prefix && pattern != "/" {
				allow = append(allow, method)
			}
		}
		if len(allow) > 0 {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			fail(w, r, &route.MethodError{Method: r.Method})
			return
		}
		fail(w, r, api.Errorf(api.NotFound, "there is nothing at %q", r.URL.Path))
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // fails only with the connection
}
