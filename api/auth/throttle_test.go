package auth

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"satchel/api"
)

func try(t *testing.T, th *throttle, from, account string, wrong bool) error {
	t.Helper()
	done, err := th.begin(t.Context(), netip.MustParseAddr(from), account)
	if err == nil {
		done(wrong)
	}
	return err
}

func retryAfter(err error) time.Duration {
	if e, ok := err.(*api.Error); ok && e.Kind == api.RateLimited {
		return e.RetryAfter
	}
	return -1
}

func TestThrottlePerAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		for i := range accountBurst {
			if err := try(t, th, fmt.Sprintf("10.0.0.%d", i), "a", true); err != nil {
				t.Fatalf("try %d: %v", i, err)
			}
		}
		err := try(t, th, "10.1.0.1", "a", true)
		if wait := retryAfter(err); wait <= 0 || wait > accountPause {
			t.Fatalf("one try too many: %v, retry after %v", err, wait)
		}
		if err := try(t, th, "10.1.0.1", "b", true); err != nil {
			t.Errorf("another account: %v", err)
		}
		time.Sleep(retryAfter(err))
		if err := try(t, th, "10.1.0.1", "a", true); err != nil {
			t.Errorf("after the wait that was asked for: %v", err)
		}
	})
}

func TestThrottlePerAddress(t *testing.T) {
	for _, tt := range []struct {
		name, one, other, stranger string
	}{
		{"IPv4", "10.0.0.1", "10.0.0.1", "10.0.0.2"},
		{"IPv6 by /64", "2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"},
		{"IPv4 in IPv6", "::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				th := newThrottle()
				for i := range addressBurst {
					if err := try(t, th, tt.one, fmt.Sprint("account", i), true); err != nil {
						t.Fatalf("try %d: %v", i, err)
					}
				}
				if err := try(t, th, tt.other, "fresh", true); retryAfter(err) <= 0 {
					t.Errorf("the same network: %v, want rate limited", err)
				}
				if err := try(t, th, tt.stranger, "fresh", true); err != nil {
					t.Errorf("another network: %v", err)
				}
			})
		})
	}
}

func TestRightPasswordsAreNotThrottled(t *testing.T) {
	th := newThrottle()
	for range 10 * addressBurst {
		if err := try(t, th, "10.0.0.1", "a", false); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThrottleForgetsTheOldest(t *testing.T) {
	l := newLimiters[int](time.Hour, 1)
	for i := range throttleKeys + 5 {
		l.count(i)
	}
	if len(l.byKey) != throttleKeys || l.order.Len() != throttleKeys {
		t.Errorf("%d keys, %d in order; want %d", len(l.byKey), l.order.Len(), throttleKeys)
	}
	if l.wait(0) != 0 || l.wait(throttleKeys+4) == 0 {
		t.Error("the newest was forgotten instead of the oldest")
	}
}

func TestTooManyLoginsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, waitingLogins)
		for i := range waitingLogins {
			go func() {
				done, err := th.begin(ctx, far(i), fmt.Sprint(i))
				if err == nil {
					<-ctx.Done()
					done(false)
				}
				errs <- err
			}()
		}
		synctest.Wait()
		if _, err := th.begin(ctx, far(waitingLogins), "late"); retryAfter(err) <= 0 {
			t.Errorf("a login behind %d others: %v, want rate limited", waitingLogins, err)
		}
		cancel()
		for range waitingLogins {
			<-errs
		}
		if err := try(t, th, "10.0.0.1", "late", false); err != nil {
			t.Errorf("after they were gone: %v", err)
		}
	})
}
