package server

import (
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"satchel/api"
	"satchel/storage"
)

// maxText is the largest file that read answers in bytes; get has no limit.
const maxText = 16 << 20

// vfsRead answers a text file as text.
func (s *server) vfsRead(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	n, err := t.file(r)
	if err != nil {
		return err
	}
	if n.Size > maxText {
		return api.Errorf(api.TooLarge, "the file has %d bytes, and read answers at most %d: use get", n.Size, maxText)
	}
	text, err := t.text(r.Context(), n, maxText)
	if err != nil {
		return err
	}
	if !utf8.ValidString(text) {
		return api.Errorf(api.Invalid, "the file is not text in UTF-8: use get")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "private, no-cache")
	w.WriteHeader(http.StatusOK)
	w.Write([]byte(text))
	return nil
}

// vfsGet sends a file's bytes with its media type.
func (s *server) vfsGet(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	n, err := t.file(r)
	if err != nil {
		return err
	}
	c, err := t.drive.Content(r.Context(), n.ID, api.ID{})
	if err != nil {
		return err
	}
	name := string(t.path[len(t.path)-1])
	kind := storage.ContentType(name)
	if kind == storage.Unknown {
		head, err := t.text(r.Context(), n, 512)
		if err != nil {
			return err
		}
		kind = http.DetectContentType([]byte(head))
	}
	disposition := "attachment"
	if harmless(kind) {
		disposition = "inline"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": api.Name(name).Escape()}))
	if kind != "application/pdf" { // browsers show no PDF in a sandbox
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	}
	s.serveContent(w, r, c, s.apiError)
	return nil
}

// harmless tells whether a browser may show content of a type that came from
// anyone: nothing that can hold script.
func harmless(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	switch kind {
	case "application/pdf", "text/plain", "text/csv":
		return true
	case "image/svg+xml":
		return false
	}
	family, _, _ := strings.Cut(kind, "/")
	return family == "image" || family == "audio" || family == "video"
}

// file is the regular file at the path, for reading.
func (t *vfsTarget) file(r *http.Request) (api.Node, error) {
	n, err := t.find(r.Context(), api.PermRead)
	switch {
	case err != nil:
		return n, err
	case n.Type == api.Directory:
		return n, api.Errorf(api.IsDirectory, "this is a directory")
	case n.Type != api.File:
		return n, api.Errorf(api.Invalid, "this has no content")
	}
	return n, nil
}
