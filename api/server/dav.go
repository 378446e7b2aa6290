package server

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"satchel/api/auth"
	"satchel/api/dav"
	"satchel/api/route"
	"satchel/storage"
)

// routeDAV adds the caller's home drive over WebDAV. OpenAPI knows HTTP's own
// methods only; the others are in RFC 4918.
func (s *server) routeDAV(mux *http.ServeMux, doc *route.Document) {
	s.describeDAV(doc)
	h := &dav.Handler{
		Prefix: "/dav", Drives: s.drives,
		Identify: func(r *http.Request) (storage.Caller, error) {
			id, err := s.identifyProgram(r)
			return caller(id), err
		},
		Fault: func(err error) dav.Fault {
			f := faultOf(s.log, err)
			return dav.Fault{Status: f.status, Message: f.message, Header: f.header}
		},
		Room: s.listRoom,
	}
	mux.Handle("/dav", h) // not every client follows a redirection
	mux.Handle("/dav/", h)
}

func (s *server) describeDAV(doc *route.Document) {
	doc.Tag("dav", "The home drive over WebDAV (RFC 4918, classes 1 and 2) for programs, with an app password: PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK and UNLOCK too")
	for _, op := range []struct {
		method, summary string
		example         route.Example
	}{
		{http.MethodPut, "Store a file; its directory must exist", route.Example{Summary: "A new file", As: route.You, Path: "/dav/shopping.txt", Body: "milk\n", Status: 201}},
		{http.MethodGet, "A file's bytes; Range and conditions work", route.Example{Summary: "That file", As: route.You, Path: "/dav/shopping.txt", Status: 200, Contains: "milk"}},
		{http.MethodDelete, "Delete a file, or a directory with all that is in it", route.Example{Summary: "That file", As: route.You, Path: "/dav/shopping.txt", Status: 204}},
	} {
		described := route.WithExamples(huma.Operation{
			OperationID: "dav-" + strings.ToLower(op.method), Method: op.method, Path: "/dav/{path}", Summary: op.summary,
			Security:   []map[string][]string{{"basic": {}}, {"token": {}}},
			Parameters: []*huma.Param{{Name: "path", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}},
			Responses:  map[string]*huma.Response{strconv.Itoa(op.example.Status): {Description: "Done"}},
		}, op.example)
		if op.method == http.MethodPut {
			described.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": {}}}
		}
		doc.OpenAPI().AddOperation(&described)
	}
}

// identifyProgram knows a program by an app password or a token. A cookie
// counts for nothing here: no page has any business with this API.
func (s *server) identifyProgram(r *http.Request) (auth.Identity, error) {
	if email, password, ok := r.BasicAuth(); ok {
		return s.auth.ByAppPassword(r.Context(), email, password)
	}
	r = r.Clone(r.Context())
	r.Header.Del("Cookie")
	return s.identify(r)
}
