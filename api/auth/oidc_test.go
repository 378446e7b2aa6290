package auth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"satchel/api"
)

// A provider that says nothing holds nobody whose request has ended, and is asked once for all.
func TestProviderIsAskedOnce(t *testing.T) {
	asked, release := make(chan struct{}, 2), make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release
		http.Error(w, "", http.StatusServiceUnavailable)
	}))
	defer silent.Close()
	o := NewOIDC(newFixture(t).Auth, OIDCConfig{Issuer: silent.URL, Name: "Example"})
	first := make(chan error)
	go func() {
		_, _, err := o.Begin(context.WithoutCancel(t.Context()), "")
		first <- err
	}()
	<-asked
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, _, err := o.Begin(gone, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("a request that has ended: %v", err)
	}
	close(release)
	if err := <-first; api.KindOf(err) != api.Unavailable {
		t.Errorf("the provider's 503: %v, want unavailable", err)
	}
	if n := len(asked); n != 0 {
		t.Errorf("it was asked %d times more", n)
	}
}

// A provider that did not answer is left alone for a while, and then asked again.
func TestProviderThatWasDown(t *testing.T) {
	var asked atomic.Int32
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			http.Error(w, "", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "authorization_endpoint": s.URL + "/begin", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/keys"})
	}))
	defer s.Close()
	o := NewOIDC(newFixture(t).Auth, OIDCConfig{Issuer: s.URL, Name: "Example"})
	for range 3 {
		if _, _, err := o.Begin(t.Context(), ""); api.KindOf(err) != api.Unavailable {
			t.Errorf("while it is down: %v, want unavailable", err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	o.failed = o.failed.Add(-oidcPause)
	for range 2 {
		if _, _, err := o.Begin(t.Context(), ""); err != nil {
			t.Errorf("when it is up again: %v", err)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("it was asked %d times", n)
	}
}
