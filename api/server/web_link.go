package server

import (
	"archive/zip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
	"satchel/storage"
)

// Links for people without an account: /s/TOKEN/path. What the token opens is the database's
// to say; its password, if it has one, is asked for here.

// routeLinks adds them.
func (s *server) routeLinks(mux *http.ServeMux) {
	mux.HandleFunc("GET /s/{token}", func(w http.ResponseWriter, r *http.Request) {
		if wantsPage(r) {
			w.Header().Add("Vary", "Accept")
			toLinkRoot(w, r)
			return
		}
		s.byLink(s.linkPage)(w, r) // a program gets the file, or the folder's archive, and need not follow
	})
	mux.HandleFunc("GET /s/{token}/{path...}", s.byLink(s.linkPage))
	mux.HandleFunc("POST /s/{token}/{path...}", s.byLink(s.linkPassword))
}

// toLinkRoot sends a request without the slash at the end of a link to where the addresses on the page are relative to.
func toLinkRoot(w http.ResponseWriter, r *http.Request) {
	to := r.URL.EscapedPath() + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

type linkPage func(w http.ResponseWriter, r *http.Request, t storage.LinkTarget) error

func (s *server) byLink(page linkPage) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Robots-Tag", "noindex, nofollow")
		w.Header().Add("Vary", "Accept") // a browser gets a page, a program the file or an error that it can read
		r.Body = http.MaxBytesReader(w, r.Body, formLimit(r))
		t, err := s.drives.ByLink(r.Context(), r.PathValue("token"))
		if err == nil {
			err = page(w, r, t)
		}
		if err != nil {
			s.linkError(w, r, err)
		}
	}
}

// linkError says what is wrong with a link: on a page to a browser, and in a line of text to a program.
func (s *server) linkError(w http.ResponseWriter, r *http.Request, err error) {
	if accept := r.Header.Get("Accept"); r.Method == http.MethodPost || strings.Contains(accept, "text/html") || strings.Contains(accept, "application/json") {
		s.webError(w, r, auth.Identity{}, err)
		return
	}
	f := faultOf(s.log, tooLarge(err))
	for name, values := range f.header {
		w.Header()[name] = values
	}
	tell(w, f.status, f.message)
}

// tell answers a program with a line of text.
func tell(w http.ResponseWriter, status int, message string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", private)
	w.WriteHeader(status)
	io.WriteString(w, message+"\n")
}

// linkCookie keeps the proof that the password was said, for this link only.
const linkCookie = "satchel_link"

func linkView(t storage.LinkTarget) web.ByLink {
	v := web.ByLink{Page: web.Page{Title: "Shared"}, Sharer: t.Sharer, Name: t.Name.Escape()}
	if !api.PlainPersonName(v.Sharer) { // strangers see no address by which they could tell him from another
		v.Sharer = "Somebody"
	}
	if v.Name == "" {
		v.Name = "Files"
	}
	if t.Expires != nil {
		v.Expires = *t.Expires
	}
	return v
}

func (s *server) linkPassword(w http.ResponseWriter, r *http.Request, t storage.LinkTarget) error {
	if t.Password == "" {
		return back(w, r, r.URL.Path)
	}
	err := s.auth.CheckLinkPassword(r.Context(), address(r), t.Link, r.PostFormValue("password"), t.Password)
	if api.KindOf(err) == api.Unauthenticated {
		v := linkView(t)
		v.Ask, v.Alert = true, "This is not the password."
		s.render(w, r, http.StatusUnauthorized, v)
		return nil
	}
	if err != nil {
		return err
	}
	token := r.PathValue("token")
	http.SetCookie(w, &http.Cookie{Name: linkCookie, Value: auth.LinkProof(token, t.Password), Path: "/s/" + token + "/",
		HttpOnly: true, Secure: s.tls, SameSite: http.SameSiteLaxMode})
	return back(w, r, r.URL.EscapedPath())
}

// opened tells whether a request has what a link asks for: its password, as that of HTTP's Basic authentication
// (RFC 7617) with any name, or the proof that it was said on the page. Too many wrong ones are [api.RateLimited].
func (s *server) opened(r *http.Request, t storage.LinkTarget) (bool, error) {
	if t.Password == "" {
		return true, nil
	}
	c, err := r.Cookie(linkCookie)
	if err == nil && auth.SameProof(c.Value, auth.LinkProof(r.PathValue("token"), t.Password)) {
		return true, nil
	}
	_, password, said := r.BasicAuth()
	if !said {
		return false, nil
	}
	err = s.auth.CheckLinkPassword(r.Context(), address(r), t.Link, password, t.Password)
	if api.KindOf(err) == api.Unauthenticated {
		return false, nil
	}
	return err == nil, err
}

