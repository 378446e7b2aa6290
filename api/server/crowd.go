package server

import (
	"fmt"
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

// places are what all may take of something together, of which each may take a part once half of all are taken. They are safe for
// concurrent use.
type places[K comparable] struct {
	all, each int

	mu    sync.Mutex
	taken int
	by    map[K]int
}

func newPlaces[K comparable](all, each int) *places[K] {
	return &places[K]{all: all, each: each, by: map[K]int{}}
}

// take takes n places, until leave gives them back; false when there are none. Whoever is alone may take any number. One that
// is not known may be everyone, and takes no part.
func (p *places[K]) take(n int, who K, known bool) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken > 0 && (p.taken+n > p.all || known && p.taken+n > p.all/2 && p.by[who]+n > p.each) {
		return nil, false
	}
	p.taken += n
	p.by[who] += n
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.taken -= n
		if p.by[who] -= n; p.by[who] == 0 {
			delete(p.by, who)
		}
	}, true
}

// crowd counts the requests that are under way, by network: one, such as that of somebody who sends bodies byte by byte, leaves
// half to the others. It is safe for concurrent use.
type crowd struct {
	address          func(*http.Request) netip.Addr
	working, waiting *places[netip.Prefix]
}

func newCrowd(l Limits, address func(*http.Request) netip.Addr) *crowd {
	l = l.orDefault()
	return &crowd{address: address, working: newPlaces[netip.Prefix](l.Requests, l.Requests/2), waiting: newPlaces[netip.Prefix](l.Waiting, l.Waiting/2)}
}

func (l Limits) orDefault() Limits {
	if l.Requests <= 0 {
		l.Requests = DefaultRequests
	}
	if l.Waiting <= 0 {
		l.Waiting = DefaultWaiting
	}
	return l
}

// waitingOfOne is how many requests of one user may wait for changes when half of all places are taken. A device has one for each drive that it
// shows, and a page of a folder one.
const waitingOfOne = 200

// newFollowers is the places of those who wait for changes, by user: he may come from many networks.
func newFollowers(l Limits) *places[api.ID] {
	l = l.orDefault()
	return newPlaces[api.ID](l.Waiting, min(waitingOfOne, l.Waiting/2))
}

func errFollowers(most int) error {
	return &api.Error{Kind: api.Unavailable, Message: fmt.Sprintf("many wait for changes, and at most %d requests of an account may then: try again in a moment", most), RetryAfter: api.Soon()}
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
	room, n, at := c.working, weight(r), c.address(r)
	if strings.HasPrefix(r.URL.Path, "/v1/") && strings.HasSuffix(r.URL.Path, "/changes") {
		room, n = c.waiting, 1
	}
	return room.take(n, auth.Network(at), at.IsValid() && !at.IsLoopback())
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
