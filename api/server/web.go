package server

import (
	"compress/gzip"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
	"satchel/storage"
)

// The pages for browsers; package web is their look. What changes something is a form
// that is posted to /do/… and leads back. Another site's forms are refused by the guard.

// routeWeb adds the pages. They are no API and not in its description.
func (s *server) routeWeb(mux *http.ServeMux) {
	mux.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := web.ServeAsset(w, r, r.PathValue("name")); err != nil {
			s.pgrstError(w, r, err)
		}
	})
	s.routeLinks(mux)
	mux.HandleFunc("GET /signup", s.webSignup)
	mux.HandleFunc("POST /signup", s.webSignup)
	mux.HandleFunc("POST /signin", s.webSignin)
	mux.HandleFunc("POST /signout", s.webSignout)
	s.routeWebAdmin(mux)
	mux.HandleFunc("GET /device", s.webDevice)
	mux.HandleFunc("GET /oidc/begin", s.webOIDCBegin)
	mux.HandleFunc("GET /oidc/end", s.webOIDCEnd)
	for pattern, page := range map[string]webPage{
		"GET /browse/{path...}":      s.webFolder,
		"GET /file/{path...}":        s.webFile,
		"GET /open/{path...}":        s.webContent,
		"GET /download/{path...}":    s.webContent,
		"GET /thumb/{path...}":       s.webThumb,
		"POST /do/metadata":          s.webSetMetadata,
		"POST /do/access-key":        s.webAccessKey,
		"POST /do/rotate-key":        s.webRotateKey,
		"POST /do/revoke-key":        s.webRevokeKey,
		"GET /trash":                 s.webTrash,
		"GET /account":               s.webAccount,
		"GET /conflicts":             s.webConflicts,
		"GET /share/{path...}":       s.webShare,
		"GET /shared":                s.webShared,
		"GET /shared/{drive}/{node}": s.webSharedFile,
		"POST /do/link":              s.webLink,
		"POST /do/unlink":            s.webUnlink,
		"POST /do/share":             s.webShareWith,
		"POST /do/unshare":           s.webUnshare,
		"POST /do/bind":              s.webBind,
		"POST /do/resolve":           s.webResolve,
		"POST /do/move-to":           s.webMoveTo,
		"POST /do/delete-these":      s.webDeleteThese,
		"POST /do/zip":               s.webZip,
		"POST /do/device":            s.webAnswerDevice,
		"POST /do/upload":            s.webUpload,
		"POST /do/mkdir":             s.webMkdir,
		"POST /do/move":              s.webMove,
		"POST /do/copy":              s.webCopy,
		"POST /do/delete":            s.webDelete,
		"POST /do/public":            s.webPublic,
		"POST /do/describe":          s.webDescribe,
		"POST /do/restore-version":   s.webRestoreVersion,
		"POST /do/restore":           s.webRestore,
		"POST /do/empty-trash":       s.webEmptyTrash,
		"POST /do/rename-me":         s.webRenameMe,
		"POST /do/password":          s.webPassword,
		"POST /do/app-password":      s.webAppPassword,
		"POST /do/revoke":            s.webRevoke,
	} {
		mux.HandleFunc(pattern, s.signedIn(page))
	}
}

// A webPage answers somebody who is signed in.
type webPage func(w http.ResponseWriter, r *http.Request, id auth.Identity) error

// signedIn lets nobody else in: who is not, or not any more, is led to the start page.
func (s *server) signedIn(page webPage) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := s.identify(r)
		if err == nil {
			r.Body = http.MaxBytesReader(w, r.Body, formLimit(r))
			err = page(w, r, id)
		}
		if err != nil {
			s.webError(w, r, id, err)
		}
	}
}

// formLimit is the largest form in bytes; files have none of their own.
func formLimit(r *http.Request) int64 {
	switch {
	case r.URL.Path == "/do/upload":
		return 1 << 62
	case choosing(r.URL.Path):
		return maxChosenBytes
	}
	return 64 << 10
}

// wantsPage tells a browser from a program.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// webError says what is wrong on a page, or in JSON to a script that does not want one.
func (s *server) webError(w http.ResponseWriter, r *http.Request, id auth.Identity, err error) {
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html") {
		s.pgrstError(w, r, tooLarge(err))
		return
	}
	if api.KindOf(err) == api.Unauthenticated {
		s.dropCookie(w)
		again := "1"
		if errors.Is(err, auth.ErrChanged) {
			again = "password"
		}
		http.Redirect(w, r, "/?again="+again, http.StatusSeeOther)
		return
	}
	f := faultOf(s.log, tooLarge(err))
	for name, values := range f.header {
		w.Header()[name] = values
	}
	title := map[int]string{http.StatusNotFound: "It is not there", http.StatusForbidden: "That is not yours", http.StatusConflict: "That does not fit",
		http.StatusInsufficientStorage: "The drive is full"}[f.status]
	if title == "" {
		title = "That did not work"
	}
	s.render(w, r, f.status, web.Message{Page: pageOf(id, title, ""), Text: sentence(f.message), Back: cameFrom(r, "/")})
}

