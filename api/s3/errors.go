package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strings"

	"satchel/api"
)

// Fault is an error as a client may see it.
type Fault struct {
	Status  int
	Message string
	Header  http.Header
}

// coded is an error for which S3 has a code of its own.
type coded struct {
	code   string
	status int
	err    error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

func refuse(status int, code, format string, args ...any) error {
	kind := api.Invalid
	switch status {
	case http.StatusForbidden:
		kind = api.Permission
	case http.StatusNotFound:
		kind = api.NotFound
	case http.StatusConflict:
		kind = api.Exists
	}
	return &coded{code, status, api.Errorf(kind, format, args...)}
}

// codes are what S3 calls errors of each kind.
var codes = map[api.Kind]string{
	api.Invalid:         "InvalidArgument",
	api.NameTooLong:     "InvalidObjectKey",
	api.Unauthenticated: "InvalidAccessKeyId",
	api.Permission:      "AccessDenied",
	api.NotFound:        "NoSuchKey",
	api.Exists:          "OperationAborted",
	api.NotEmpty:        "BucketNotEmpty",
	api.IsDirectory:     "InvalidObjectKey",
	api.NotDirectory:    "InvalidObjectKey",
	api.Conflict:        "PreconditionFailed",
	api.TooLarge:        "EntityTooLarge",
	api.Quota:           "QuotaExceeded",
	api.NoSpace:         "InsufficientStorage",
	api.RateLimited:     "SlowDown",
	api.Unavailable:     "ServiceUnavailable",
	api.MissingChunks:   "ServiceUnavailable",
}

type errorBody struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	Resource  string
	RequestID string `xml:"RequestId"`
}

// describe is an error as S3 tells it.
func (q *request) describe(err error) (int, http.Header, errorBody) {
	f := q.Fault(err)
	body := errorBody{Code: codes[api.KindOf(err)], Message: f.Message, Resource: q.r.URL.Path, RequestID: q.id}
	switch api.KindOf(err) {
	case api.Unauthenticated:
		f.Status = http.StatusForbidden // S3 has no 401
	case api.MissingChunks:
		f.Status = http.StatusServiceUnavailable
	case api.NameTooLong:
		f.Status = http.StatusConflict
	}
	if c, ok := errors.AsType[*coded](err); ok {
		f.Status, body.Code = c.status, c.code
	}
	if body.Code == "" {
		body.Code = "InternalError"
	}
	return f.Status, f.Header, body
}

// fail answers with an error.
func (q *request) fail(err error) {
	status, header, body := q.describe(err)
	h := q.w.Header()
	for _, name := range append([]string{"Content-Length", "Etag", "Last-Modified", "X-Amz-Mp-Parts-Count"}, kept...) {
		h.Del(name) // they were for the object
	}
	for name := range h {
		if strings.HasPrefix(name, metaPrefix) {
			delete(h, name) // which Del does not find, in lower case
		}
	}
	if status != http.StatusRequestedRangeNotSatisfiable {
		h.Del("Content-Range") // where it says how much there is
	}
	for name, values := range header {
		if name != "Www-Authenticate" {
			h[name] = values
		}
	}
	if q.r.Method == http.MethodHead {
		q.w.WriteHeader(status)
		return
	}
	q.xml(status, body)
}

// xml answers with a document.
func (q *request) xml(status int, v any) {
	q.w.Header().Set("Content-Type", "application/xml")
	q.w.WriteHeader(status)
	q.w.Write([]byte(xml.Header))
	xml.NewEncoder(q.w).Encode(v) // fails only with the connection
}
