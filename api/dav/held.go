package dav

import (
	"slices"
	"time"

	"golang.org/x/net/webdav"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
)

// list is one of an If header (RFC 4918 section 10.4), all of whose conditions must hold for what it is about.
type list struct {
	of         found
	paths      []string // on which, or above which, its locks may be
	conditions []webdav.Condition
	locks      []storage.DAVLock // when it was judged first
}

// lapsed is the locks whose time ran out since the list was judged first: a client that sends for longer can't renew them
// meanwhile. They are good as long as what the list is about, now n, is as it was.
func (l *list) lapsed(n *api.Node) (over []storage.DAVLock) {
	was := l.of.Node
	if (was == nil) != (n == nil) || n != nil && (n.ID != was.ID || n.Version != was.Version) {
		return nil
	}
	for _, lock := range l.locks {
		if time.Now().After(lock.Expires) {
			over = append(over, lock)
		}
	}
	return over
}

// holds judges the list by the locks that there are, and by the node that it is about.
func (l *list) holds(locks []storage.DAVLock, n *api.Node) bool {
	for _, c := range l.conditions {
		holds := c.ETag != "" && n != nil && n.Type == api.File && c.ETag == etag(n)
		if id, ok := parseToken(c.Token); ok {
			for _, path := range l.paths {
				for _, lock := range covering(locks, path) {
					holds = holds || lock.Token == id
				}
			}
		}
		if holds == c.Not {
			return false
		}
	}
	return true
}

// held is a drive for the request's change: whatever came meanwhile, such as while a body was sent, the change is made
// only if the request's preconditions, the list of its If header that held, and the locks still let it. A removal in steps is
// held to the locks alone once it is begun: the rest is about what it changes.
func (q *request) held(d *storage.Drive) *storage.Drive {
	// All is looked up now: the condition is asked while another request of the drive may be at work.
	list, claims, tokens, conditions := q.list, q.claims(), q.submitted(), q.preconditions()
	var of found
	if !conditions.None() {
		of = q.find(q.path, true)
	}
	return d.If(q.drive, func(now storage.Moment) error {
		node := func(f found) (*api.Node, error) {
			if !f.Drive.Same(d) || len(f.Real) == 0 {
				return f.Node, nil
			}
			return now.Node(f.Real)
		}
		if err := hindered(now.Locks, claims, tokens); err != nil {
			return err
		}
		if now.Begun {
			return nil
		}
		if list != nil {
			n, err := node(list.of)
			if err != nil {
				return err
			}
			if !list.holds(slices.Concat(now.Locks, list.lapsed(n)), n) {
				return api.Errorf(api.Conflict, "what the If header says is true no more")
			}
		}
		if conditions.None() {
			return nil
		}
		n, err := node(of)
		if err != nil {
			return err
		}
		return conditions.Hold(present(n))
	})
}

// preconditions are those of RFC 9110 section 13.1.
func (q *request) preconditions() serve.Conditions { return serve.ConditionsOf(q.r.Header) }

// beforeChange holds the request to its preconditions as far as is known. That nothing is there to be changed is for x/net
// to say.
func (q *request) beforeChange() error {
	conditions := q.preconditions()
	if conditions.None() {
		return nil
	}
	if n := q.find(q.path, true).Node; n != nil {
		return conditions.Hold(present(n))
	}
	return nil
}

// present is a node as preconditions see it.
func present(n *api.Node) *serve.Present {
	if n == nil {
		return nil
	}
	p := &serve.Present{Modified: info{node: n}.ModTime()}
	if n.Type == api.File {
		p.ETag = etag(n)
	}
	return p
}
