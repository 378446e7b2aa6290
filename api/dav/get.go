package dav

import (
	"net/http"
	"path"
	"strconv"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
)

// get sends a file, by the rules of net/http for ranges and conditions.
func (q *request) get(w http.ResponseWriter) {
	f := q.find(q.path, true)
	switch {
	case f.err != nil && api.KindOf(f.err) != api.NotDirectory:
		q.fail(w, f.err)
		return
	case f.Node == nil:
		q.fail(w, api.Errorf(api.NotFound, "there is no such file or directory"))
		return
	case f.Node.Type == api.Directory:
		w.Header().Set("Allow", "OPTIONS, DELETE, COPY, MOVE, PROPFIND, PROPPATCH, LOCK, UNLOCK")
		q.refuse(api.Errorf(api.IsDirectory, "this is a directory: list it with PROPFIND"), http.StatusMethodNotAllowed)
		q.fail(w, q.err)
		return
	}
	c, err := f.Content(q.ctx)
	if err != nil {
		q.fail(w, err)
		return
	}
	h := w.Header()
	h.Set("Etag", etag(f.Node))
	h.Set("Content-Type", storage.ContentType(path.Base(q.path)))
	h.Set("Cache-Control", "private, no-cache")
	// A browser that is led here shows no script of a stored page (CSP 3 section 6.2.1).
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	body := c.Reader(q.ctx)
	defer body.Close()
	refused := func(w http.ResponseWriter) http.ResponseWriter { return &refusals{ResponseWriter: w, q: q} }
	err = serve.Content(w, q.r, info{node: f.Node}.ModTime(), body, refused, func(err error) {
		q.Fault(err) // logs it
	})
	if err != nil {
		q.fail(w, err)
	}
}

// refusals keeps the headers of content from the answers that have none.
type refusals struct {
	http.ResponseWriter
	q *request
}

func (w *refusals) WriteHeader(status int) {
	if status >= 400 {
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Del("Cache-Control")
		if status != http.StatusRequestedRangeNotSatisfiable {
			h.Del("Etag")
		} else {
			h.Set("Content-Range", "bytes */"+strconv.FormatInt(w.q.find(w.q.path, true).Node.Size, 10))
		}
	}
	w.ResponseWriter.WriteHeader(status)
}
