package server

import (
	"net/http"
	"unicode/utf8"

	"satchel/api"
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
	mediaType, err := contentType(r, name, c)
	if err != nil {
		return err
	}
	dressContent(w.Header(), name, mediaType)
	s.serveContent(w, r, c, s.apiError)
	return nil
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
