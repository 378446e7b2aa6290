package server

import (
	"net/http"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
	"satchel/storage"
)

// webConflicts lists what several devices made of one file, for a decision.
func (s *server) webConflicts(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	all, err := d.Conflicts(r.Context())
	if err != nil {
		return err
	}
	v := web.Conflicts{Page: pageOf(id, "Conflicts", "files")}
	for _, c := range all {
		kept, err := d.Lookup(r.Context(), c.Copy)
		if api.KindOf(err) == api.NotFound {
			continue // meanwhile
		}
		if err != nil {
			return err
		}
		row := web.Conflict{
			Path: webText(c.Copy), Name: c.Copy[len(c.Copy)-1].Escape(), Device: c.Device,
			Copy: web.Side{URL: fileURL(c.Copy), Open: pathURL("/open/", c.Copy), Size: c.File.Size, Modified: time.Unix(0, kept.Mtime), Preview: preview(c.File.ContentType, c.File.Size)},
		}
		row.Of.Name = webText(c.Of)
		if n, err := d.Lookup(r.Context(), c.Of); err == nil && n.Type != api.File {
			row.Of.Other = browseURL(c.Of)
		} else if err == nil {
			row.Of.Side = &web.Side{URL: fileURL(c.Of), Open: pathURL("/open/", c.Of), Size: n.Size, Modified: time.Unix(0, n.Mtime), Preview: preview(storage.ContentType(string(c.Of[len(c.Of)-1])), n.Size),
				Same: n.SHA256 == c.File.Hash}
		}
		v.Rows = append(v.Rows, row)
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

// webResolve ends a conflict as the form says.
func (s *server) webResolve(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, err := s.formPath(r, id, "path")
	if err != nil {
		return err
	}
	if _, err := d.ResolveConflict(r.Context(), path, r.PostFormValue("keep")); err != nil {
		return err
	}
	return back(w, r, "/conflicts")
}
