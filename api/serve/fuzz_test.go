package serve_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"satchel/api/serve"
)

// sound is content that can be read.
type sound struct{ *bytes.Reader }

func (sound) Err() error { return nil }

var boundary = regexp.MustCompile(`[0-9a-f]{60}`)

// Ranges and conditions are answered as net/http answers them, and no range
// sends more than there is.
func FuzzRange(f *testing.F) {
	for _, r := range []string{"", "bytes=0-0", "bytes=-5", "bytes=5-", "bytes=0-1,4-5,-1", "bytes=9999999999999999999-", "bytes=5-2", "items=0-1", "bytes=0-,0-,0-,0-", "bytes= 1 - 2 "} {
		f.Add(uint16(300), "GET", r, "", "", "")
	}
	f.Add(uint16(10), "HEAD", "bytes=0-3", `"tag"`, `W/"tag"`, "*")
	f.Add(uint16(0), "GET", "bytes=0-", `"other"`, "", "Sun, 06 Nov 1994 08:49:37 GMT")
	modified := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, size uint16, method, ranges, ifMatch, ifNone, ifRange string) {
		if method != http.MethodHead {
			method = http.MethodGet
		}
		content := bytes.Repeat([]byte("0123456789"), int(size)/10+1)[:size]
		ask := func(answer func(w http.ResponseWriter, r *http.Request)) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "/", nil)
			for name, value := range map[string]string{"Range": ranges, "If-Match": ifMatch, "If-None-Match": ifNone, "If-Range": ifRange} {
				if value != "" {
					r.Header[name] = []string{value}
				}
			}
			w := httptest.NewRecorder()
			w.Header().Set("Etag", `"tag"`)
			w.Header().Set("Content-Type", "text/plain")
			answer(w, r)
			return w
		}
		want := ask(func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", modified, bytes.NewReader(content))
		})
		got := ask(func(w http.ResponseWriter, r *http.Request) {
			same := func(w http.ResponseWriter) http.ResponseWriter { return w }
			if err := serve.Content(w, r, modified, sound{bytes.NewReader(content)}, same, func(err error) { t.Error(err) }); err != nil {
				t.Fatal(err)
			}
		})
		text := func(s string) string { return boundary.ReplaceAllString(s, "BOUNDARY") }
		if got.Code != want.Code || text(got.Body.String()) != text(want.Body.String()) {
			t.Fatalf("%d and %d bytes; net/http has %d and %d", got.Code, got.Body.Len(), want.Code, want.Body.Len())
		}
		for _, name := range []string{"Content-Range", "Content-Length", "Content-Type", "Accept-Ranges", "Last-Modified", "Etag"} {
			if g, w := text(got.Header().Get(name)), text(want.Header().Get(name)); g != w {
				t.Fatalf("%s is %q; net/http has %q", name, g, w)
			}
		}
		// Several ranges bring their headers along: at most one for each comma.
		if most := len(content) + 300*(1+strings.Count(ranges, ",")); got.Body.Len() > most {
			t.Fatalf("%d bytes for %d", got.Body.Len(), len(content))
		}
	})
}
