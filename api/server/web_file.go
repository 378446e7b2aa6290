package server

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
	"satchel/storage"
)

// textPreview is how much of a text is shown, bytes.
const textPreview = 256 << 10

// webFile is the page of a file, or of a version of it: what it is, its preview and its history.
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
	version, err := versionOf(r)
	if err != nil {
		return err
	}
	content, err := here.Content(r.Context(), n.ID, version)
	if err != nil {
		return err
	}
	name := path[len(path)-1].Escape()
	mediaType, err := contentType(r, name, content)
	if err != nil {
		return err
	}
	v := web.File{
		Page: pageOf(id, name, "files"), Crumbs: crumbs(path), Name: name, Path: webText(path), Icon: line(&n, path).Icon, Own: here.Same(d),
		Size: content.Size, Modified: time.Unix(0, n.Mtime), Type: mediaType, SHA256: content.SHA256, Preview: preview(mediaType, content.Size),
		Open: pathURL("/open/", path), Download: pathURL("/download/", path), Share: pathURL("/share/", path), Public: about.Public, Link: s.publicURL(r, here.Owner(), rest),
	}
	if content.Version != n.Version {
		query := "?" + url.Values{"version": {content.Version.String()}}.Encode()
		v.Past, v.Modified, v.Open, v.Download = content.Version.String(), content.Modified, v.Open+query, v.Download+query
	}
	if v.Preview, v.Text, v.Cut, err = asText(r, v.Preview, content); err != nil {
		return err
	}
	if storage.IsConflict(path[len(path)-1]) {
		v.Conflict = storage.ConflictDevice(path[len(path)-1])
	}
	if v.Own {
		if err := s.history(r, id, d, path, n, about, &v); err != nil {
			return err
		}
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

// history is what only a file's owner sees.
func (s *server) history(r *http.Request, id auth.Identity, d *storage.Drive, path []api.Name, n api.Node, about storage.About, v *web.File) error {
	rows, err := d.Files(r.Context(), storage.FileQuery{Filters: []storage.Filter{{Column: "id", Op: "eq", Values: []string{n.Document.String()}}}, Limit: 1})
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		v.Description = rows[0].Description
	}
	v.Metadata = pairs(about.Metadata)
	if v.Seen, err = s.seenWords(r, id, d, path); err != nil {
		return err
	}
	versions, err := d.Versions(r.Context(), n.Document)
	if err != nil {
		return err
	}
	for _, x := range versions {
		v.Versions = append(v.Versions, web.Version{ID: x.ID, Time: x.Time, Size: x.Size, Device: auth.BrowserName(x.DeviceName), Current: x.Current, Shown: x.ID.String() == v.Past,
			Open: pathURL("/download/", path) + "?" + url.Values{"version": {x.ID.String()}}.Encode()})
	}
	return nil
}

// asText has a text for a preview where the content is one and nothing better shows it.
func asText(r *http.Request, kind string, content *storage.Content) (preview, text string, cut bool, err error) {
	if kind != "text" && kind != "" {
		return kind, "", false, nil
	}
	text, cut, err = textOf(r, content)
	return "", text, cut, err
}

// textOf is the beginning of content if that is text.
func textOf(r *http.Request, content *storage.Content) (text string, cut bool, err error) {
	body, err := content.Open(r.Context(), 0, textPreview)
	if err != nil {
		return "", false, err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		return "", false, err
	}
	if cut = int64(len(b)) < content.Size; cut {
		for n := 0; n < utf8.UTFMax-1 && len(b) > 0 && !utf8.Valid(b); n++ {
			b = b[:len(b)-1] // a rune was cut
		}
	}
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return "", false, nil
	}
	return string(b), cut, nil
}

// versionOf is the version that a request names, or zero.
func versionOf(r *http.Request) (version api.ID, err error) {
	if text := r.URL.Query().Get("version"); text != "" {
		version, err = api.ParseID(text)
	}
	return version, err
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
	case t == "image/heic", t == "image/tiff": // which most browsers do not show
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
	switch {
	case err != nil || n.Type == api.File:
	case n.Type == api.Directory:
		err = api.Errorf(api.IsDirectory, "this is not a file")
	default:
		err = api.Errorf(api.Invalid, "this is a link or a special file, which only a mounted drive can open")
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
	version, err := versionOf(r)
	if err != nil {
		return err
	}
	here, _, err := d.Through(r.Context(), path)
	if err != nil {
		return err
	}
	content, err := here.Content(r.Context(), n.ID, version)
	if err != nil {
		return err
	}
	return s.sendFile(w, r, content, string(path[len(path)-1]), strings.HasPrefix(r.URL.Path, "/download/"))
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
		v.Items = append(v.Items, web.Trashed{Node: t.Node, Path: t.Path.Escape(), Folder: t.Type == api.Directory, Size: t.Size, Deleted: t.Deleted, Device: auth.BrowserName(t.DeviceName)})
	}
	if page.More {
		v.More = "?before=" + strconv.FormatInt(page.Items[len(page.Items)-1].Seq, 10)
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}
