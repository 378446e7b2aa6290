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
			mux := http.NewServeMux()
			answer := func(v any) http.HandlerFunc {
				return func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(v) }
			}
			mux.HandleFunc("POST /v1/token", answer(api.Token{Token: "t", Expires: time.Now().Add(time.Hour)}))
			mux.HandleFunc("GET /v1/drives/home", answer(c.names))
			server := httptest.NewServer(mux)
			defer server.Close()
			home := t.TempDir()
			sh := &shell{ctx: t.Context(), stderr: io.Discard, profile: "default",
				places: places{cache: filepath.Join(home, "cache"), state: filepath.Join(home, "state")}}
			old := login{Server: "http://before", User: user, Secret: "s"}
			dir := sh.cacheOf(old)
			if err := os.MkdirAll(filepath.Join(dir, "replica"), 0o700); err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(real)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "drive.json"), b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := old.whose("default").note(dir); err != nil {
				t.Fatal(err)
			}
			now := old
			now.Server = server.URL
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
