package integration

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"satchel/integration/require"
)

// A surfer is somebody at a real browser.
type surfer struct {
	t   *testing.T
	ctx context.Context
	url string
}

func newSurfer(t *testing.T, server string) *surfer { return newSurferIn(t, server, "C.UTF-8") }

// newSurferIn is somebody whose desktop has a locale; in "C" their browser can't read files whose names are not ASCII.
func newSurferIn(t *testing.T, server, locale string, more ...chromedp.ExecAllocatorOption) *surfer {
	t.Helper()
	chromium := require.Tool(t, "chromium", "chromium-browser")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Env("LC_ALL="+locale), chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocated, stop := chromedp.NewExecAllocator(t.Context(), append(options, more...)...)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(func() { cancel(); stop() })
	must(t, chromedp.Do(ctx)) // the browser lives as long as the context of the first call
	return &surfer{t: t, ctx: ctx, url: server}
}

// browserTime is how long a browser may take for one thing. About a page that goes elsewhere by
// itself at the same moment it may never answer.
const browserTime = time.Minute

// do lets the browser do one thing.
func do[T any](s *surfer, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(s.ctx, browserTime)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// open goes to a page; again where the one that is shown went somewhere by itself meanwhile.
func (s *surfer) open(path string) {
	s.t.Helper()
	var err error
	for range 3 {
		if _, err = do(s, chromedp.Navigate(s.url+path)); err == nil {
			return
		}
	}
	s.t.Fatalf("%s: %v", path, err)
}

// js runs a script in the page and returns its value as text.
func (s *surfer) js(format string, args ...any) string {
	s.t.Helper()
	v, err := do(s, chromedp.Evaluate[any](fmt.Sprintf(format, args...)))
	if err != nil {
		s.t.Fatalf("%s: %v", format, err)
	}
	return fmt.Sprint(v)
}

// sees waits until the page says something.
func (s *surfer) sees(text string) {
	s.t.Helper()
	eventually(s.t, time.Minute, func() error {
		v, err := do(s, chromedp.Evaluate[string]("document.body.innerText"))
		if err == nil && !strings.Contains(v, text) {
			err = fmt.Errorf("the page does not say %q but:\n%s", text, v)
		}
		return err
	})
}

// has waits until the page has an element.
func (s *surfer) has(selector string) {
	s.t.Helper()
	eventually(s.t, time.Minute, func() error {
		found, err := do(s, chromedp.Evaluate[bool](fmt.Sprintf("document.querySelector(%q) !== null", selector)))
		if err == nil && !found {
			err = fmt.Errorf("the page has no %s", selector)
		}
		return err
	})
}

// press fills in a form by its fields' names and sends it.
func (s *surfer) press(form string, fields map[string]string) {
	s.t.Helper()
	s.has(form)
	for name, value := range fields {
		s.js(`document.querySelector(%q).elements[%q].value = %q; 1`, form, name, value)
	}
	s.js(`document.querySelector(%q).requestSubmit(); 1`, form)
}

// give puts a file into a page's chooser, as a person does who picked it.
func (s *surfer) give(input, name, content string) {
	s.t.Helper()
	s.becomes("complete", "document.readyState") // its scripts listen
	s.js(`{const d = new DataTransfer(); d.items.add(new File([%q], %q)); const i = document.querySelector(%q); i.files = d.files; i.dispatchEvent(new Event("change")); 1}`, content, name, input)
}

func TestWebPage(t *testing.T) {
	a := newAccount(t, server(t), "web")
	s := newSurfer(t, a.server.URL)
	s.open("/some/page/that/is/not")
	s.sees("Sign in")
	s.press("form[action='/signin']", map[string]string{"email": a.email, "password": "wrong"})
	s.sees("Invalid email or password.")
	s.press("form[action='/signin']", map[string]string{"email": a.email, "password": a.password})
	s.sees("This folder is empty.")

	// Upload: the path is what the file is called, in the folder shown; the list follows.
	s.give("#upload [type=file]", "hello.txt", "Hello, page.")
	if got := s.js(`document.querySelector("#upload [name=path]").value`); got != "hello.txt" {
		t.Errorf("the path field is %q", got)
	}
	s.press("#upload", map[string]string{"path": "greetings/hello.txt", "description": "said <i>once</i>"})
	s.has(`#list tr[data-name="greetings"]`)
	if err := a.stored(t, "greetings/hello.txt", []byte("Hello, page.")); err != nil {
		t.Error(err)
	}

	// What others do shows without a reload.
	a.store(t, "from-elsewhere.txt", []byte("x"))
	s.has(`#list tr[data-name="from-elsewhere.txt"]`)

	s.open("/browse/greetings")
	s.sees("hello.txt")
	s.click(`#list tr[data-name="hello.txt"] a.dots`)
	if got := s.js(`document.querySelector("#rowmenu a[download]").getAttribute("href")`); got != "/download/greetings/hello.txt" {
		t.Errorf("Download leads to %q", got)
	}
	if got := s.js(`document.querySelectorAll("#list tbody tr").length`); got != "1" {
		t.Errorf("%s lines of one file", got)
	}
	s.click(`#list tr[data-name="hello.txt"] .check input`)
	s.click("#selection [formaction='/do/delete-these']")
	s.sees("This folder is empty.")
	s.open("/trash")
	s.sees("greetings/hello.txt")
	s.press("form[action='/do/restore']", nil)
	s.sees("hello.txt")

	s.press("form[action='/signout']", nil)
	s.sees("You are logged out.")
	s.open("/browse/greetings")
	s.sees("Sign in")
}

// TestWebStoredScript: what somebody uploads does not run as a page of ours: it reads no cookie
// and calls no API, however it is opened.
func TestWebStoredScript(t *testing.T) {
	a := newAccount(t, server(t), "script")
	const attack = `document.title = "ran"; fetch("/do/mkdir", {method: "POST", body: new URLSearchParams({in: "", name: "pwned-" + document.cookie})}); parent.postMessage("ran", "*")`
	svg := `<svg xmlns="http://www.w3.org/2000/svg"><script>` + attack + `</script></svg>`
	files := map[string]string{
		"evil.html": "<script>" + attack + "</script>", "evil.svg": svg, "evil.xhtml": `<html xmlns="http://www.w3.org/1999/xhtml"><script>` + attack + `</script></html>`,
		"evil.xml": `<?xml version="1.0"?>` + svg, "evil.txt": "<script>" + attack + "</script>", "evil": "<script>" + attack + "</script>", "evil.png": "<script>" + attack + "</script>",
		`<img src=x onerror="document.title='ran'">.txt`: "x",
	}
	for name, content := range files {
		a.store(t, name, []byte(content))
	}
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.sees("evil.html")
	s.js(`window.messages = 0; addEventListener("message", () => messages++); 1`)
	for name := range files {
		path := url.PathEscape(name)
		// Within our own page, in every way that shows something.
		s.js(`for (const tag of ["iframe", "object", "embed", "img"]) { const e = document.createElement(tag); e[tag === "object" ? "data" : "src"] = %q; document.body.append(e); } 1`, "/open/"+path)
	}
	time.Sleep(time.Second)
	if got := s.js("messages + document.title"); strings.Contains(got, "ran") && !strings.Contains(got, "onerror") || !strings.HasPrefix(got, "0") {
		t.Errorf("a script ran within our page: %s", got)
	}
	for name := range files {
		s.open("/file/" + url.PathEscape(name))
		time.Sleep(100 * time.Millisecond)
		if title := s.js("document.title"); strings.HasPrefix(title, "ran") {
			t.Errorf("a script ran at the page of %q", name)
		}
	}
	for _, f := range []string{"evil.html", "evil.svg"} { // and by a link, whose pages are the same origin
		s.open("/share/" + f)
		s.press("form[action='/do/link']", map[string]string{"days": "1"})
		s.sees("Links")
		link := s.js(`document.querySelector("[aria-label='Address of the link']").value`)
		s.open("/browse/")
		s.js(`{const e = document.createElement("iframe"); e.src = %q; document.body.append(e); 1}`, strings.TrimPrefix(link, s.url)+"/?open")
		time.Sleep(500 * time.Millisecond)
	}
	if got := a.ask(t, "GET", "/api/vfs/ls/home", nil, nil); strings.Contains(string(got.body), "pwned") {
		t.Errorf("an uploaded script called the API: %s", got.body)
	}
}

// TestWebLinkElsewhere: somebody with another browser and no account opens a link; when it is
// removed it is over for him.
func TestWebLinkElsewhere(t *testing.T) {
	a := newAccount(t, server(t), "link")
	a.store(t, "trip/view.txt", []byte("a wide valley"))
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.open("/share/trip")
	s.press("form[action='/do/link']", map[string]string{"days": "7", "password": "edelweiss"})
	s.sees("Links")
	link := strings.TrimPrefix(s.js(`document.querySelector("[aria-label='Address of the link']").value`), s.url)

	guest := newSurfer(t, a.server.URL)
	guest.open(link)
	guest.press("form.card", map[string]string{"password": "wrong"})
	guest.sees("This is not the password.")
	guest.press("form.card", map[string]string{"password": "edelweiss"})
	guest.sees("view.txt")
	guest.click("tbody a.name")
	guest.sees("a wide valley")
	if got := guest.await(`fetch(location.pathname + "?save").then((r) => r.text())`); got != "a wide valley" {
		t.Errorf("the guest saves %q", got)
	}
	s.click("form[action='/do/unlink'] button")
	s.hasNot("form[action='/do/unlink']")
	guest.open(link)
	guest.sees("It is not there")
}
