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

// Ranges and conditions are answered as net/http answers them, but for more than 32 ranges, and no range
// sends more than there is.
func FuzzRange(f *testing.F) {
	for _, r := range []string{"", "bytes=0-0", "bytes=-5", "bytes=5-", "bytes=0-1,4-5,-1", "bytes=9999999999999999999-", "bytes=5-2", "items=0-1", "bytes=0-,0-,0-,0-", "bytes= 1 - 2 ", "bytes=0-0" + strings.Repeat(",2-2", 31), "bytes=0-0" + strings.Repeat(",2-2", 32)} {
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
			if strings.Count(ranges, ",") > 31 {
				r.Header.Del("Range")
			}
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

// seeking is content that counts how often it is made to seek to another place.
type seeking struct {
	*bytes.Reader
	seeks int
}

func (s *seeking) Seek(off int64, whence int) (int64, error) {
	s.seeks++
	return s.Reader.Seek(off, whence)
}

func (*seeking) Err() error { return nil }

// As many ranges as a header has room for cost what one request for all of it costs.
func TestManyRanges(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	for _, c := range []struct{ ranges, status int }{{32, http.StatusPartialContent}, {33, http.StatusOK}, {250_000, http.StatusOK}} {
		body := &seeking{Reader: bytes.NewReader(content)}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", "bytes=0-0"+strings.Repeat(",0-0", c.ranges-1))
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "text/plain")
		same := func(w http.ResponseWriter) http.ResponseWriter { return w }
		if err := serve.Content(w, r, time.Time{}, body, same, func(err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
		if w.Code != c.status || c.status == http.StatusOK && !bytes.Equal(w.Body.Bytes(), content) {
			t.Errorf("%d ranges: %d and %d bytes", c.ranges, w.Code, w.Body.Len())
		}
		if body.seeks > 40 {
			t.Errorf("%d ranges: %d seeks", c.ranges, body.seeks)
		}
	}
}
