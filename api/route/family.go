package route

import (
	"net/http"
	"slices"
	"strings"

	"satchel/api"
)

// Family is paths that belong together and answer errors alike.
type Family struct {
	doc    *Document
	tag    string
	prefix string
	fail   Failure
	paths  []string // in the order in which they were added
	byPath map[string]map[string]http.HandlerFunc
}

// Failure writes an error in a family's shape. A [*MethodError] is 405.
type Failure func(w http.ResponseWriter, r *http.Request, err error)

// MethodError is a method that a path does not have. It is of kind
// [api.Invalid]; Allow is already in the answer's header.
type MethodError struct{ Method string }

func (e *MethodError) Error() string { return e.Method + " is not allowed here" }

// Unwrap gives it its kind.
func (e *MethodError) Unwrap() error { return api.Errorf(api.Invalid, "%s", e.Error()) }

// Family begins a group of operations. All that lies under its prefix and is
// not of the group gets 404, unless the prefix is a path of the group.
func (d *Document) Family(tag, description, prefix string, fail Failure) *Family {
	d.Tag(tag, description)
	return &Family{doc: d, tag: tag, prefix: prefix, fail: fail, byPath: map[string]map[string]http.HandlerFunc{}}
}

// Handle adds an operation. Several may share a path.
func (f *Family) Handle(op Operation, h http.HandlerFunc) {
	f.doc.add(f.tag, op)
	if f.byPath[op.Path] == nil {
		f.byPath[op.Path] = map[string]http.HandlerFunc{}
		f.paths = append(f.paths, op.Path)
	}
	f.byPath[op.Path][op.Method] = h
}

// Mount serves the family.
func (f *Family) Mount(mux *http.ServeMux) {
	for _, path := range f.paths {
		mux.HandleFunc(path, f.serve(f.byPath[path]))
	}
	if strings.HasSuffix(f.prefix, "/") && f.byPath[f.prefix] == nil {
		mux.HandleFunc(f.prefix, func(w http.ResponseWriter, r *http.Request) {
			f.fail(w, r, api.Errorf(api.NotFound, "there is nothing at %q", r.URL.Path))
		})
	}
}

// serve chooses the handler of a path by the method. net/http sends no body in
// answer to HEAD, so GET's handler does.
func (f *Family) serve(methods map[string]http.HandlerFunc) http.HandlerFunc {
	if get, ok := methods[http.MethodGet]; ok && methods[http.MethodHead] == nil {
		methods[http.MethodHead] = get
	}
	var allow []string
	for method := range methods {
		allow = append(allow, method)
	}
	slices.Sort(allow)
	return func(w http.ResponseWriter, r *http.Request) {
		if h, ok := methods[r.Method]; ok {
			h(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		f.fail(w, r, &MethodError{r.Method})
	}
}
