package auth

import (
	"container/list"
	"context"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"satchel/api"
)

// How many wrong passwords in a row are let through, and how soon one more is: a hundred in an
// account's first hour (OWASP ASVS 4.0.3, 2.2.1).
const (
	accountBurst  = 10
	accountPause  = 40 * time.Second
	addressBurst  = 30
	addressPause  = 2 * time.Second
	throttleKeys  = 10_000 // of each; the longest unused are forgotten first
	waitingLogins = 64
	waitingShare  = 16 // of them, for one network
)

// throttle slows down guessing. Only wrong passwords count, per account and
// per address (IPv6: per /64, which one person has).
//
// Who attacks from many addresses could so keep an account's owner out, or fill
// the queue. So an account that logged in from a network before has limits of its own
// there, and its own place to work: whatever strangers do, nothing of it comes before.
type throttle struct {
	accounts  *limiters[string]
	addresses *limiters[netip.Prefix]
	regulars  *limiters[regular]

	strangers lane
	known     lane // regulars, and those who are signed in

	mu        sync.Mutex
	byNetwork map[netip.Prefix]int // strangers that wait or work
}

// regular is an account at a network from which it has logged in.
type regular struct {
	account string
	network netip.Prefix
}

// lane is logins of one kind: those that wait or work, and those that work. Each of
// these takes a processor and 64 MiB.
type lane struct{ waiting, working chan struct{} }

func newThrottle() *throttle {
	return &throttle{
		accounts:  newLimiters[string](accountPause, accountBurst),
		addresses: newLimiters[netip.Prefix](addressPause, addressBurst),
		regulars:  newLimiters[regular](accountPause, accountBurst),
		strangers: lane{make(chan struct{}, waitingLogins), make(chan struct{}, runtime.GOMAXPROCS(0))},
		known:     lane{make(chan struct{}, waitingLogins), make(chan struct{}, 1)},
		byNetwork: map[netip.Prefix]int{},
	}
}

// turn waits until there is room for one more hash of somebody who is known. Too
// many that wait are [api.RateLimited].
func (t *throttle) turn(ctx context.Context) (release func(), err error) {
	if !t.known.enter() {
		return nil, errCrowd()
	}
	working := t.known.working
	select {
	case t.known.working <- struct{}{}:
	case t.strangers.working <- struct{}{}: // they have no claim on it
		working = t.strangers.working
	case <-ctx.Done():
		<-t.known.waiting
		return nil, ctx.Err()
	}
	return func() {
		<-working
		<-t.known.waiting
	}, nil
}

// strangersTurn is turn for somebody at a network who is not known. One
// network can't fill the queue alone.
func (t *throttle) strangersTurn(ctx context.Context, from netip.Prefix) (release func(), err error) {
	if !t.crowd(from, 1) {
		return nil, errCrowd()
	}
	if !t.strangers.enter() {
		t.crowd(from, -1)
		return nil, errCrowd()
	}
	select {
	case t.strangers.working <- struct{}{}:
	case <-ctx.Done():
		<-t.strangers.waiting
		t.crowd(from, -1)
		return nil, ctx.Err()
	}
	return func() {
		<-t.strangers.working
		<-t.strangers.waiting
		t.crowd(from, -1)
	}, nil
}

func (l lane) enter() bool {
	select {
	case l.waiting <- struct{}{}:
		return true
	default:
		return false
	}
}

// crowd counts strangers in or out of a network's share; false: it is used up.
func (t *throttle) crowd(from netip.Prefix, more int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch n := t.byNetwork[from] + more; {
	case n > waitingShare:
		return false
	case n == 0:
		delete(t.byNetwork, from)
	default:
		t.byNetwork[from] = n
	}
	return true
}

func errCrowd() error {
	return &api.Error{Kind: api.RateLimited, Message: "too many logins at once", RetryAfter: time.Second}
}

