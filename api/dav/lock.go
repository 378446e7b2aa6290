package dav

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage"
)

// How long a lock lives without being refreshed: what a client asks for, but
// one that died must not hold a file for ever.
const (
	defaultLock = time.Hour
	maxLock     = 24 * time.Hour
)

// lockInfo is the body of a LOCK (RFC 4918 section 14.11).
type lockInfo struct {
	XMLName   xml.Name  `xml:"DAV: lockinfo"`
	Exclusive *struct{} `xml:"DAV: lockscope>exclusive"`
	Shared    *struct{} `xml:"DAV: lockscope>shared"`
	Write     *struct{} `xml:"DAV: locktype>write"`
	Owner     struct {
		Href string `xml:"DAV: href"`
		Text string `xml:",chardata"`
	} `xml:"DAV: owner"`
}

// readLockInfo reads a LOCK's body; io.EOF says that there is none.
func readLockInfo(r io.Reader) (in lockInfo, err error) {
	err = xml.NewDecoder(r).Decode(&in)
	switch {
	case errors.Is(err, io.EOF):
		return in, io.EOF
	case err != nil || in.Write == nil || (in.Exclusive == nil) == (in.Shared == nil):
		return in, api.Errorf(api.Invalid, "the body is no lockinfo of an exclusive or shared write lock")
	}
	return in, nil
}

// holder is who a lock's maker says to be, as XML that stands by itself.
func (i lockInfo) holder() string {
	var b strings.Builder
	text := i.Owner.Text
	if i.Owner.Href != "" {
		b.WriteString(`<D:href>`)
		text = i.Owner.Href
	}
	xml.EscapeText(&b, []byte(strings.TrimSpace(text)))
	if i.Owner.Href != "" {
		b.WriteString(`</D:href>`)
	}
	return b.String()
}

// lock makes a lock, or with no body refreshes one.
func (q *request) lock(w http.ResponseWriter) {
	q.told = true
	lifetime, err := lifetime(q.r.Header.Get("Timeout"))
	if err != nil {
		q.fail(w, err)
		return
	}
	in, err := readLockInfo(http.MaxBytesReader(w, q.r.Body, maxXML))
	if err == io.EOF {
		q.refresh(w, lifetime)
		return
	}
	if err != nil {
		q.fail(w, err)
		return
	}
	depth := q.r.Header.Get("Depth")
	if depth != "" && depth != "0" && depth != "infinity" {
		q.fail(w, api.Errorf(api.Invalid, "a lock's Depth is 0 or infinity"))
		return
	}
	created, l, err := q.addLock(storage.DAVLock{
		Token: api.NewID(), Deep: depth != "0", Shared: in.Shared != nil, Holder: in.holder(), Expires: time.Now().Add(lifetime),
	})
	if err != nil {
		q.fail(w, err)
		return
	}
	w.Header().Set("Lock-Token", "<"+tokenScheme+l.Token.String()+">")
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	q.showLocks(w, status, l)
}

// What the locks of a drive are at most: a request that changes something reads them all, and one that lists tells of those that
// hold for each thing. davfs2 keeps one for each file that it has yet to send, and sends none while more come.
const (
	maxLocks     = 10_000
	maxLockBytes = 2 << 20 // of their paths and owners
	maxLocksOn   = 100     // that hold for one thing
	maxHolder    = 1 << 10 // bytes of an owner
)

// allowed is the error if a drive that has some locks takes no other like l.
func allowed(l storage.DAVLock, locks []storage.DAVLock) error {
	on, bytes := 0, len(l.Path)+len(l.Holder)
	for _, other := range locks {
		bytes += len(other.Path) + len(other.Holder)
		meets := other.Path == l.Path || other.Deep && below(l.Path, other.Path) || l.Deep && below(other.Path, l.Path)
		if meets && !(l.Shared && other.Shared) {
			return errLocked
		}
		if meets { // those that hold for one thing all meet each other
			on++
		}
	}
	switch {
	case len(l.Holder) > maxHolder:
		return api.Errorf(api.TooLarge, "a lock's owner has at most %d bytes", maxHolder)
	case on >= maxLocksOn:
		return api.Errorf(api.Quota, "%d locks hold for this already, which is the most: end one, or wait for one to expire", on)
	case len(locks) >= maxLocks || bytes > maxLockBytes:
		return api.Errorf(api.Quota, "the drive has %d locks already, and room for no more: end one, or wait for one to expire", len(locks))
	}
	return nil
}

