package dav

import (
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/webdav"

	"satchel/api"
	"satchel/storage"
)

// errLocked is what hinders a request that does not know the lock's token.
func errLocked() error {
	return api.Errorf(api.Conflict, "it is locked by another program")
}

func (q *request) loadLocks() ([]storage.DAVLock, error) {
	if !q.known {
		locks, err := q.drive.DAVLocks(q.ctx)
		if err != nil {
			q.refuse(err, 0)
			return nil, err
		}
		q.locks, q.known = locks, true
	}
	return q.locks, nil
}

// below tells whether path is in the directory dir, however deep.
func below(path, dir string) bool {
	return path != dir && (dir == "" || strings.HasPrefix(path, dir+"/"))
}

// covering is the locks that hold for a path: its own, and deep ones above it.
func covering(locks []storage.DAVLock, path string) (over []storage.DAVLock) {
	for _, l := range locks {
		if l.Path == path || l.Deep && below(path, l.Path) {
			over = append(over, l)
		}
	}
	return over
}

// Where a request changes what, for the locks that it must know the token of.
type claim struct {
	path   string
	member bool // it adds or removes the name: the directory's own locks count too
	tree   bool // it removes or replaces all that is below
}

// claims is what the request changes (RFC 4918 section 7).
func (q *request) claims() []claim {
	at := func(name string, follow bool) (c claim) {
		f := q.find(name, follow)
		return claim{path: f.lockPath(), member: f.Node == nil}
	}
	switch q.method {
	case http.MethodDelete:
		c := at(q.path, false)
		return []claim{{c.path, true, true}}
	case "MOVE":
		from, to := at(q.path, false), at(q.destination(), false)
		return []claim{{from.path, true, true}, {to.path, true, true}}
	case "COPY":
		to := at(q.destination(), false)
		return []claim{{to.path, to.member, true}}
	}
	return []claim{at(q.path, true)}
}

// destination is the path of the Destination header; "" if that is not ours.
func (q *request) destination() string {
	u, err := url.Parse(q.r.Header.Get("Destination"))
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, q.Prefix)
}

// hindered is the error if a lock stands in the way whose token the request
// does not bring.
func (q *request) hindered(claims []claim) error {
	locks, err := q.loadLocks()
	if err != nil || len(locks) == 0 {
		return err
	}
	tokens := q.submitted()
	for _, c := range claims {
		groups := [][]storage.DAVLock{covering(locks, c.path)}
		if c.member && c.path != "" {
			parent := strings.TrimSuffix(path.Dir(c.path), ".")
			groups = append(groups, covering(locks, parent))
		}
		if c.tree {
			under := map[string][]storage.DAVLock{}
			for _, l := range locks {
				if below(l.Path, c.path) {
					under[l.Path] = append(under[l.Path], l)
				}
			}
			for _, group := range under {
				groups = append(groups, group)
			}
		}
		for _, group := range groups { // of shared locks one token is enough
			ok := len(group) == 0
			for _, l := range group {
				ok = ok || tokens[l.Token]
			}
			if !ok {
				return errLocked()
			}
		}
	}
	return nil
}

var (
	ifList  = regexp.MustCompile(`\(([^)]*)\)`)
	ifToken = regexp.MustCompile(`<([^>]*)>`)
)

// submitted is the tokens in the If header, whatever it says about them.
func (q *request) submitted() map[api.ID]bool {
	tokens := map[api.ID]bool{}
	for _, list := range ifList.FindAllStringSubmatch(q.r.Header.Get("If"), -1) {
		for _, m := range ifToken.FindAllStringSubmatch(list[1], -1) {
			if id, ok := parseToken(m[1]); ok {
				tokens[id] = true
			}
		}
	}
	return tokens
}

// tokenScheme is that of lock tokens (RFC 4918 appendix C).
const tokenScheme = "opaquelocktoken:"

func parseToken(s string) (api.ID, bool) {
	s, ok := strings.CutPrefix(s, tokenScheme)
	id, err := api.ParseID(s)
	return id, ok && err == nil
}

// Create is part of [webdav.LockSystem]: x/net locks what a request without an
// If header changes for as long as that takes. The drive's own transactions
// do this; what is left is to see whether somebody else's lock is in the way.
func (q *request) Create(time.Time, webdav.LockDetails) (string, error) {
	if err := q.hindered(q.claims()); err != nil {
		return "", q.lockError(err)
	}
	return "for the request", nil
}

// Unlock is part of [webdav.LockSystem]: it ends what Create began.
func (q *request) Unlock(time.Time, string) error { return nil }

// Refresh is part of [webdav.LockSystem]. LOCK does not come this way.
func (q *request) Refresh(time.Time, string, time.Duration) (webdav.LockDetails, error) {
	return webdav.LockDetails{}, webdav.ErrNoSuchLock
}

func (q *request) lockError(err error) error {
	if api.KindOf(err) == api.Conflict {
		q.refuse(err, webdav.StatusLocked)
		return webdav.ErrLocked
	}
	q.refuse(err, 0)
	return err
}

// Confirm is part of [webdav.LockSystem]: it decides one list of an If header
// (RFC 4918 section 10.4), all of whose conditions must hold for the resource
// that it is about. If one list holds, the request must also know the
// tokens of the locks in its way.
func (q *request) Confirm(_ time.Time, name, other string, conditions ...webdav.Condition) (func(), error) {
	if name == "" {
		name = q.path
	}
	f := q.find(name, true)
	locks, err := q.loadLocks()
	if err != nil {
		return nil, err
	}
	over := covering(locks, f.lockPath())
	if other != "" {
		over = append(over, covering(locks, q.find(other, true).lockPath())...)
	}
	for _, c := range conditions {
		holds := c.ETag != "" && f.Node != nil && f.Node.Type == api.File && c.ETag == etag(f.Node)
		if id, ok := parseToken(c.Token); ok {
			for _, l := range over {
				holds = holds || l.Token == id
			}
		}
		if holds == c.Not {
			return nil, webdav.ErrConfirmationFailed
		}
	}
	if err := q.hindered(q.claims()); err != nil {
		return nil, q.lockError(err)
	}
	return func() {}, nil
}
