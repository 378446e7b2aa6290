package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"satchel/api"
)

// How long a right password of a link is remembered, and how many are.
const (
	saidLife = 5 * time.Minute
	saidMost = 1000
)

// said remembers which right passwords of links were said a short time ago, and from which network: a program that
// fetches a file in ranges says its link's password each time, and hashing it would cost more than the file. Only its
// HMAC is kept, under a key that nobody but this process has; with the hash in it, it ends when the link's password is
// another one. Networks don't share it, or somebody's download would let strangers guess without being slowed down.
type said struct {
	key   [sha256.Size]byte
	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time
}

func newSaid() *said {
	s := &said{until: map[[sha256.Size]byte]time.Time{}}
	rand.Read(s.key[:])
	return s
}

func (s *said) mac(from netip.Prefix, link api.ID, password, hash string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, s.key[:])
	fmt.Fprintf(mac, "%s %s %q %q", from, link, hash, password)
	mac.Sum(sum[:0])
	return sum
}

func (s *said) has(sum [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.until[sum])
}

func (s *said) note(sum [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.until) >= saidMost {
		maps.DeleteFunc(s.until, func(_ [sha256.Size]byte, until time.Time) bool { return !now.Before(until) })
	}
	for other := range s.until {
		if len(s.until) < saidMost {
			break
		}
		delete(s.until, other) // any: it is hashed once more
	}
	s.until[sum] = now.Add(saidLife)
}

// CheckLinkPassword tells whether a link's password is right: a wrong one is
// [api.Unauthenticated], and too many of them [api.RateLimited]. One that was right a short time ago is not hashed
// again. Whoever says it is a stranger: those who have an account don't wait for his turn.
func (a *Auth) CheckLinkPassword(ctx context.Context, from netip.Addr, link api.ID, password, hash string) error {
	who := regular{"link " + link.String(), Network(from)}
	known := a.throttle.regulars.has(who)
	if err := a.throttle.limited(who, known); err != nil { // also a right one: a guess learns nothing while it must wait
		return err
	}
	sum := a.said.mac(who.network, link, password, hash)
	if a.said.has(sum) {
		return nil
	}
	done, err := a.throttle.beginIn(ctx, who, known, func(ctx context.Context) (func(), error) { return a.throttle.strangersTurn(ctx, who.network) })
	if err != nil {
		return err
	}
	right := a.said.has(sum) || verifyPassword(password, hash) // others that came with it may have hashed it while it waited
	if right {
		a.said.note(sum)
	}
	done(!right)
	if !right {
		return api.Errorf(api.Unauthenticated, "the password is wrong")
	}
	return nil
}

// LinkProof is what a browser shows later instead of a link's password. It
// needs the password's hash, which only servers know, and ends with it.
func LinkProof(token, hash string) string {
	mac := hmac.New(sha256.New, []byte(hash))
	mac.Write([]byte("satchel link " + token))
	return hex.EncodeToString(mac.Sum(nil))
}

// SameProof compares proofs in constant time.
func SameProof(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// HashLinkPassword is what is kept of a link's password, when there is room for
// one more hash.
func (a *Auth) HashLinkPassword(ctx context.Context, password string) (string, error) {
	release, err := a.throttle.turn(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return HashPassword(password)
}
