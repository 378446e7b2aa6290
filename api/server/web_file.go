package server

import (
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
	"satchel/storage"
)

// textPreview is the largest text that is shown, bytes.
const textPreview = 1 << 20

// webFile is the page of a file: what it is, its preview and its versions.
func (s *server) webFile(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, n, err := s.fileAt(r, id)
	if err != nil {
		if api.KindOf(err) == api.IsDirectory {
			return back(w, r, browseURL(path))
		}
		return err
	}
	here, rest, err := d.Through(r.Context(), path)
	if err != nil {
		return err
	}
	about, err := here.About(r.Context(), rest)
	if err != nil {
		return err
	}
	content, err := here.Content(r.Context(), n.ID, api.ID{})
	if err != nil {
		return err
	}
	name := path[len(path)-1].Escape()
	mediaType, err := contentType(r, name, content)
	if err != nil {
		return err
	}
	v := web.File{
		Page: pageOf(id, name, "files"), Crumbs: crumbs(path), Name: name, Path: webText(path), Up: browseURL(upOf(path)), ID: n.Document,
		Size: n.Size, Modified: time.Unix(0, n.Mtime), Type: mediaType, SHA256: n.SHA256, Preview: preview(mediaType, n.Size),
		Open: pathURL("/open/", path), Download: pathURL("/download/", path), Public: about.Public, Link: s.publicURL(r, here.Owner(), rest),
	}
	if here.Same(d) {
		rows, err := d.Files(r.Context(), storage.FileQuery{Filters: []storage.Filter{{Column: "id", Op: "eq", Values: []string{n.Document.String()}}}, Limit: 1})
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			v.Description = rows[0].Description
		}
		versions, err := d.Versions(r.Context(), n.Document)
		if err != nil {
			return err
		}
		for _, x := range versions {
			v.Versions = append(v.Versions, web.Version{ID: x.ID, Time: x.Time, Size: x.Size, Device: x.DeviceName, Current: x.Current,
				Open: v.Download + "?" + url.Values{"version": {x.ID.String()}}.Encode()})
		}
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

// preview says how a page can show content, if at all.
func preview(mediaType string, size int64) string {
	t, _, _ := mime.ParseMediaType(mediaType)
	kind, _, _ := strings.Cut(t, "/")
	switch {
	case size == 0 || !shown(mediaType):
		return ""
	case t == "application/pdf":
		return "pdf"
	case kind == "text" && size > textPreview:
		return ""
	}
	return kind
}

// fileAt is the file that a page's address means. The path is right with [api.IsDirectory], too.
func (s *server) fileAt(r *http.Request, id auth.Identity) (d *storage.Drive, path []api.Name, n api.Node, err error) {
	if path, err = webPath(r.PathValue("path")); err != nil {
		return nil, nil, n, err
	}
	if d, err = s.webHome(r, id); err != nil {
		return nil, nil, n, err
	}
	here, rest, err := d.Through(r.Context(), path)
	if err != nil {
		return nil, nil, n, err
	}
	n, err = here.Lookup(r.Context(), rest)
	if err == nil && n.Type != api.File {
		err = api.Errorf(api.IsDirectory, "this is not a file")
	}
	return d, path, n, err
}

// webContent sends a file, or a version of it: to be shown below /open, to be saved
// below /download.
func (s *server) webContent(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, n, err := s.fileAt(r, id)
	if err != nil {
		return err
	}
	var version api.ID
	if text := r.URL.Query().Get("version"); text != "" {
		if version, err = api.ParseID(text); err != nil {
			return err
		}
	}
	here, _, err := d.Through(r.Context(), path)
	if err != nil {
		return err
	}
	content, err := here.Content(r.Context(), n.ID, version)
	if err != nil {
		return err
	}
	name := string(path[len(path)-1])
	mediaType, err := contentType(r, name, content)
	if err != nil {
		return err
	}
	dressContent(w.Header(), name, mediaType)
	if strings.HasPrefix(r.URL.Path, "/download/") {
		w.Header().Set("Content-Disposition", contentDisposition("attachment", name))
	}
	s.serveContent(w, r, content, s.pgrstError)
	return nil
}

// webTrash lists what was deleted.
func (s *server) webTrash(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	page, err := d.Trash(r.Context(), before, 0)
	if err != nil {
		return err
	}
	v := web.Trash{Page: pageOf(id, "Trash", "trash")}
	for _, t := range page.Items {
		v.Items = append(v.Items, web.Trashed{Node: t.Node, Path: t.Path.Escape(), Folder: t.Type == api.Directory, Size: t.Size, Deleted: t.Deleted, Device: t.DeviceName})
	}
	if page.More {
		v.More = "?before=" + strconv.FormatInt(page.Items[len(page.Items)-1].Seq, 10)
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}