// sentence is a message as people write it.
func sentence(message string) string {
	first, n := utf8.DecodeRuneInString(message)
	return string(unicode.ToUpper(first)) + message[n:] + "."
}

func (s *server) render(w http.ResponseWriter, r *http.Request, status int, v web.View) {
	b, err := web.Render(v)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", web.Policy)
	// Other sites are told nothing, of a link's token neither. With "no-referrer" browsers would say "Origin: null" with our
	// own forms (https://fetch.spec.whatwg.org/#append-a-request-origin-header), and over plain http nothing else by which sameSite knows them.
	h.Set("Referrer-Policy", "same-origin")
	h.Add("Vary", "Accept-Encoding")
	if len(b) < 2<<10 || !web.TakesGzip(r) {
		w.WriteHeader(status)
		w.Write(b)
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := gzip.NewWriter(w)
	z.Write(b) // what fails is the network, and no one is left to tell
	z.Close()
}

func pageOf(id auth.Identity, title, here string) web.Page {
	p := web.Page{Title: title, Here: here, Admin: id.Role == auth.Admin}
	if !id.User.IsZero() {
		p.UserID, p.User = id.User.String(), id.UserName
		if p.User == "" {
			p.User = id.Email
		}
	}
	return p
}

// unknown leads a browser that asks for a page that is not there to the files; programs get the error.
func (s *server) unknown(w http.ResponseWriter, r *http.Request, err error) {
	if wantsPage(r) && api.KindOf(err) == api.NotFound {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.pgrstError(w, r, err)
}

// hostForm is what a Host header may look like to be shown in a command that
// people paste into a shell.
var hostForm = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$`)

// shownAddress is the server's, as it was reached.
func (s *server) shownAddress(r *http.Request) string {
	switch {
	case s.address != "":
		return s.address
	case !hostForm.MatchString(r.Host):
		return "ADDRESS-OF-THIS-SERVER"
	case s.tls:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// pathURL is the address of a path below a page.
func pathURL(page string, path []api.Name) string {
	parts := make([]string, len(path))
	for i, n := range path {
		parts[i] = url.PathEscape(string(n))
	}
	return page + strings.Join(parts, "/")
}

func browseURL(path []api.Name) string { return pathURL("/browse/", path) }

// fileURL is the page of a file.
func fileURL(path []api.Name) string { return pathURL("/file/", path) }

// publicURL is where everybody can read a public file.
func (s *server) publicURL(r *http.Request, owner api.ID, path []api.Name) string {
	dir, name := path[:len(path)-1], path[len(path)-1]
	q := url.Values{"p_bucket_path": {strings.TrimSuffix(owner.String()+"/"+api.JoinPath(dir), "/")}, "p_file_name": {string(name)}}
	return s.shownAddress(r) + "/rpc/get_file?" + q.Encode()
}

// crumbs are the directories on the way to a path.
func crumbs(path []api.Name) []web.Crumb {
	all := []web.Crumb{{Name: "Files", URL: "/browse/"}}
	for i, n := range path {
		all = append(all, web.Crumb{Name: n.Escape(), URL: browseURL(path[:i+1])})
	}
	all[len(all)-1].URL = ""
	return all
}

// webPath reads the path in a page's address, or in a form's field, where it is as [webText] writes it.
func webPath(text string) ([]api.Name, error) { return api.ParsePath(string(api.Unescape(text))) }

// webText is a path as text for pages and forms.
func webText(path []api.Name) string { return api.Name(api.JoinPath(path)).Escape() }

// webHome is the drive of who is signed in. An admin has none.
func (s *server) webHome(r *http.Request, id auth.Identity) (*storage.Drive, error) {
	return s.drives.Home(r.Context(), caller(id))
}

// formPath is the caller's drive and a path that a form names; the root is not one.
func (s *server) formPath(r *http.Request, id auth.Identity, field string) (*storage.Drive, []api.Name, error) {
	d, err := s.webHome(r, id)
	if err != nil {
		return nil, nil, err
	}
	path, err := webPath(r.PostFormValue(field))
	if err == nil && len(path) == 0 {
		err = api.Errorf(api.Invalid, "say which file or folder")
	}
	return d, path, err
}

// upOf is the directory of a path.
func upOf(path []api.Name) []api.Name { return slices.Clip(path[:max(len(path)-1, 0)]) }

// cameFrom is the page of ours that led to a request, or another one: what answers a form is none to come back to.
func cameFrom(r *http.Request, otherwise string) string {
	from, err := url.Parse(r.Referer())
	switch {
	case err != nil, from.Host != r.Host, strings.HasPrefix(from.Path, "//"): // which would be another site's
		return otherwise
	case from.Path == r.URL.Path, from.Path == "/signin", strings.HasPrefix(from.Path, "/do/"):
		return otherwise
	}
	return from.RequestURI()
}

func back(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}
