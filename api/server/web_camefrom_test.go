package server

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var unlink = regexp.MustCompile(`action="/do/unlink"><input type="hidden" name="id" value="([^"]+)"`)

// pressed is a form that is sent with headers.
func (b *browser) pressed(path string, header map[string]string, fields url.Values) page {
	b.f.t.Helper()
	r, err := http.NewRequest(http.MethodPost, b.f.url+path, strings.NewReader(fields.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, value := range header {
			r.Header.Set(name, value)
		}
	}
	return b.send(r, err)
}

// TestWebReferrer: pages let browsers say where our own forms come from, without which those forms are another site's, and
// tell other sites nothing; what people stored tells nobody.
func TestWebReferrer(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("", "diary.txt", "secret")
	link := b.link(t, "diary.txt", "", "")
	for _, path := range []string{"/", "/browse/", "/file/diary.txt", "/file/none", "/account", "/device", link + "/", "/s/none/"} {
		if got := b.get(path).header.Get("Referrer-Policy"); got != "same-origin" {
			t.Errorf("the page %s has the policy %q", path, got)
		}
	}
	for _, path := range []string{"/open/diary.txt", "/download/diary.txt", link + "/?open", link + "/?save", "/health", "/files"} {
		if got := b.get(path).header.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("%s has the policy %q", path, got)
		}
	}
	// By plain http from another machine, or in an old browser, there is no Sec-Fetch-Site.
	for origin, want := range map[string]int{f.url: 200, "null": 403, "http://evil.example": 403} {
		if p := b.pressed("/do/mkdir", map[string]string{"Origin": origin}, url.Values{"in": {""}, "name": {"by-" + strings.Trim(origin, "htp:/.0123456789")}}); p.status != want {
			t.Errorf("a form from %s: %d", origin, p.status)
		}
	}
}

// TestWebComesBack: a form that fails, and one that is on several pages, leads back to where one was; never to what is no
// page, or elsewhere.
func TestWebComesBack(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("", "a&b.txt", "x")
	for from, want := range map[string]string{
		f.url + "/browse/?sort=size": "/browse/?sort=size", f.url + "/file/a&b.txt": "/file/a&amp;b.txt", f.url + "/do/access-key": "/", f.url + "/signin": "/",
		f.url + "/do/move": "/", f.url + "//evil.example/": "/", "http://evil.example/browse/": "/", "": "/", "%": "/",
	} {
		p := b.pressed("/do/move", map[string]string{"Referer": from}, url.Values{"from": {"none"}, "to": {"there"}})
		if p.status != 404 || !strings.Contains(p.body, `href="`+want+`">Go back`) {
			t.Errorf("from %q: %d %s", from, p.status, p.body)
		}
	}
	for from, want := range map[string]string{f.url + "/share/a&b.txt": "/share/a&b.txt", f.url + "/shared": "/shared", "http://evil.example/share/a": "/shared"} {
		b.link(t, "a&b.txt", "", "")
		id := unlink.FindStringSubmatch(b.get("/shared").body)
		if id == nil {
			t.Fatal("no link is listed")
		}
		b.pressed("/do/unlink", map[string]string{"Referer": from}, url.Values{"id": {id[1]}}).want(t, "a link is removed from "+from, want)
		if unlink.MatchString(b.get("/shared").body) {
			t.Error("the link is still there")
		}
	}
}
