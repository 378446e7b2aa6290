package auth

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"satchel/api"
)

// crowd is logins of strangers, each at an address and account of its own, that
// wait or work until the test ends.
func crowd(t *testing.T, th *throttle, n int, from func(i int) netip.Addr) (let int) {
	t.Helper()
	leave := make(chan struct{})
	refused := make(chan struct{}, n)
	ended := make(chan struct{}, n)
	for i := range n {
		go func() {
			defer func() { ended <- struct{}{} }()
			done, err := th.begin(t.Context(), from(i), fmt.Sprintf("account %d", i))
			if err != nil {
				refused <- struct{}{}
				return
			}
			<-leave
			done(true)
		}()
	}
	t.Cleanup(func() {
		close(leave)
		for range n {
			<-ended
		}
	})
	synctest.Wait()
	return n - len(refused)
}

func far(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}) }

// Whatever strangers do, from however many addresses, an account that logged in
// from a network before logs in there at once: nothing of theirs is waited for.
func TestCrowdOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		if err := try(t, th, "10.0.0.1", "alice", false); err != nil {
			t.Fatal(err)
		}
		if let := crowd(t, th, 5000, far); let != waitingLogins {
			t.Fatalf("%d of 5000 are let in, want %d", let, waitingLogins)
		}
		for range 100 {
			if err := try(t, th, "10.0.0.1", "alice", false); err != nil {
				t.Fatalf("a regular behind a crowd: %v", err)
			}
		}
		if err := try(t, th, "10.0.0.2", "alice", false); retryAfter(err) != time.Second {
			t.Errorf("the same account from elsewhere: %v, want rate limited", err)
		}
	})
}

// One network alone can't fill the queue.
func TestCrowdOfOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		one := func(int) netip.Addr { return netip.MustParseAddr("10.0.0.1") }
		if let := crowd(t, th, 500, one); let != waitingShare {
			t.Fatalf("%d of 500 are let in, want %d", let, waitingShare)
		}
		if len(th.strangers.waiting) != waitingShare {
			t.Errorf("%d places of the queue are taken", len(th.strangers.waiting))
		}
	})
}

// Who guesses an account's password keeps everybody out of it but those who were
// there before, each from his own network; and who guesses there, himself.
func TestGuessesDoNotLockOut(t *testing.T) { synctest.Test(t, guessesDoNotLockOut) }

func guessesDoNotLockOut(t *testing.T) {
	th := newThrottle()
	if err := try(t, th, "10.0.0.1", "alice", false); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i := range 1000 {
		if try(t, th, far(i).String(), "alice", true) == nil {
			wrong++
		}
	}
	if wrong > accountBurst {
		t.Errorf("%d guesses from many addresses were tried", wrong)
	}
	if err := try(t, th, "10.0.0.1", "alice", false); err != nil {
		t.Errorf("the owner, from where he was before: %v", err)
	}
	wrong = 0
	for range 1000 {
		if try(t, th, "10.0.0.1", "alice", true) == nil {
			wrong++
		}
	}
	if wrong > accountBurst {
		t.Errorf("%d guesses from the owner's network were tried", wrong)
	}
	if err := try(t, th, "10.0.0.1", "alice", false); retryAfter(err) <= 0 {
		t.Errorf("after them: %v, want rate limited", err)
	}
}

// A hundred passwords can be tried for one account in an hour (OWASP ASVS 4.0.3, 2.2.1).
func TestGuessesInAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		tried := 0
		for i := range 3600 {
			if try(t, th, far(i).String(), "alice", true) == nil {
				tried++
			}
			time.Sleep(time.Second)
		}
		if tried > 100 {
			t.Errorf("%d passwords were tried in an hour", tried)
		}
	})
}

// What is remembered of attackers is bounded: their number is not.
func TestAttackersAreForgotten(t *testing.T) {
	th := newThrottle()
	limit := NewLimit("codes", 1, time.Hour)
	before := heap()
	const attackers = 20 * throttleKeys
	for i := range attackers {
		th.accounts.count(fmt.Sprintf("%0250d", i)) // the longest that is asked for
		th.addresses.count(Network(far(i)))
		th.regulars.note(regular{"a", Network(far(i))})
		if err := limit.Take(api.NewID(), far(i)); err != nil {
			t.Fatal(err)
		}
	}
	for what, n := range map[string]int{
		"accounts": len(th.accounts.byKey), "addresses": len(th.addresses.byKey), "regulars": len(th.regulars.byKey),
		"users of a limit": len(limit.users.byKey), "addresses of a limit": len(limit.addresses.byKey),
	} {
		if n != throttleKeys {
			t.Errorf("%d %s are remembered of %d", n, what, attackers)
		}
	}
	if more := heap() - before; more > 5*throttleKeys*1000 {
		t.Errorf("%d attackers leave %d bytes behind", attackers, more)
	}
	runtime.KeepAlive(th)
	runtime.KeepAlive(limit)
}

