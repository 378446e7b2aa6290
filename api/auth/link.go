package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"

	"satchel/api"
)

// CheckLinkPassword tells whether a link's password is right: a wrong one is
// [api.Unauthenticated], and too many of them [api.RateLimited].
func (a *Auth) CheckLinkPassword(ctx context.Context, from netip.Addr, link api.ID, password, hash string) error {
	done, err := a.throttle.begin(ctx, from, "link "+link.String())
	if err != nil {
		return err
	}
	right := verifyPassword(password, hash)
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
