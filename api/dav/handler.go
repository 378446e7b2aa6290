package dav

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/net/webdav"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
)

// Fault is an error as a client may see it.
type Fault struct {
	Status  int
	Message string
	Header  http.Header
}

// Handler serves WebDAV below Prefix. It is safe for concurrent use.
type Handler struct {
	Prefix   string // such as /dav
	Drives   *storage.Service
	Identify func(*http.Request) (storage.Caller, error)
	Fault    func(error) Fault // classifies and logs
	Room     *serve.Room       // of lists
}

// maxXML is the largest body that is not a file's content, in bytes.
const maxXML = 1 << 20

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{Handler: h, ctx: r.Context(), r: r, method: r.Method, share: serve.Share{Room: h.Room}}
	defer q.share.Close()
	q.fold = !tellsCase(r.UserAgent())
	q.path = strings.TrimPrefix(r.URL.Path, h.Prefix)
	var err error
	if q.caller, err = h.Identify(r); err == nil {
		q.share.Owner = q.caller.User.String()
		err = q.begin()
	}
	if err != nil {
		if api.KindOf(err) == api.Unauthenticated {
			w.Header().Set("WWW-Authenticate", `Basic realm="Satchel", charset="UTF-8"`)
		}
		q.fail(w, err)
		return
	}
	q.serve(w)
}

// begin finds the caller's home drive, and in the same question what the request's path leads to.
func (q *request) begin() (err error) {
	if _, err := api.ParsePath(q.path); err == nil {
		f := q.find(q.path, q.method != http.MethodDelete && q.method != "MOVE")
		if q.drive = f.Home; q.drive == nil {
			return f.err
		}
		return nil
	}
	if _, homeless := q.Drives.Home(q.ctx, q.caller); homeless != nil {
		return homeless
	}
	_, err = api.ParsePath(q.path)
	return err
}

// tellsCase is whether a program is known to keep names apart that differ in
// case or Unicode form, as its users' file systems do. For such a program a
// name that is not there is not there; the others get the unique match.
func tellsCase(agent string) bool {
	agent = strings.ToLower(agent)
	for _, name := range []string{"davfs2", "rclone", "cadaver", "litmus", "gvfs", "kio"} {
		if strings.Contains(agent, name) {
			return true
		}
	}
	return false
}

func (q *request) serve(w http.ResponseWriter) {
	switch q.method {
	case http.MethodGet, http.MethodHead:
		q.get(w)
		return
	case "LOCK":
		q.lock(w)
		return
	case "UNLOCK":
		q.unlock(w)
		return
	case http.MethodPut:
		if err := q.beforePut(); err != nil {
			q.fail(w, err)
			return
		}
	case "PROPFIND":
		if !q.beforePropfind(w) {
			return
		}
	case "PROPPATCH", "MKCOL", "DELETE", "OPTIONS":
		q.r.Body = http.MaxBytesReader(w, q.r.Body, maxXML)
		if q.method == "PROPPATCH" || q.method == http.MethodDelete {
			if err := q.beforeChange(); err != nil {
				q.fail(w, err)
				return
			}
		}
	case "MOVE", "COPY":
		// RFC 4918 section 10.6: T is what is meant when nothing is said, where x/net takes F for MOVE, and case is nothing.
		q.r.Header.Set("Overwrite", strings.ToUpper(cmp.Or(q.r.Header.Get("Overwrite"), "T")))
		if err := q.beforeCopy(); err != nil {
			q.fail(w, err)
			return
		}
	default:
		w.Header().Set("Allow", "OPTIONS, GET, HEAD, PUT, DELETE, MKCOL, COPY, MOVE, PROPFIND, PROPPATCH, LOCK, UNLOCK")
		q.refuse(api.Errorf(api.Invalid, "%s is not allowed here", q.method), http.StatusMethodNotAllowed)
		q.fail(w, q.err)
		return
	}
	dav := webdav.Handler{Prefix: q.Prefix, FileSystem: q, LockSystem: q}
	dav.ServeHTTP(&answer{ResponseWriter: w, q: q}, q.r)
	if q.removed != nil { // locks end with what they were on, and do not move (RFC 4918 section 7.6)
		if err := q.drive.RemoveDAVLocks(q.ctx, q.removed); err != nil {
			q.Fault(err) // logs it; they expire
		}
	}
}

// maxInfinite is the most entries below a directory that one PROPFIND lists all
// the way down: of its drive, and over no symlink, which could lead round and round.
const maxInfinite = 10_000

// maxAsked is how many properties a PROPFIND names at most: each is answered for each entry.
const maxAsked = 1000