// addLock locks the request's path. Where nothing is yet, an empty file comes
// to be (RFC 4918 section 7.3).
func (q *request) addLock(l storage.DAVLock) (created bool, _ storage.DAVLock, err error) {
	f := q.find(q.path, true)
	if f.err != nil {
		return false, l, f.err
	}
	l.Path = f.lockPath()
	if f.Node == nil {
		err := q.hindered([]claim{{path: l.Path, member: true}})
		if err == nil {
			err = allowed(l, q.locks)
		}
		if err != nil {
			q.refuse(err, 0)
			return false, l, err
		}
		check := func(old *api.Node, _ storage.Object) error {
			if old != nil {
				return errLocked // somebody was quicker
			}
			return nil
		}
		if _, _, err := f.Drive.Put(q.ctx, f.Real, strings.NewReader(""), storage.PutOptions{NoParents: true, Check: check}); err != nil {
			q.failed("lock", q.path, err)
			return false, l, err
		}
		created = true
	}
	if err = q.drive.AddDAVLock(q.ctx, l, func(locks []storage.DAVLock) error { return allowed(l, locks) }); err != nil {
		q.refuse(err, 0)
	}
	return created, l, err
}

// refresh lets the lock whose token the If header has live on.
func (q *request) refresh(w http.ResponseWriter, lifetime time.Duration) {
	locks, err := q.loadLocks()
	if err != nil {
		q.fail(w, err)
		return
	}
	f := q.find(q.path, true)
	tokens := q.submitted()
	for _, l := range covering(locks, f.lockPath()) {
		if !tokens[l.Token] {
			continue
		}
		l.Expires = time.Now().Add(lifetime)
		if err := q.drive.RefreshDAVLock(q.ctx, l.Token, l.Expires); err != nil {
			q.fail(w, err)
			return
		}
		q.showLocks(w, http.StatusOK, l)
		return
	}
	q.fail(w, api.Errorf(api.Conflict, "there is no such lock: it has ended, or is on something else"))
}

// unlock ends the lock of the Lock-Token header.
func (q *request) unlock(w http.ResponseWriter) {
	token, ok := parseToken(strings.Trim(q.r.Header.Get("Lock-Token"), "<> "))
	if !ok {
		q.fail(w, api.Errorf(api.Invalid, "the Lock-Token header must be <%sUUID>", tokenScheme))
		return
	}
	locks, err := q.loadLocks()
	if err != nil {
		q.fail(w, err)
		return
	}
	for _, l := range covering(locks, q.find(q.path, true).lockPath()) {
		if l.Token != token {
			continue
		}
		if err := q.drive.RemoveDAVLock(q.ctx, token); err != nil && api.KindOf(err) != api.NotFound {
			q.fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	q.xmlError(w, http.StatusConflict, "lock-token-matches-request-uri")
}

// lifetime reads a Timeout header (RFC 4918 section 10.7).
func lifetime(header string) (time.Duration, error) {
	first, _, _ := strings.Cut(header, ",")
	first = strings.TrimSpace(first)
	if first == "" || strings.EqualFold(first, "Infinite") {
		return defaultLock, nil
	}
	seconds, ok := strings.CutPrefix(first, "Second-")
	n, err := strconv.ParseUint(seconds, 10, 32)
	if !ok || err != nil {
		return 0, api.Errorf(api.Invalid, "the Timeout %q is neither Infinite nor Second-N", header)
	}
	return max(time.Second, min(time.Duration(n)*time.Second, maxLock)), nil
}

func (q *request) showLocks(w http.ResponseWriter, status int, l storage.DAVLock) {
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<D:prop xmlns:D=\"DAV:\"><D:lockdiscovery>%s</D:lockdiscovery></D:prop>\n",
		q.discovery([]storage.DAVLock{l}))
}

// discovery is the value of lockdiscovery (RFC 4918 section 15.8).
func (q *request) discovery(locks []storage.DAVLock) string {
	var b strings.Builder
	for _, l := range locks {
		scope, depth := "exclusive", "0"
		if l.Shared {
			scope = "shared"
		}
		if l.Deep {
			depth = "infinity"
		}
		href := (&url.URL{Path: path.Join(q.Prefix, string(api.Unescape(l.Path)))}).EscapedPath()
		fmt.Fprintf(&b, `<D:activelock xmlns:D="DAV:"><D:locktype><D:write/></D:locktype><D:lockscope><D:%s/></D:lockscope>`+
			`<D:depth>%s</D:depth><D:owner>%s</D:owner><D:timeout>Second-%d</D:timeout>`+
			`<D:locktoken><D:href>%s%s</D:href></D:locktoken><D:lockroot><D:href>%s</D:href></D:lockroot></D:activelock>`,
			scope, depth, l.Holder, max(0, int64(time.Until(l.Expires).Seconds())), tokenScheme, l.Token, href)
	}
	return b.String()
}
