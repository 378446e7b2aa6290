package server

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"satchel/api"
	"satchel/api/auth"
)

// Limits say how much a server takes on at a time. What is beyond is refused at once, with
// 503 and Retry-After, before anything of it is read: so no more piles up, in memory and before the database, than
// the server can work off when whatever held it up is over. Zero is the default.
type Limits struct {
	Requests int // that are worked on; a body that is held in memory, as JSON is, counts as one more for each MiB
	Waiting  int // that wait for changes, which costs little
}

// The defaults of [Limits].
const (
	DefaultRequests = 1000
	DefaultWaiting  = 10_000
)

// crowd counts the requests that are under way. It is safe for concurrent use.
type crowd struct {
	limits  Limits
	address func(*http.Request) netip.Addr

	mu      sync.Mutex
	working int
	waiting int
	from    map[netip.Prefix]int // of those that work, by network
}

func newCrowd(l Limits, address func(*http.Request) netip.Addr) *crowd {
	if l.Requests <= 0 {
		l.Requests = DefaultRequests
	}
	if l.Waiting <= 0 {
		l.Waiting = DefaultWaiting
	}
	return &crowd{limits: l, address: address, from: map[netip.Prefix]int{}}
}

// admit lets requests through to next for as long as there is room.
func (c *crowd) admit(next http.Handler, refuse failure) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" { // tells how the server is, above all then
			next.ServeHTTP(w, r)
			return
		}
		leave, ok := c.enter(r)
		if !ok {
			refuse(w, r, &api.Error{Kind: api.Unavailable, Message: "the server has more to do than it can: try again in a moment", RetryAfter: api.Soon()})
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}

// enter takes the room that a request needs, until leave gives it back; false when there is none.
func (c *crowd) enter(r *http.Request) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/v1/") && strings.HasSuffix(r.URL.Path, "/changes") {
		if c.waiting >= c.limits.Waiting {
			return nil, false
		}
		c.waiting++
		return func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.waiting--
		}, true
	}
	n, at := weight(r), c.address(r)
	from := auth.Network(at)
	// One network, such as that of somebody who sends bodies byte by byte, leaves half to the others. One that nobody knows
	// may be everyone's.
	if c.working > 0 && (c.working+n > c.limits.Requests || at.IsValid() && !at.IsLoopback() && c.from[from]+n > c.limits.Requests/2) {
		return nil, false
	}
	c.working += n
	c.from[from] += n
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.working -= n
		if c.from[from] -= n; c.from[from] == 0 {
			delete(c.from, from)
		}
	}, true
}

// weight is how much room a request needs.
func weight(r *http.Request) int {
	if !held(r) {
		return 1
	}
	if r.ContentLength < 0 { // it does not say
		return 1 + maxJSON>>20
	}
	return 1 + int(min(r.ContentLength, maxJSON)>>20)
}

// held tells whether a request's body is held in memory. Where it is by its path, its type says nothing: what has none, or
// another one, is read as JSON there.
func held(r *http.Request) bool {
	path := r.URL.Path
	return strings.HasPrefix(path, "/v1/") && !strings.HasSuffix(path, "/packs") || strings.HasPrefix(path, "/api/vfs/acl/") || choosing(path) ||
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/json")
}
