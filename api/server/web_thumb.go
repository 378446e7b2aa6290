package server

import (
	"net/http"
	"strconv"

	"satchel/api"
	"satchel/api/auth"
)

// webThumb sends a small picture of an image. What has none gets the icon.
func (s *server) webThumb(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, n, err := s.fileAt(r, id)
	if err != nil {
		return err
	}
	here, _, err := d.Through(r.Context(), path)
	if err != nil {
		return err
	}
	content, err := here.Content(r.Context(), n.ID, api.ID{})
	if err != nil {
		return err
	}
	picture, err := content.Thumbnail(r.Context())
	if api.KindOf(err) == api.NotFound {
		w.Header().Set("Cache-Control", "private, max-age=3600")
		http.Redirect(w, r, "/assets/picture.svg", http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return err
	}
	h := w.Header()
	dressContent(h, "thumbnail.jpg", "image/jpeg")
	h.Set("Content-Length", strconv.Itoa(len(picture)))
	h.Set("Cache-Control", "private, no-cache")
	if r.URL.Query().Get("v") == content.Version.String() { // another version has another address
		h.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	w.Write(picture)
	return nil
}
