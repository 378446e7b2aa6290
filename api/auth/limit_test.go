package auth

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"satchel/api"
)

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit("things", 3, 20*time.Second)
		home, away := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		one, two := api.NewID(), api.NewID()
		for range 3 {
			if err := l.Take(one, home); err != nil {
				t.Fatal(err)
			}
		}
		err := l.Take(one, away)
		var e *api.Error
		if !errors.As(err, &e) || e.Kind != api.RateLimited || e.RetryAfter <= 19*time.Second || e.RetryAfter > 20*time.Second {
			t.Fatalf("the fourth = %+v", err)
		}
		if err := l.Take(two, home); err != nil {
			t.Errorf("another account: %v", err)
		}
		time.Sleep(20 * time.Second)
		if err := l.Take(one, home); err != nil {
			t.Errorf("after the pause: %v", err)
		}
		if err := l.Take(one, home); api.KindOf(err) != api.RateLimited {
			t.Errorf("and once more: %v", err)
		}
	})
}

func TestLimitOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit("things", 3, 20*time.Second)
		n := 0
		for i := range 100 {
			// One person's addresses, each with a new account or none.
			user := api.NewID()
			if i%2 == 0 {
				user = api.ID{}
			}
			ip := netip.MustParseAddr("2001:db8::").As16()
			ip[15] = byte(i)
			if l.Take(user, netip.AddrFrom16(ip)) == nil {
				n++
			}
		}
		if n != 3*addressShare {
			t.Errorf("a network was let through %d times", n)
		}
	})
}
