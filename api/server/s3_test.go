package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A listing costs what its marker is long, and not the square of it; names that no file can have are not looked for.
func TestLongMarkersCostWhatTheyAre(t *testing.T) {
	var config Config
	f := newFixtureWith(t, func(c *Config, _ string) { config = *c })
	id, err := f.auth.ByToken(t.Context(), f.token(alice))
	if err == nil {
		err = f.drives.CreateBucket(t.Context(), caller(id), "bucket")
	}
	if err == nil {
		err = f.drives.SetBucketPolicy(t.Context(), caller(id), "bucket", json.RawMessage(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket"}}`))
	}
	if err != nil {
		t.Fatal(err)
	}
	longest := strings.Repeat("!", 255)
	behind := []string{"a/" + longest + "/y", "a/!!!/y", "a/x"} // '/' comes after '!'
	for _, key := range append(behind, "a/!!") {
		f.store(alice, "bucket/"+key, "1")
	}
	h := NewS3(config)
	const long = 100_000
	marker := "a/" + strings.Repeat("!", long)
	for name, query := range map[string]string{
		"start-after":        "list-type=2&start-after=" + marker,
		"continuation-token": "list-type=2&continuation-token=" + base64.RawURLEncoding.EncodeToString([]byte(marker)),
		"marker":             "marker=" + marker,
	} {
		for _, prefix := range []string{"", "&prefix=a/"} {
			var before, after runtime.MemStats
			r, w := httptest.NewRequest("GET", "/bucket?"+query+prefix, nil), httptest.NewRecorder()
			runtime.ReadMemStats(&before)
			h.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			var keys []string
			for _, key := range regexp.MustCompile(`<Key>(.*?)</Key>`).FindAllStringSubmatch(w.Body.String(), -1) {
				keys = append(keys, key[1])
			}
			if w.Code != 200 || !slices.Equal(keys, behind) {
				t.Errorf("%s%s: %d %q", name, prefix, w.Code, keys)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
				t.Errorf("%s%s: a marker of %d bytes took %d MiB", name, prefix, long, took>>20)
			}
		}
	}
}
