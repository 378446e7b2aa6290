package server

import (
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"satchel/api"
)

// problem is the body of an error under /v1 (RFC 9457).
type problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail"`
	Kind   api.Kind `json:"kind"`

	header http.Header
}

const problemJSON = "application/problem+json"

func newProblem(f fault) *problem {
	return &problem{
		Type: "about:blank", Title: http.StatusText(f.status), Status: f.status,
		Detail: f.message, Kind: f.kind, header: f.header,
	}
}

// What huma asks of an error.
func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) GetHeaders() http.Header   { return p.header }
func (p *problem) ContentType(string) string { return problemJSON }

// problemError writes an error as /v1 has it.
func (s *server) problemError(w http.ResponseWriter, _ *http.Request, err error) {
	f := faultOf(s.log, err)
	f.write(w, problemJSON, newProblem(f))
}

// fail is an error for a huma handler to return.
func (s *server) fail(err error) error {
	return newProblem(faultOf(s.log, err))
}

// Errors that huma finds itself (a body that is not JSON, a parameter that is
// no number) get our shape too. huma has one such function for the program.
func init() {
	huma.NewErrorWithContext = func(_ huma.Context, status int, msg string, errs ...error) huma.StatusError {
		f := fault{status: status, kind: api.Invalid, message: msg}
		switch status {
		case http.StatusUnprocessableEntity:
			f.status = http.StatusBadRequest
		case http.StatusRequestEntityTooLarge:
			f.kind = api.TooLarge
		case http.StatusInternalServerError:
			f.kind = api.Internal
		}
		for _, err := range errs {
			if d, ok := errors.AsType[*huma.ErrorDetail](err); ok {
				f.message += "; " + d.Location + ": " + d.Message
			} else if err != nil {
				f.message += "; " + err.Error()
			}
		}
		return newProblem(f)
	}
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return huma.NewErrorWithContext(nil, status, msg, errs...)
	}
}
