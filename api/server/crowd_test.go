package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/api"
)

func TestCrowd(t *testing.T) {
	refused := func(w http.ResponseWriter, _ *http.Request, err error) {
		e := err.(*api.Error)
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter/time.Second)))
		w.WriteHeader(statuses[e.Kind])
	}
	var inside chan struct{} // ends what is inside
	entered := make(chan struct{})
	c := newCrowd(Limits{Requests: 4, Waiting: 4}, address)
	h := c.admit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-inside
	}), refused)
	ask := func(path, from, contentType string, size int64) (status int, done chan struct{}) {
		r := httptest.NewRequest("POST", path, nil)
		r.RemoteAddr, r.ContentLength = from+":1", size
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		done = make(chan struct{})
		go func() {
			h.ServeHTTP(w, r)
			close(done)
		}()
		select {
		case <-entered:
			return 0, done
		case <-done:
		}
		if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") < "1" {
			t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
		}
		return w.Code, done
	}
	type request struct {
		path, from, contentType string
		size                    int64
	}
	const one, other, third, here, feed, batches = "192.0.2.1", "192.0.2.2", "192.0.2.3", "127.0.0.1", "/v1/drives/home/changes", "/v1/drives/home/batches"
	for name, steps := range map[string][]struct {
		request
		status int
	}{
		"all the room": {{request{"/a", here, "", 0}, 0}, {request{"/b", here, "", 0}, 0}, {request{"/c", here, "", 0}, 0}, {request{"/d", here, "", 0}, 0}, {request{"/e", here, "", 0}, 503}, {request{"/health", here, "", 0}, 0}},
		"half for one": {{request{"/a", one, "", 0}, 0}, {request{"/b", one, "", 0}, 0}, {request{"/c", one, "", 0}, 503}, {request{"/c", other, "", 0}, 0}, {request{"/d", other, "", 0}, 0}, {request{"/e", third, "", 0}, 503}},
		"JSON":         {{request{"/a", here, "application/json", 2 << 20}, 0}, {request{"/b", here, "application/json; charset=utf-8", 1 << 20}, 503}, {request{"/b", here, "application/json", 1000}, 0}, {request{"/b", here, "", 0}, 503}},
		"large JSON":   {{request{"/a", here, "application/json", -1}, 0}, {request{"/b", here, "", 0}, 503}}, // alone it may
		"typeless":     {{request{batches, here, "", 2 << 20}, 0}, {request{batches, here, "application/x+json", 1 << 20}, 503}, {request{batches, here, "text/plain", 1000}, 0}, {request{"/b", here, "", 0}, 503}},
		"settings":     {{request{"/api/vfs/acl/home", here, "", 3 << 20}, 0}, {request{"/b", here, "", 0}, 503}},
		"a choice":     {{request{"/do/delete-these", here, "application/x-www-form-urlencoded", 3 << 20}, 0}, {request{"/b", here, "", 0}, 503}},
		"packs":        {{request{"/v1/drives/home/packs", here, "application/octet-stream", 32 << 20}, 0}, {request{"/v1/drives/home/packs", here, "", -1}, 0}},
		"a large file": {{request{"/a", here, "application/octet-stream", 1 << 40}, 0}, {request{"/b", here, "", -1}, 0}},
		"the feed":     {{request{feed, here, "", 0}, 0}, {request{feed, here, "", 0}, 0}, {request{feed, here, "", 0}, 0}, {request{feed, here, "", 0}, 0}, {request{feed, here, "", 0}, 503}, {request{"/a", here, "", 0}, 0}},
		"half of it":   {{request{feed, one, "", 0}, 0}, {request{feed, one, "", 0}, 0}, {request{feed, one, "", 0}, 503}, {request{feed, other, "", 0}, 0}, {request{"/a", one, "", 0}, 0}, {request{feed, other, "", 0}, 0}, {request{feed, third, "", 0}, 503}},
	} {
		t.Run(name, func(t *testing.T) {
			inside = make(chan struct{})
			var all []chan struct{}
			for i, s := range steps {
				status, done := ask(s.path, s.from, s.contentType, s.size)
				if status != s.status {
					t.Errorf("request %d: %d, wanted %d", i, status, s.status)
				}
				all = append(all, done)
			}
			close(inside)
			for _, done := range all {
				<-done
			}
			for _, p := range []*places[netip.Prefix]{c.working, c.waiting} {
				if p.taken != 0 || len(p.by) != 0 {
					t.Errorf("left inside: %d %v", p.taken, p.by)
				}
			}
		})
	}
}

