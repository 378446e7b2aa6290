package auth

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"satchel/api"
)

// TestALinksPasswordIsHashedOnce: while nobody can hash in the place of strangers, who said a link's right password a short time ago is let through,
// and nobody else: another network, another link, a password that was changed, and one that is wrong have to wait for a turn, also where the password was right
// before. The place of people with an account is never used.
func TestALinksPasswordIsHashedOnce(t *testing.T) {
	hash, err := HashPassword("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	changed, err := HashPassword("open sesame") // another salt
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a := &Auth{throttle: newThrottle(), said: newSaid()}
		here, link := netip.MustParseAddr("192.0.2.1"), api.NewID()
		if err := a.CheckLinkPassword(t.Context(), here, link, "open sesame", hash); err != nil {
			t.Fatal(err)
		}
		for range cap(a.throttle.strangers.working) {
			a.throttle.strangers.working <- struct{}{}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		check := func(from netip.Addr, link api.ID, password, hash string) error {
			var err error
			for range 20 { // where there are two ways, one is taken by chance
				if err = a.CheckLinkPassword(ended, from, link, password, hash); err == nil || api.KindOf(err) == api.Unauthenticated {
					break
				}
			}
			return err
		}
		if err := check(here, link, "open sesame", hash); err != nil {
			t.Errorf("said again: %v", err)
		}
		for what, err := range map[string]error{
			"from another network": check(netip.MustParseAddr("198.51.100.1"), link, "open sesame", hash),
			"another link":         check(here, api.NewID(), "open sesame", hash),
			"a changed password":   check(here, link, "open sesame", changed),
			"a wrong password":     check(here, link, "open sesam", hash),
			"no password":          check(here, link, "", hash),
			"the password, longer": check(here, link, "open sesame ", hash),
		} {
			if err == nil || api.KindOf(err) == api.Unauthenticated {
				t.Errorf("%s: it was checked without a turn: %v", what, err)
			}
		}
		time.Sleep(saidLife)
		if err := check(here, link, "open sesame", hash); err == nil {
			t.Error("it is remembered for ever")
		}
	})
}

// TestGuessesOfALinksPasswordWait: who guessed too often has to wait even with the right one, which would else be told by being let through.
func TestGuessesOfALinksPasswordWait(t *testing.T) {
	hash, err := HashPassword("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a := &Auth{throttle: newThrottle(), said: newSaid()}
		here, link := netip.MustParseAddr("192.0.2.1"), api.NewID()
		if err := a.CheckLinkPassword(t.Context(), here, link, "open sesame", hash); err != nil {
			t.Fatal(err)
		}
		for i := range accountBurst {
			if err := a.CheckLinkPassword(t.Context(), here, link, "guess", hash); api.KindOf(err) != api.Unauthenticated {
				t.Fatalf("guess %d: %v", i, err)
			}
		}
		for _, password := range []string{"guess", "open sesame"} {
			if err := a.CheckLinkPassword(t.Context(), here, link, password, hash); api.KindOf(err) != api.RateLimited {
				t.Errorf("%q: %v", password, err)
			}
		}
		time.Sleep(accountPause)
		if err := a.CheckLinkPassword(t.Context(), here, link, "open sesame", hash); err != nil {
			t.Errorf("after the pause: %v", err)
		}
	})
}

func TestSaidIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSaid()
		for i := range saidMost + 10 {
			s.note([32]byte{byte(i), byte(i >> 8)})
		}
		if len(s.until) != saidMost || !s.has([32]byte{byte((saidMost + 9) & 0xff), byte((saidMost + 9) >> 8)}) {
			t.Errorf("%d are remembered", len(s.until))
		}
		time.Sleep(saidLife)
		if s.note([32]byte{31: 1}); len(s.until) != 1 {
			t.Errorf("%d are remembered after their time", len(s.until))
		}
	})
}
