package dav

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/webdav"

	"satchel/api"
)

// wellFormed reads XML to its end and returns its text.
func wellFormed(b []byte) (text string, err error) {
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return text, err
		}
		if chars, ok := token.(xml.CharData); ok {
			text += string(chars)
		}
	}
}

// A lock is of one scope, and who holds it is shown to others as text only.
func FuzzLockInfo(f *testing.F) {
	f.Add([]byte(`<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype><D:owner><D:href>http://a/</D:href></D:owner></D:lockinfo>`))
	f.Add([]byte(`<lockinfo xmlns="DAV:"><lockscope><shared/></lockscope><locktype><write/></locktype><owner>me &lt;b&gt; &#38;amp; </owner></lockinfo>`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := readLockInfo(bytes.NewReader(b))
		if err != nil {
			if err != io.EOF && api.KindOf(err) != api.Invalid {
				t.Fatalf("refused with kind %s: %v", api.KindOf(err), err)
			}
			return
		}
		if in.Write == nil || (in.Exclusive == nil) == (in.Shared == nil) {
			t.Fatalf("%q is taken", b)
		}
		holder := in.holder()
		text, err := wellFormed([]byte(`<D:owner xmlns:D="DAV:">` + holder + `</D:owner>`))
		want := in.Owner.Text
		if in.Owner.Href != "" {
			want = in.Owner.Href
		}
		if err != nil || text != strings.TrimSpace(want) {
			t.Fatalf("the owner of %q is shown as %q: %q, %v", b, holder, text, err)
		}
		if n := strings.Count(holder, "<"); n != 0 && n != 2 || len(holder) > 6*len(b)+len("<D:href></D:href>") {
			t.Fatalf("the owner of %q is shown as %q", b, holder)
		}
	})
}

// The headers of locks: times within bounds, tokens that are there.
func FuzzLockHeaders(f *testing.F) {
	id := api.NewID().String()
	f.Add("Second-10, Infinite", "(<"+tokenScheme+id+"> [\"tag\"])")
	f.Add("Infinite", "</a> (Not <"+tokenScheme+id+">)(<x>)")
	f.Add("Second-99999999999", "((<")
	f.Fuzz(func(t *testing.T, timeout, condition string) {
		if d, err := lifetime(timeout); err == nil && (d < time.Second || d > maxLock) {
			t.Fatalf("%q is %v", timeout, d)
		}
		q := &request{r: &http.Request{Header: http.Header{"If": {condition}}}}
		for token := range q.submitted() {
			if !strings.Contains(strings.ToLower(condition), "<"+tokenScheme+token.String()+">") {
				t.Fatalf("%q has the token %s", condition, token)
			}
		}
	})
}

// A body that passes is answered by x/net with XML, whatever properties it names
// or sets: PROPPATCH and then PROPFIND on its own file system.
func FuzzProperties(f *testing.F) {
	f.Add([]byte(`<propfind xmlns="DAV:"><prop><getetag/><x:y xmlns:x="z"/></prop></propfind>`))
	f.Add([]byte(`<D:propertyupdate xmlns:D="DAV:" xmlns:a="b"><D:set><D:prop><a:c xml:lang="de"><a:d e="f">g</a:d></a:c></D:prop></D:set></D:propertyupdate>`))
	f.Add([]byte(`<propfind xmlns="DAV:"><allprop/></propfind>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := names(b); !ok {
			return
		}
		h := webdav.Handler{FileSystem: webdav.NewMemFS(), LockSystem: webdav.NewMemLS()}
		for _, one := range []struct {
			method string
			body   []byte
		}{{"PUT", nil}, {"PROPPATCH", b}, {"PROPFIND", b}, {"PROPFIND", nil}} {
			r := httptest.NewRequest(one.method, "/f", bytes.NewReader(one.body))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code >= 500 && w.Code != http.StatusInsufficientStorage {
				t.Fatalf("%s of %q: %d %s", one.method, b, w.Code, w.Body)
			}
			if w.Code == webdav.StatusMulti {
				if _, err := wellFormed(w.Body.Bytes()); err != nil {
					t.Fatalf("%s of %q is answered with %q: %v", one.method, b, w.Body, err)
				}
			}
		}
	})
}
