package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"satchel/api"
)

// TestClaim: a login at another address gets the cache if the server there names the same drive and the same root, which
// a server of somebody who only knows the account and the drive cannot.
func TestClaim(t *testing.T) {
	user, real := api.NewID(), api.DriveInfo{ID: api.NewID(), Root: api.NewID(), Epoch: api.NewID()}
	guess := real
	guess.Root = api.NewID()
	untold := real
	untold.Root = api.ID{}
	for _, c := range []struct {
		name  string
		names api.DriveInfo
		found bool
	}{
		{"the same server", real, true},
		{"one that guesses the root", guess, false},
		{"one that is not told it", untold, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := namesDrive(t, func() (api.DriveInfo, bool) { return c.names, true })
			sh := claimant(t, "default")
			old := login{Server: "http://before", User: user, Secret: "s"}
			dir := sh.cacheOf(old)
			fill(t, dir, real)
			if err := old.whose("default").note(dir); err != nil {
				t.Fatal(err)
			}
			now := old
			now.Server = server
			_, from, err := sh.claim(now, sh.cacheOf(now), false)
			if err != nil || (from == old.Server) != c.found || (sh.cacheOf(now) == dir) != c.found || sh.cacheOf(old) != dir {
				t.Errorf("claimed from %q (%v); the cache of the login is %s, of the one before %s", from, err, sh.cacheOf(now), sh.cacheOf(old))
			}
			if _, _, err := sh.claim(now, dir, true); (err == nil) != c.found {
				t.Errorf("mounting with that very cache: %v", err)
			}
		})
	}
}

// TestClaimUnnoted: whose a cache is in which nobody is noted says the server. One that has the name that the login gave it goes on without the
// server, but no other does.
func TestClaimUnnoted(t *testing.T) {
	real := api.DriveInfo{ID: api.NewID(), Root: api.NewID(), Epoch: api.NewID()}
	another := api.DriveInfo{ID: api.NewID(), Root: api.NewID(), Epoch: real.Epoch}
	for _, c := range []struct {
		name       string
		of         api.DriveInfo // the cache
		own, given bool          // whether the cache has the login's own name, and was named
		down       bool          // the server fails
		kind       api.Kind      // of the refusal; "" is none
		noted      bool          // for this login, then
	}{
		{"its own", real, true, false, false, "", true},
		{"its own without the server", real, true, false, true, "", false},
		{"one of the drive that was named", real, false, true, false, "", true},
		{"one that was named, without the server", real, false, true, true, api.Unavailable, false},
		{"another's that was named", another, false, true, false, api.Exists, false},
		{"another's, without the server", another, false, true, true, api.Unavailable, false},
		{"another's in its own place", another, true, false, false, api.Exists, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sh := claimant(t, "default")
			l := login{Server: namesDrive(t, func() (api.DriveInfo, bool) { return real, !c.down }), User: api.NewID(), Secret: "s"}
			dir := filepath.Join(t.TempDir(), "of before")
			if c.own {
				dir = sh.ownPlace(l)
			}
			fill(t, dir, c.of)
			got, from, err := sh.claim(l, dir, c.given)
			if c.kind == "" && (err != nil || got != dir || from != "") || c.kind != "" && api.KindOf(err) != c.kind {
				t.Errorf("claimed %q from %q: %v", got, from, err)
			}
			if w, noted := whoseIn(dir); noted != c.noted || noted && !w.same(l.whose("default")) {
				t.Errorf("noted for %+v (%t)", w, noted)
			}
		})
	}
}

// TestClaimWithoutAnAnswer: a login at another address makes no cache beside one that may be its drive's, when the server can't say. One that
// can't be, of another account or profile, and none at all, do not keep it.
func TestClaimWithoutAnAnswer(t *testing.T) {
	real := api.DriveInfo{ID: api.NewID(), Root: api.NewID()}
	user := api.NewID()
	for _, c := range []struct {
		name    string
		profile string // that mounts
		filled  bool   // there is a cache
		noted   whose  // in it; the zero value is nobody
		refused bool
	}{
		{"the account's", "default", true, whose{"http://before", user, "", "default"}, true},
		{"another account's", "default", true, whose{"http://before", api.NewID(), "", "default"}, false},
		{"another profile's", "default", true, whose{"http://before", user, "", "other"}, false},
		{"one that says nothing", "default", true, whose{}, true},
		{"one that says nothing, of another profile", "other", true, whose{}, false},
		{"none", "default", false, whose{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sh := claimant(t, c.profile)
			up := false
			l := login{Server: namesDrive(t, func() (api.DriveInfo, bool) { return real, up }), User: user, Secret: "s"}
			before := filepath.Join(sh.places.cache, "0123456789abcdef0123")
			if c.filled {
				fill(t, before, real)
			}
			if c.noted != (whose{}) {
				if err := c.noted.note(before); err != nil {
					t.Fatal(err)
				}
			}
			dir, _, err := sh.claim(l, sh.cacheOf(l), false)
			if c.refused && api.KindOf(err) != api.Unavailable || !c.refused && (err != nil || dir != sh.ownPlace(l)) {
				t.Errorf("without an answer: %q, %v", dir, err)
			}
			up = true
			if dir, _, err = sh.claim(l, sh.cacheOf(l), false); err != nil || (dir == before) != c.refused {
				t.Errorf("with one: %q, %v", dir, err)
			}
		})
	}
}

// TestCacheOfTwo: of two caches of a login the one counts that was used last.
func TestCacheOfTwo(t *testing.T) {
	sh := claimant(t, "default")
	l := login{Server: "http://server", User: api.NewID()}
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for hour, name := range []string{"a", "b", "c"} {
		dir := filepath.Join(sh.places.cache, name)
		fill(t, dir, api.DriveInfo{ID: api.NewID(), Root: api.NewID()})
		if err := l.whose("default").note(dir); err != nil {
			t.Fatal(err)
		}
		used := noon.Add(time.Duration(hour%2) * time.Hour) // b is the last
		if err := os.Chtimes(filepath.Join(dir, "replica"), used, used); err != nil {
			t.Fatal(err)
		}
	}
	if got := filepath.Base(sh.cacheOf(l)); got != "b" {
		t.Errorf("the cache of the login is %s", got)
	}
}

// claimant is a shell with places of its own.
func claimant(t *testing.T, profile string) *shell {
	home := t.TempDir()
	return &shell{ctx: t.Context(), stderr: io.Discard, profile: profile,
		places: places{cache: filepath.Join(home, "cache"), state: filepath.Join(home, "state")}}
}

// namesDrive is a server that names its drive, or answers 503; its address is returned.
func namesDrive(t *testing.T, home func() (names api.DriveInfo, up bool)) string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/token", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(api.Token{Token: "t", Expires: time.Now().Add(time.Hour)})
	})
	mux.HandleFunc("GET /v1/drives/home", func(w http.ResponseWriter, _ *http.Request) {
		names, up := home()
		if !up {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		json.NewEncoder(w).Encode(names)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// fill makes what tells of which drive a cache is.
func fill(t *testing.T, dir string, drive api.DriveInfo) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "replica"), 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(drive)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "drive.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}