// begin lets a login check its password, and waits for its turn; done must be
// told whether it was wrong. Too many wrong ones before, or too many logins
// under way, are [api.RateLimited].
func (t *throttle) begin(ctx context.Context, from netip.Addr, account string) (done func(wrong bool), err error) {
	who := regular{account, Network(from)}
	if t.regulars.has(who) {
		return t.beginIn(ctx, who, true, t.turn)
	}
	return t.beginIn(ctx, who, false, func(ctx context.Context) (func(), error) { return t.strangersTurn(ctx, who.network) })
}

// limited is [api.RateLimited] while an account must wait at a network, where it logged in before (known) or not.
func (t *throttle) limited(who regular, known bool) error {
	wait := t.regulars.wait(who)
	if !known {
		wait = max(t.accounts.wait(who.account), t.addresses.wait(who.network))
	}
	if wait > 0 {
		return &api.Error{Kind: api.RateLimited, Message: "too many wrong passwords: wait before the next try", RetryAfter: wait}
	}
	return nil
}

// beginIn is begin in a queue whose turn it is given.
func (t *throttle) beginIn(ctx context.Context, who regular, known bool, turn func(context.Context) (func(), error)) (done func(wrong bool), err error) {
	if err := t.limited(who, known); err != nil { // who must wait anyway is no burden on the queue
		return nil, err
	}
	release, err := turn(ctx)
	if err != nil {
		return nil, err
	}
	// Asked again only now, so that a burst of parallel guesses passes no further
	// than as many as can work at once.
	if err := t.limited(who, known); err != nil {
		release()
		return nil, err
	}
	return func(wrong bool) {
		switch {
		case !wrong:
			t.regulars.note(who)
		case known:
			t.regulars.count(who)
		default:
			t.accounts.count(who.account)
			t.addresses.count(who.network)
		}
		release()
	}, nil
}

// Network is the addresses that one attacker is taken to have.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // not an address: all those share one
	}
	return p
}

// limiters is a bounded set of rate limiters by key.
type limiters[K comparable] struct {
	pause time.Duration
	burst int

	mu    sync.Mutex
	byKey map[K]*list.Element
	order list.List // of *limiter[K], the last used first
}

type limiter[K comparable] struct {
	key K
	*rate.Limiter
}

func newLimiters[K comparable](pause time.Duration, burst int) *limiters[K] {
	return &limiters[K]{pause: pause, burst: burst, byKey: map[K]*list.Element{}}
}

// has tells whether the key is in the set.
func (l *limiters[K]) has(key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.byKey[key]
	return ok
}

// note puts the key into the set.
func (l *limiters[K]) note(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.element(key)
}

// wait is how long the key must wait for its next try; 0 = not at all.
func (l *limiters[K]) wait(key K) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.byKey[key]; ok {
		return l.missing(e)
	}
	return 0
}

func (l *limiters[K]) missing(e *list.Element) time.Duration {
	if missing := 1 - e.Value.(*limiter[K]).Tokens(); missing > 0 {
		return max(1, time.Duration(missing*float64(l.pause)))
	}
	return 0
}

// count takes one try from the key.
func (l *limiters[K]) count(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.element(key).Value.(*limiter[K]).Allow()
}

// take takes one try from the key if it has one, and else tells how long to
// wait for it.
func (l *limiters[K]) take(key K) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.element(key)
	if wait := l.missing(e); wait > 0 {
		return wait
	}
	e.Value.(*limiter[K]).Allow()
	return 0
}

// element is the key's limiter, moved to the front.
func (l *limiters[K]) element(key K) *list.Element {
	if e, ok := l.byKey[key]; ok {
		l.order.MoveToFront(e)
		return e
	}
	e := l.order.PushFront(&limiter[K]{key, rate.NewLimiter(rate.Every(l.pause), l.burst)})
	l.byKey[key] = e
	if l.order.Len() > throttleKeys {
		last := l.order.Remove(l.order.Back()).(*limiter[K])
		delete(l.byKey, last.key)
	}
	return e
}
