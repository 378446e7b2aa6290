package dav

import (
	"errors"
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
var errLocked = api.Errorf(api.Conflict, "it is locked by another program")

func (q *request) loadLocks() ([]storage.DAVLock, error) {
	if !q.known {
		locks, err := q.drive.DAVLocks(q.ctx, q.told)
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

// hindered is the error if a lock stands in the way of what the request changes.
func (q *request) hindered(claims []claim) error {
	locks, err := q.loadLocks()
	if err != nil {
		return err
	}
	return hindered(locks, claims, q.submitted())
}

// hindered is the error if one of the locks stands in the way whose token is not known.
func hindered(locks []storage.DAVLock, claims []claim, tokens map[api.ID]bool) error {
	if len(locks) == 0 {
		return nil
	}
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
				return errLocked
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
	q.refuse(err, 0)
	if errors.Is(err, errLocked) {
		return webdav.ErrLocked
	}
	return err
}

// Confirm is part of [webdav.LockSystem]: it decides one list of an If header.
// If one list holds, the request must also know the tokens of the locks in its way.
func (q *request) Confirm(_ time.Time, name, other string, conditions ...webdav.Condition) (func(), error) {
	if name == "" {
		name = q.path
	}
	if !strings.HasPrefix(name, "/") { // of a neighbour, such as /dav2
		return nil, webdav.ErrConfirmationFailed
	}
	l := &list{of: q.find(name, true), conditions: conditions}
	l.paths = []string{l.of.lockPath()}
	if other != "" {
		l.paths = append(l.paths, q.find(other, true).lockPath())
	}
	locks, err := q.loadLocks()
	if err != nil {
		return nil, err
	}
	if !l.holds(locks, l.of.Node) {
		return nil, webdav.ErrConfirmationFailed
	}
	if err := q.hindered(q.claims()); err != nil {
		return nil, q.lockError(err)
	}
	q.list, l.locks = l, locks
	return func() {}, nil
}