// An account has a part of the places of those who wait for changes only once half of all are taken.
func TestFollowersWhilePlacesAreFree(t *testing.T) {
	one, others := api.NewID(), api.NewID()
	for _, c := range []struct {
		others, mine int
		more         bool
	}{
		{0, 300, true}, {0, DefaultWaiting/2 - 1, true}, {0, DefaultWaiting / 2, false},
		{DefaultWaiting/2 - 301, 300, true}, {DefaultWaiting/2 - 300, 300, false}, {DefaultWaiting / 2, waitingOfOne - 1, true}, {DefaultWaiting / 2, waitingOfOne, false},
	} {
		p := newFollowers(Limits{})
		p.taken, p.by[others] = c.others+c.mine, c.others
		p.by[one] = c.mine
		if _, ok := p.take(1, one, true); ok != c.more {
			t.Errorf("%d of it, %d of others: one more is %t", c.mine, c.others, ok)
		}
	}
}

// One account leaves places to the others who wait for changes, from however many networks it comes.
func TestFollowers(t *testing.T) {
	for limit, each := range map[int]int{2 * waitingOfOne: waitingOfOne, 100: 50} {
		f := newFixtureWith(t, func(c *Config, _ string) {
			c.Limits.Waiting = limit
			c.Bans.AddressHeader = "X-Forwarded-For"
		})
		home := into[api.DriveInfo](f, f.do(request{path: "/v1/drives/home", as: alice}))
		f.token(bob)
		waits := func(as string, wait, from int) answerData {
			return f.do(request{path: fmt.Sprintf("/v1/drives/home/changes?epoch=%s&after=%d&wait=%d", home.Epoch, home.Seq, wait), as: as,
				header: map[string]string{"X-Forwarded-For": fmt.Sprintf("192.0.2.%d", from)}})
		}
		var waiting sync.WaitGroup
		refused := make(chan answerData, each)
		for i := range each + 1 {
			waiting.Go(func() {
				if a := waits(alice, 60, i); a.status == 503 {
					refused <- a
				}
			})
		}
		select {
		case a := <-refused: // all others wait
			if !strings.Contains(a.body, fmt.Sprintf("at most %d requests of an account", each)) || a.header.Get("Retry-After") == "" {
				t.Errorf("%v %s", a.header, a.body)
			}
		case <-time.After(50 * time.Second):
			t.Fatalf("%d wait, and none is refused", each+1)
		}
		if a := waits(alice, 1, 250); a.status != 503 {
			t.Errorf("one more: %s", a.body)
		}
		if a := waits(alice, 0, 250); a.status != 200 {
			t.Errorf("what waits for nothing: %d %s", a.status, a.body)
		}
		if a := waits(bob, 1, 250); a.status == 503 {
			t.Errorf("another account: %s", a.body)
		}
		if a := f.do(request{path: "/v1/drives/home", as: alice}); a.status != 200 {
			t.Errorf("what does not wait: %d %s", a.status, a.body)
		}
		f.store(alice, "news", "for those who wait")
		waiting.Wait()
		if a := waits(alice, 1, 250); a.status != 200 {
			t.Errorf("with places again: %s", a.body)
		}
	}
}

func TestAddressOfCrowd(t *testing.T) {
	b := &bans{config: BanConfig{AddressHeader: "X-Forwarded-For"}}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Forwarded-For", "203.0.113.9, 192.0.2.7")
	if got := b.address(r); got != netip.MustParseAddr("192.0.2.7") {
		t.Errorf("behind a proxy everyone would share one address: %v", got)
	}
}