// beforePropfind answers what must not be walked: a directory that a guest may not list, which x/net would show as an empty
// one, and more than a reasonable tree with Depth: infinity (RFC 4918 section 9.1, propfind-finite-depth).
func (q *request) beforePropfind(w http.ResponseWriter) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.r.Body, maxXML))
	if err != nil {
		q.fail(w, api.Errorf(api.TooLarge, "the body is larger than %d bytes", maxXML))
		return false
	}
	switch asked, ok := names(body); {
	case !ok:
		q.fail(w, api.Errorf(api.Invalid, "the body is no XML with namespaces"))
		return false
	case asked > maxAsked:
		q.fail(w, api.Errorf(api.TooLarge, "a PROPFIND asks for at most %d properties", maxAsked))
		return false
	}
	q.r.Body = io.NopCloser(bytes.NewReader(body))
	// They cost a query, so they are told when asked for by name (RFC 4331 section 2).
	q.quota = bytes.Contains(body, []byte("quota-")) || bytes.Contains(body, []byte("propname"))
	// Locks are told by the names that ask for them, and when nothing says what is asked for (RFC 4918 section 9.1).
	q.told = len(body) == 0 || bytes.Contains(body, []byte("lockdiscovery")) || bytes.Contains(body, []byte("allprop"))
	depth := q.r.Header.Get("Depth")
	if depth == "0" {
		return true
	}
	f := q.find(q.path, true)
	if f.err != nil || f.Node == nil || f.Node.Type != api.Directory {
		return true // x/net says what is wrong
	}
	if err := f.Drive.MayList(q.ctx, f.Node.ID); err != nil {
		q.fail(w, err)
		return false
	}
	if depth == "" || depth == "infinity" {
		q.deep, q.leaves = true, map[string]bool{}
		u, err := f.Drive.Usage(q.ctx, f.Node.ID)
		if err != nil {
			q.fail(w, err)
			return false
		}
		if u.Files+u.Directories > maxInfinite {
			q.xmlError(w, http.StatusForbidden, "propfind-finite-depth")
			return false
		}
	}
	// The list that is asked for is read before x/net sends what it is of: then it can still be refused.
	top := file{q: q, name: q.path, info: info{node: f.Node}}
	if q.top, _ = top.list(); q.err != nil { // what is gone meanwhile is no reason to refuse it
		q.fail(w, q.err)
		return false
	}
	return true
}

// names counts the properties that a PROPFIND names: the elements of its prop or include. It tells whether the XML declares
// its namespaces rightly, too, which encoding/xml does not ask for: a prefix can't be bound to nothing (XML Names 1.0, section 2.2).
func names(body []byte) (n int, ok bool) {
	depth := 0
	for d := xml.NewDecoder(bytes.NewReader(body)); ; {
		token, err := d.Token()
		if err != nil {
			return n, err == io.EOF
		}
		switch token := token.(type) {
		case xml.StartElement:
			for _, a := range token.Attr {
				if a.Name.Space == "xmlns" && a.Value == "" {
					return n, false
				}
			}
			if depth++; depth == 3 {
				n++
			}
		case xml.EndElement:
			depth--
		}
	}
}

// xmlError answers with a precondition that failed (RFC 4918 section 16).
func (q *request) xmlError(w http.ResponseWriter, status int, condition string) {
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<D:error xmlns:D=\"DAV:\"><D:%s/></D:error>\n", condition)
}

// fail answers with an error.
func (q *request) fail(w http.ResponseWriter, err error) {
	f := q.Fault(err)
	if q.status != 0 {
		f.Status = q.status
	}
	h := w.Header()
	for name, values := range f.Header {
		if h.Get(name) == "" {
			h[name] = values
		}
	}
	h.Del("Content-Length")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(f.Status)
	fmt.Fprintln(w, f.Message)
}

// answer gives x/net's refusals the reason that a request has noted, and its
// successes the status that they should have.
type answer struct {
	http.ResponseWriter
	q        *request
	sent     bool
	replaced bool
}

func (a *answer) WriteHeader(status int) {
	if a.sent && status >= 400 { // a list that can't be completed shall not look whole
		panic(http.ErrAbortHandler)
	}
	a.sent = true
	switch {
	case status >= 400 && a.q.err != nil:
		a.replaced = true
		a.q.fail(a.ResponseWriter, a.q.err)
	case status == http.StatusCreated && a.q.method == http.MethodPut && !a.q.created:
		a.replaced = true
		a.ResponseWriter.WriteHeader(http.StatusNoContent)
	default:
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *answer) Write(p []byte) (int, error) {
	if a.replaced {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

// request is one HTTP request on the caller's drive: x/net's file system and
// lock system for as long as it takes. It is used by one goroutine.
type request struct {
	*Handler
	ctx    context.Context
	r      *http.Request
	caller storage.Caller
	drive  *storage.Drive // his home
	method string
	path   string // the request's, below Prefix
	fold   bool

	cache map[string]found              // what paths led to; gone after a change
	props map[api.ID][]storage.Property // dead ones, of some nodes
	said  map[api.ID]int64              // bytes of the dead properties of nodes that were listed
	after map[api.ID][]api.ID           // the nodes that have any, after each of them in its list
	locks []storage.DAVLock
	known bool // locks are loaded
	told  bool // locks are loaded with their holders, to be told
	quota bool // quota properties are asked for
	deep  bool // all the way down is asked for

	share  serve.Share     // of the room for lists, until they are sent
	top    []os.FileInfo   // the list of the request's path until it is asked for; nil: it is not read
	leaves map[string]bool // paths of directories that are not listed with Depth: infinity

	list    *list      // of the If header that held; nil: there is none
	created bool       // PUT made a new file
	removed []api.Name // DELETE and MOVE: what is there no more

	err    error // why the request is refused
	status int   // what err is answered with; 0: what its kind says
}

// refuse notes why the request fails; the first reason counts.
func (q *request) refuse(err error, status int) {
	if q.err != nil {
		return
	}
	if errors.Is(err, errLocked) {
		status = webdav.StatusLocked
	}
	q.err, q.status = err, status
}
