package integration

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
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

func newSurfer(t *testing.T, server string) *surfer {
	t.Helper()
	chromium := require.Tool(t, "chromium", "chromium-browser")
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(chromium), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir())}
	for _, flag := range []string{"disable-background-networking", "disable-quic", "disable-component-update", "disable-sync"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocated, stop := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(func() { cancel(); stop() })
	return &surfer{t, ctx, server}
}

// open goes to a page.
func (s *surfer) open(path string) {
	s.t.Helper()
	if err := chromedp.Do(s.ctx, chromedp.Navigate(s.url+path)); err != nil {
		s.t.Fatal(err)
	}
}

// js runs a script in the page and returns its value as text.
func (s *surfer) js(format string, args ...any) string {
	s.t.Helper()
	v, err := chromedp.Run(s.ctx, chromedp.Evaluate[any](fmt.Sprintf(format, args...)))
	if err != nil {
		s.t.Fatalf("%s: %v", format, err)
	}
	return fmt.Sprint(v)
}

// sees waits until the page says something.
func (s *surfer) sees(text string) {
	s.t.Helper()
	eventually(s.t, 15*time.Second, func() error {
		v, err := chromedp.Run(s.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		if err == nil && !strings.Contains(v, text) {
			err = fmt.Errorf("the page does not say %q but:\n%s", text, v)
		}
		return err
	})
}

// has waits until the page has an element.
func (s *surfer) has(selector string) {
	s.t.Helper()
	eventually(s.t, 15*time.Second, func() error {
		if s.js("document.querySelector(%q) !== null", selector) != "true" {
			return fmt.Errorf("the page has no %s", selector)
		}
		return nil
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
	if got := s.js(`document.querySelector("a[download]").getAttribute("href")`); got != "/download/greetings/hello.txt" {
		t.Errorf("Download leads to %q", got)
	}
	if got := s.js(`document.querySelectorAll("#list tbody tr").length`); got != "1" {
		t.Errorf("%s lines of one file", got)
	}
	s.press("#list form[action='/do/delete']", nil)
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

// What somebody uploads does not run as our page.
func TestWebStoredScript(t *testing.T) {
	a := newAccount(t, server(t), "script")
	a.store(t, "evil.html", []byte(`<script>document.title = "ran"; fetch("/files").then(r => r.text()).then(x => document.title = x)</script>`))
	a.store(t, "evil.svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>document.title = "ran"</script></svg>`))
	a.store(t, `<img src=x onerror="document.title='ran'">.txt`, []byte("x"))
	s := newSurfer(t, a.server.URL)
	s.open("/")
	s.press("form[action='/signin']", map[string]string{"email": a.email, "password": a.password})
	s.sees("evil.html")
	for _, path := range []string{"/file/evil.html", "/file/evil.svg", "/file/" + url.PathEscape(`<img src=x onerror="document.title='ran'">.txt`)} {
		s.open(path)
		time.Sleep(200 * time.Millisecond)
		if title := s.js("document.title"); strings.Contains(title, "ran") && !strings.Contains(title, "onerror") {
			t.Errorf("a script ran at %s: the title is %q", path, title)
		}
	}
}

// TestScreenshots writes pictures of the pages into the folder that SATCHEL_SCREENSHOTS names
// (make screenshots).
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SATCHEL_SCREENSHOTS")
	if dir == "" {
		t.Skip("only for make screenshots: SATCHEL_SCREENSHOTS is not set")
	}
	a := newAccount(t, server(t), "shots")
	for path, content := range map[string]string{"Letters/to-ada.txt": "Dear Ada,\n\nthe engine works.\n", "Letters/to-grace.txt": "Dear Grace", "Photos/moth.txt": "first actual case",
		"budget.csv": "a,b\n1,2\n", "report.txt": "final", "report (conflict, laptop, 2026-11-23 14.02).txt": "also final"} {
		a.store(t, path, []byte(content))
	}
	a.store(t, "Letters/to-ada.txt", []byte("Dear Ada,\n\nthe engine works. Come and see it.\n"))
	s := newSurfer(t, a.server.URL)
	sizes := []struct {
		word          string
		width, height int64
	}{{"desktop", 1100, 800}, {"phone", 390, 800}}
	shoot := func(word, path string) {
		for _, size := range sizes {
			if err := chromedp.Do(s.ctx, chromedp.EmulateViewport(size.width, size.height)); err != nil {
				t.Fatal(err)
			}
			s.open(path)
			time.Sleep(500 * time.Millisecond) // for previews and the script
			b, err := chromedp.Run(s.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, word+"-"+size.word+".png"), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	shoot("sign-in", "/")
	s.press("form[action='/signin']", map[string]string{"email": a.email, "password": a.password})
	s.sees("budget.csv")
	shoot("files", "/browse/")
	shoot("file", "/file/Letters/to-ada.txt")
	shoot("trash", "/trash")
	shoot("account", "/account")
}
