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

// How many wrong passwords in a row are let through, and how soon one more is.
const (
	accountBurst  = 10
	accountPause  = 6 * time.Second
	addressBurst  = 30
	addressPause  = 2 * time.Second
	throttleKeys  = 10_000 // of each; the longest unused are forgotten first
	waitingLogins = 64
)

// throttle slows down guessing. Only wrong passwords count, per account and
// per address (IPv6: per /64, which one person has).
type throttle struct {
	accounts  *limiters[string]
	addresses *limiters[netip.Prefix]
	waiting   chan struct{} // logins that wait or work
	working   chan struct{} // those that work: each takes a processor and 64 MiB
}

func newThrottle() *throttle {
	return &throttle{
		accounts:  newLimiters[string](accountPause, accountBurst),
		addresses: newLimiters[netip.Prefix](addressPause, addressBurst),
		waiting:   make(chan struct{}, waitingLogins),
		working:   make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// turn waits until there is room for one more hash. Too many that wait are
// [api.RateLimited].
func (t *throttle) turn(ctx context.Context) (release func(), err error) {
	select {
	case t.waiting <- struct{}{}:
	default:
		return nil, &api.Error{Kind: api.RateLimited, Message: "too many logins at once", RetryAfter: time.Second}
	}
	select {
	case t.working <- struct{}{}:
	case <-ctx.Done():
		<-t.waiting
		return nil, ctx.Err()
	}
	return func() {
		<-t.working
		<-t.waiting
	}, nil
}

// begin lets a login check its password, and waits for its turn; done must be
// told whether it was wrong. Too many wrong ones before, or too many logins
// under way, are [api.RateLimited].
func (t *throttle) begin(ctx context.Context, from netip.Addr, account string) (done func(wrong bool), err error) {
	release, err := t.turn(ctx)
	if err != nil {
		return nil, err
	}
	// Asked only now, so that a burst of parallel guesses passes no further
	// than as many as can work at once.
	address := network(from)
	if wait := max(t.accounts.wait(account), t.addresses.wait(address)); wait > 0 {
		release()
		return nil, &api.Error{Kind: api.RateLimited, Message: "too many wrong passwords: wait before the next try", RetryAfter: wait}
	}
	return func(wrong bool) {
		if wrong {
			t.accounts.count(account)
			t.addresses.count(address)
		}
		release()
	}, nil
}

// network is the addresses that one attacker is taken to have.
func network(a netip.Addr) netip.Prefix {
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
