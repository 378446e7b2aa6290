package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
	"satchel/storage"
)

// webShared lists what others share with the caller, and what he shares.
func (s *server) webShared(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	v := web.Shared{Page: pageOf(id, "Shared", "shared")}
	theirs, err := s.theirs(r.Context(), id)
	if err != nil {
		return err
	}
	for _, t := range theirs {
		if t.Ended {
			continue // an empty folder as any other
		}
		row := web.Theirs{Name: t.Name.Escape(), From: api.Person(t.From, ""), Email: t.FromEmail, May: may(t.Permissions), Folder: t.Type == api.Directory, Size: t.Size, Modified: time.Unix(0, t.Mtime), Drive: t.Drive, Node: t.Node}
		if row.From == "" && row.Email == "" {
			row.From = "Somebody"
		}
		if row.Name == "" {
			row.Name = "All files of " + api.Person(t.From, t.FromEmail)
		}
		switch {
		case t.Path != "":
			path, err := api.ParsePath(string(t.Path))
			if err != nil {
				return err
			}
			row.Open = browseURL(path)
		case t.Type == api.File:
			row.Open = fmt.Sprintf("/shared/%s/%s", t.Drive, t.Node)
		case t.Type != api.Directory:
			continue
		}
		v.Theirs = append(v.Theirs, row)
	}
	guests, err := s.guests(r, id, d)
	if err != nil {
		return err
	}
	v.People = slices.DeleteFunc(guests, func(g web.Guest) bool { return g.Principal == api.Anonymous })
	links, err := d.AllLinks(r.Context())
	if err != nil {
		return err
	}
	for _, l := range links {
		v.Links = append(v.Links, s.webLinkOf(r, l))
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

// webSharedFile sends a file that another one shares.
func (s *server) webSharedFile(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	drive, err := api.ParseID(r.PathValue("drive"))
	if err != nil {
		return err
	}
	node, err := api.ParseID(r.PathValue("node"))
	if err != nil {
		return err
	}
	theirs, err := s.drives.SharedWith(r.Context(), caller(id))
	if err != nil {
		return err
	}
	for _, t := range theirs {
		if t.Drive == drive && t.Node == node {
			d, err := s.drives.Drive(r.Context(), caller(id), drive)
			if err != nil {
				return err
			}
			content, err := d.Content(r.Context(), node, api.ID{})
			if err != nil {
				return err
			}
			return s.sendFile(w, r, content, t.Name.Escape(), false)
		}
	}
	return api.Errorf(api.NotFound, "there is no such file, or it is not shared with you any more")
}

// sendFile sends content to a browser, to be shown or to be saved.
func (s *server) sendFile(w http.ResponseWriter, r *http.Request, content *storage.Content, name string, save bool) error {
	mediaType, err := contentType(r, name, content)
	if err != nil {
		return err
	}
	dressContent(w.Header(), name, mediaType)
	if save {
		w.Header().Set("Content-Disposition", contentDisposition("attachment", name))
	}
	s.serveContent(w, r, content, s.pgrstError)
	return nil
}

// webBind puts a folder that another one shares among the caller's own, at its
// name or the next free one.
func (s *server) webBind(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	drive, err := api.ParseID(r.PostFormValue("drive"))
	if err != nil {
		return err
	}
	node, err := api.ParseID(r.PostFormValue("node"))
	if err != nil {
		return err
	}
	path, err := s.drives.BindShared(r.Context(), caller(id), drive, node, nil)
	if err != nil {
		return err
	}
	return back(w, r, browseURL(path))
}

// nameSharers says of folders of the caller's drive whose they are, if they show another's. Their places here are empty, so where no folder is nobody is asked.
func (s *server) nameSharers(ctx context.Context, id auth.Identity, all []web.Entry) error {
	if !slices.ContainsFunc(all, func(e web.Entry) bool { return e.Folder && e.Size == 0 }) {
		return nil
	}
	theirs, err := s.theirs(ctx, id)
	if err != nil {
		return err
	}
	from := map[string]string{}
	for _, t := range theirs {
		if t.Path != "" && !t.Ended {
			from[t.Path.Escape()] = cmp.Or(api.Person(t.From, t.FromEmail), "somebody")
		}
	}
	for i := range all {
		all[i].From = from[all[i].Path]
	}
	return nil
}
