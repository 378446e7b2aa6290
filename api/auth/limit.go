package auth

import (
	"net/netip"
	"time"

	"satchel/api"
)

// Limit bounds how often something expensive is done, by account and by
// network address (IPv6: by /64). It is safe for concurrent use, and counts
// what one server process does.
type Limit struct {
	what      string
	users     *limiters[api.ID]
	addresses *limiters[netip.Prefix]
}

// addressShare is how many accounts' worth one address may have: people share
// them.
const addressShare = 4

// NewLimit lets each account do something burst times at once and again after
// every pause, and each address four times as often. What is a plural for the
// message: "too many archives".
func NewLimit(what string, burst int, pause time.Duration) *Limit {
	return &Limit{
		what:      what,
		users:     newLimiters[api.ID](pause, burst),
		addresses: newLimiters[netip.Prefix](pause/addressShare, burst*addressShare),
	}
}

// Take counts one. If that is too many for the user or the address it is
// [api.RateLimited], with how long to wait. The zero user is nobody: only his
// address counts.
func (l *Limit) Take(user api.ID, from netip.Addr) error {
	wait := time.Duration(0)
	if !user.IsZero() {
		wait = l.users.take(user)
	}
	if wait == 0 {
		wait = l.addresses.take(Network(from))
	}
	if wait > 0 {
		return &api.Error{Kind: api.RateLimited, Message: "too many " + l.what + ": wait before the next one", RetryAfter: wait}
	}
	return nil
}
