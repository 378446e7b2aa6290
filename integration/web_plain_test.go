package integration

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// newSurferAt is somebody at a browser on another machine: the server has a name there that is not this machine's.
func newSurferAt(t *testing.T, host, server string) *surfer {
	t.Helper()
	at, err := url.Parse(server)
	must(t, err)
	return newSurferIn(t, "http://"+host+":"+at.Port(), "C.UTF-8", chromedp.Flag("host-resolver-rules", "MAP * 127.0.0.1"))
}

// TestWebPlainHTTP: over plain http from another machine, where browsers send no Sec-Fetch-Site, all forms work, with
// script and without; one comes back to where one was, and other sites are not told of a link.
func TestWebPlainHTTP(t *testing.T) {
	a := newAccount(t, server(t), "plainhttp")
	a.store(t, "trip/view.txt", []byte("a wide valley"))
	s := newSurferAt(t, "nas", a.server.URL)
	s.signIn(a)
	if got := s.js("isSecureContext"); got != "false" {
		t.Fatal("the browser trusts the address")
	}
	s.press("form[action='/do/mkdir']", map[string]string{"name": "made"})
	s.has(row("made"))
	file := filepath.Join(t.TempDir(), "up.txt")
	must(t, os.WriteFile(file, []byte("by the script"), 0o600))
	s.open("/browse/made")
	s.choose("#upload [type=file]", file)
	s.press("#upload", nil)
	s.has(row("up.txt"))
	must(t, a.stored(t, "made/up.txt", []byte("by the script")))

	// A form that fails says so on a page that leads back.
	s.press("form[action='/do/mkdir']", map[string]string{"name": "up.txt"})
	s.sees("Go back")
	s.click("a.button")
	s.becomes("/browse/made", "location.pathname")

	s.open("/share/trip")
	s.press("form[action='/do/link']", map[string]string{"days": "7", "password": "edelweiss"})
	s.has("[aria-label='Address of the link']")
	link := strings.TrimPrefix(s.js(`document.querySelector("[aria-label='Address of the link']").value`), s.url)
	if !strings.HasPrefix(link, "/s/") {
		t.Fatalf("the link is %q", link)
	}
	told := make(chan string, 10)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			told <- r.Referer()
		}
	}))
	defer elsewhere.Close()
	there := strings.Replace(elsewhere.URL, "127.0.0.1", "elsewhere", 1) + "/there"

	guest := newSurferAt(t, "nas", a.server.URL)
	guest.open(link + "/")
	guest.press("form.card", map[string]string{"password": "wrong"})
	guest.sees("This is not the password.")
	guest.press("form.card", map[string]string{"password": "edelweiss"})
	guest.sees("view.txt")
	for _, path := range []string{"/", "/view.txt", "/view.txt?open"} {
		guest.open(link + path)
		guest.has("body")
		guest.js(`{const a = document.createElement("a"); a.href = %q; document.body.append(a); a.click(); 1}`, there)
		if got := <-told; got != "" {
			t.Errorf("another site is told of %s", got)
		}
	}

	s.click("form[action='/do/unlink'] button")
	s.hasNot("form[action='/do/unlink']")
	if got := s.js("location.pathname"); got != "/share/trip" {
		t.Errorf("after its link is removed, of /share/trip there is %s", got)
	}
	s.press("form[action='/signout']", nil)
	s.sees("You are logged out.")
}
