package server

import (
	"errors"
	"io"
	"net/http"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
)

// maxPack is the largest pack in bytes.
const maxPack = 40 << 20

// postPack stores a pack; it is refused whole if one chunk is not what its
// hash says.
func (s *server) postPack(w http.ResponseWriter, r *http.Request) {
	d, err := s.driveOf(r)
	if err != nil {
		s.problemError(w, r, err)
		return
	}
	pack, chunks, err := d.PutPack(r.Context(), http.MaxBytesReader(w, r.Body, maxPack))
	if err != nil {
		s.problemError(w, r, tooLarge(err))
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"pack": pack, "chunks": chunks})
}

// getContent sends a version of a file, to a device, which compares the hash of
// the whole: so the kernel may send it.
func (s *server) getContent(w http.ResponseWriter, r *http.Request) {
	c, err := s.contentOf(r)
	if err != nil {
		s.problemError(w, r, err)
		return
	}
	s.sendContent(w, r, c, private, true, s.problemError)
}

func (s *server) contentOf(r *http.Request) (*storage.Content, error) {
	d, err := s.driveOf(r)
	if err != nil {
		return nil, err
	}
	node, err := api.ParseID(r.PathValue("node"))
	if err != nil {
		return nil, err
	}
	var version api.ID
	if v := r.URL.Query().Get("version"); v != "" {
		if version, err = api.ParseID(v); err != nil {
			return nil, err
		}
	}
	return d.Content(r.Context(), node, version)
}

func (s *server) driveOf(r *http.Request) (*storage.Drive, error) {
	id, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	return s.drive(r.Context(), id, r.PathValue("drive"))
}

// tooLarge gives a body over its limit its kind.
func tooLarge(err error) error {
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return api.Errorf(api.TooLarge, "the body is larger than %d bytes", e.Limit)
	}
	return err
}

// private is how content is kept that is a user's own.
const private = "private, no-cache"

// serveContent sends a user's own content.
func (s *server) serveContent(w http.ResponseWriter, r *http.Request, c *storage.Content, fail failure) {
	s.sendContent(w, r, c, private, false, fail)
}

// sendContent sends content by the rules of net/http for ranges and conditions
// (RFC 9110 sections 13 and 14), to be kept as cache says. Its hash is its entity tag.
// The kernel may send it to a client that verifies what it gets.
func (s *server) sendContent(w http.ResponseWriter, r *http.Request, c *storage.Content, cache string, kernel bool, fail failure) {
	h := w.Header()
	h.Set("Etag", `"`+c.SHA256.String()+`"`)
	h.Set("Cache-Control", cache)
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	body := c.Reader(r.Context())
	defer body.Close()
	response := func(w http.ResponseWriter) http.ResponseWriter {
		return &rangeResponse{ResponseWriter: w, r: r, kernel: kernel, fail: fail}
	}
	err := serve.Content(w, r, c.Modified, body, response, func(err error) {
		s.log.Error("content broke off", "version", c.Version, "err", err)
	})
	if err != nil {
		fail(w, r, err)
	}
}

// rangeResponse gives the refusals of http.ServeContent a family's shape.
type rangeResponse struct {
	http.ResponseWriter
	r       *http.Request
	kernel  bool // may send content
	fail    failure
	refused bool
}

func (w *rangeResponse) WriteHeader(status int) {
	if status < 400 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.refused = true
	total := w.Header().Get("Content-Range")
	message := "the content is another one by now"
	if status == http.StatusRequestedRangeNotSatisfiable {
		message = "the content has no such range"
	}
	err := &pgrstStatus{status, "PGRST103", api.Errorf(api.Invalid, "%s", message)}
	w.fail(keepRange{w.ResponseWriter, total}, w.r, err)
}

func (w *rangeResponse) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil // the text of http.Error
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom is part of [io.ReaderFrom]; http.ServeContent copies through it.
func (w *rangeResponse) ReadFrom(r io.Reader) (int64, error) {
	part, ok := r.(*io.LimitedReader)
	if ok && w.kernel && !w.refused {
		if content, ok := part.R.(*storage.ContentReader); ok {
			n, err := content.SendTo(w.ResponseWriter, part.N)
			part.N -= n
			return n, err
		}
	}
	return io.Copy(justWriter{w}, r)
}

// justWriter hides ReadFrom from io.Copy.
type justWriter struct{ io.Writer }

// keepRange keeps the Content-Range that a 416 must have.
type keepRange struct {
	http.ResponseWriter
	value string
}

func (w keepRange) WriteHeader(status int) {
	if w.value != "" {
		w.Header().Set("Content-Range", w.value)
	}
	w.ResponseWriter.WriteHeader(status)
}