// What strangers send costs the database a bounded number of looks, most of it none, and
// what honest users send meanwhile costs what it always does.
func TestForgeriesCostLittle(t *testing.T) {
	f := newFixture(t)
	c, err := f.LoginDevice(t.Context(), here, api.Login{Email: "alice@example.org", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	alice, err := f.ByToken(t.Context(), c.Token.Token)
	if err != nil {
		t.Fatal(err)
	}
	looks := func(do func()) int64 {
		before := f.db.Stats().Taken
		do()
		return f.db.Stats().Taken - before
	}
	refused := func(what string, err error) {
		t.Helper()
		if kind := api.KindOf(err); kind != api.Unauthenticated && kind != api.RateLimited && kind != api.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	forgery := []byte(c.Token.Token)
	if at := &forgery[len(forgery)-40]; *at == 'A' {
		*at = 'B'
	} else {
		*at = 'A'
	}
	otherSignature := string(forgery)
	const n = 200
	const eachOne = n // a secret of 256 bits is looked up once; there is nothing to guess
	for _, tt := range []struct {
		what  string
		most  int64
		pause time.Duration // after which one more is let through; 0 = never
		again func(i int) error
	}{
		{"tokens with another signature", 0, 0, func(i int) error {
			_, err := f.ByToken(t.Context(), otherSignature)
			return err
		}},
		{"secrets of devices", eachOne, 0, func(i int) error {
			_, err := f.Token(t.Context(), fmt.Sprint(i))
			return err
		}},
		{"cookies", eachOne, 0, func(i int) error {
			_, err := f.ByCookie(t.Context(), fmt.Sprint(i))
			return err
		}},
		{"app passwords", eachOne, 0, func(i int) error {
			_, err := f.ByAppPassword(t.Context(), "alice@example.org", fmt.Sprint(i))
			return err
		}},
		{"access keys", eachOne, 0, func(i int) error {
			_, _, err := f.ByAccessKey(t.Context(), fmt.Sprint(i))
			return err
		}},
		{"codes of devices, typed by somebody who is signed in", 10, 6 * time.Second, func(i int) error {
			_, err := f.WaitingDevice(t.Context(), far(i), alice, fmt.Sprintf("BCDF%04d", i))
			return err
		}},
		{"codes of devices, from one address", 10 * addressShare, 6 * time.Second / addressShare, func(i int) error {
			_, err := f.WaitingDevice(t.Context(), far(1), Identity{User: api.NewID()}, fmt.Sprintf("BCDF%04d", i))
			return err
		}},
		{"passwords of one account from many addresses", 2 * accountBurst, accountPause / 2, func(i int) error {
			_, err := f.LoginDevice(t.Context(), far(i), api.Login{Email: "alice@example.org", Password: "wrong"})
			return err
		}},
	} {
		begin := time.Now()
		got := looks(func() {
			for i := range n {
				refused(tt.what, tt.again(i))
			}
		})
		most := tt.most
		if tt.pause > 0 { // on a slow machine some are due again meanwhile
			most += 1 + int64(time.Since(begin)/tt.pause)
		}
		if got > most {
			t.Errorf("%d wrong %s: %d looks into the database, want at most %d", n, tt.what, got, most)
		}
	}
	// Tokens that name a key that nobody has, all at once, when the keys were not read for a while.
	f.keys.mu.Lock()
	f.keys.loaded = time.Now().Add(-2 * reloadPause)
	f.keys.mu.Unlock()
	other := &Keyring{signing: "nobody's", keys: map[string]signingKey{"nobody's": f.keys.keys[f.keys.signing]}}
	forged, err := other.sign(alice.Session, alice.User, Admin, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	got := looks(func() {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				_, err := f.ByToken(t.Context(), forged.Token)
				refused("a token of an unknown key", err)
			})
		}
		all.Wait()
	})
	if got > 2*(1+int64(time.Since(begin)/reloadPause)) {
		t.Errorf("%d tokens of an unknown key: %d looks into the database", n, got)
	}
	if got := looks(func() {
		if _, err := f.Token(t.Context(), c.Secret); err != nil {
			t.Errorf("the honest device: %v", err)
		}
		if _, err := f.ByToken(t.Context(), c.Token.Token); err != nil {
			t.Errorf("the honest token: %v", err)
		}
		if _, err := f.LoginDevice(t.Context(), here, api.Login{Email: "alice@example.org", Password: "right"}); err != nil {
			t.Errorf("the honest user, where he was before: %v", err)
		}
	}); got > 4 {
		t.Errorf("the honest ones cost %d looks into the database", got)
	}
}

// heap is the bytes that live.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