// askProgram asks a program for a link's password, which it said wrongly or not at all. Browsers, which would open a
// window of their own, get a page that asks.
func askProgram(w http.ResponseWriter, said bool) {
	w.Header().Set("WWW-Authenticate", `Basic realm="the password of this link, with any name", charset="UTF-8"`)
	message := "this link asks for a password: curl -fOJ -u link LINK"
	if said {
		message = "this is not the password"
	}
	tell(w, http.StatusUnauthorized, message)
}

// linkPage shows, sends or archives what is at a path below a link.
func (s *server) linkPage(w http.ResponseWriter, r *http.Request, t storage.LinkTarget) error {
	v := linkView(t)
	switch open, err := s.opened(r, t); {
	case err != nil:
		return err
	case !open && wantsPage(r):
		v.Ask = true
		s.render(w, r, http.StatusUnauthorized, v)
		return nil
	case !open:
		_, _, said := r.BasicAuth()
		askProgram(w, said)
		return nil
	}
	path, err := webPath(r.PathValue("path"))
	if err != nil {
		return err
	}
	n, err := t.Drive.Lookup(r.Context(), path)
	if err != nil {
		return err
	}
	base := "/s/" + r.PathValue("token") + "/"
	v.Crumbs = []web.Crumb{{Name: v.Name, URL: base}}
	for i, name := range path {
		v.Crumbs = append(v.Crumbs, web.Crumb{Name: name.Escape(), URL: pathURL(base, path[:i+1])})
		v.Name = name.Escape()
	}
	v.Crumbs[len(v.Crumbs)-1].URL = ""
	v.Title = v.Name
	q := r.URL.Query()
	switch n.Type {
	case api.Directory:
		if root := len(path) == 0 && !strings.HasSuffix(r.URL.Path, "/"); root || q.Has("zip") {
			return s.linkZip(w, r, t, n, v.Name, path)
		}
		return s.linkFolder(w, r, t, n, v, base, path)
	case api.File:
		content, err := t.Drive.Content(r.Context(), n.ID, api.ID{})
		if err != nil {
			return err
		}
		if save := q.Has("save") || !wantsPage(r); save || q.Has("open") { // a program that was given the link wants the file
			return s.sendFile(w, r, content, v.Name, save)
		}
		if v.Type, err = contentType(r, v.Name, content); err != nil {
			return err
		}
		v.Size, v.Modified, v.Preview = n.Size, time.Unix(0, n.Mtime), preview(v.Type, n.Size)
		if v.Preview, v.Text, v.Cut, err = asText(r, v.Preview, content); err != nil {
			return err
		}
		v.Open, v.Save = pathURL(base, path)+"?open", pathURL(base, path)+"?save"
		s.render(w, r, http.StatusOK, v)
		return nil
	}
	return api.Errorf(api.NotFound, "there is no such file or folder")
}

func (s *server) linkFolder(w http.ResponseWriter, r *http.Request, t storage.LinkTarget, dir api.Node, v web.ByLink, base string, path []api.Name) error {
	l := &folderList{Share: s.pageShare(r, api.ID{})}
	defer l.Close()
	if err := t.Drive.ReadBrief(r.Context(), dir.ID, l); err != nil {
		return err
	}
	all := l.all
	sortEntries(all, "")
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	from = min(max(from, 0), len(all))
	v.Folder, v.Total, v.Zip = true, len(all), "?zip"
	for _, e := range dress(all[from:min(from+folderPage, len(all))], path) {
		if e.Kind != "" {
			continue // links and devices mean nothing here
		}
		e.Thumb = "" // which are made for people with an account
		for _, page := range []string{"/browse/", "/file/"} {
			if rest, ok := strings.CutPrefix(e.URL, page); ok {
				e.URL = base + rest
			}
		}
		v.Entries = append(v.Entries, e)
	}
	if next := from + folderPage; next < len(all) {
		v.More = "?from=" + strconv.Itoa(next)
	}
	l.Begin()
	s.render(w, r, http.StatusOK, v)
	return nil
}

// linkZip streams a folder: some archives a minute for each link.
func (s *server) linkZip(w http.ResponseWriter, r *http.Request, t storage.LinkTarget, dir api.Node, name string, path []api.Name) error {
	target := vfsTarget{drive: t.Drive, path: path}
	return s.archive(w, r, t.Link, name+".zip", func(z *zip.Writer) error {
		return target.zipDir(r.Context(), z, dir.ID, "")
	})
}
