package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"satchel/integration/require"
)

// A screen is a size and a colour scheme that pages are looked at in.
type screen struct {
	word          string
	width, height int64
	dark          bool
}

// show makes a browser's window that screen.
func (s *surfer) show(on screen) {
	s.t.Helper()
	scheme := "light"
	if on.dark {
		scheme = "dark"
	}
	err := chromedp.Do(s.ctx, chromedp.EmulateViewport(on.width, on.height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
	if err != nil {
		s.t.Fatal(err)
	}
}

// landscape is a picture of hills, as a camera would take it.
func landscape() []byte {
	m := image.NewRGBA(image.Rect(0, 0, 900, 600))
	for y := range 600 {
		for x := range 900 {
			sky := uint8(120 + y/6)
			c := color.RGBA{sky, uint8(160 + y/10), 235, 255}
			for i, hill := range []color.RGBA{{130, 150, 120, 255}, {90, 120, 80, 255}, {50, 80, 60, 255}} {
				if float64(y) > 300+80*float64(i)+50*math.Sin(float64(x)/float64(120-20*i)+float64(i)) {
					c = hill
				}
			}
			m.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	jpeg.Encode(&b, m, &jpeg.Options{Quality: 85})
	return b.Bytes()
}

// tour visits every page that people see, signed in where it must be, with something on it.
func tour(t *testing.T, s *surfer, visit func(word, path string)) {
	a, friend := newAccount(t, s.server, "ada"), newAccount(t, s.server, "grace")
	for path, content := range map[string][]byte{
		"Letters/to-grace.txt": []byte("Dear Grace,\n\nthe moth is in the book.\n"), "Letters/to-charles.txt": []byte("Dear Charles"),
		"Photos/hills.jpg": landscape(), "hills.jpg": landscape(), "Code/engine.go": []byte("package engine\n\n// Notes are what it computes.\nfunc Notes(n int) int {\n\treturn n * (n + 1)\n}\n"),
		"budget.csv": []byte("what,how much\ncards,12\nbrass,340\n"), "report.txt": []byte("The final report."),
		"report (conflict, laptop, 2026-11-23 14.02).txt": []byte("The final report, and what it means."), "gone.txt": []byte("x"),
	} {
		a.store(t, path, content)
	}
	a.store(t, "Letters/to-grace.txt", []byte("Dear Grace,\n\nthe moth is in the book, and taped to it.\n"))
	friend.store(t, "Team/plan.txt", []byte("the plan"))
	visit("sign-in", "/")
	s.signIn(friend)
	s.await(`fetch("/do/share", {method: "POST", body: new URLSearchParams({path: "Team", email: %q, may: "write"})}).then(r => r.status)`, a.email)
	s.open("/share/Team")
	s.sees("Take it back")
	s.press("form[action='/signout']", nil)
	s.sees("You are logged out.")
	s.signIn(a)
	s.sees("budget.csv")
	s.click(row("gone.txt") + " .check input")
	s.click("#selection [formaction='/do/delete-these']")
	s.hasNot(row("gone.txt"))
	s.open("/share/Photos")
	s.press("form[action='/do/link']", map[string]string{"days": "7"})
	s.sees("Links")
	link := strings.TrimPrefix(s.js(`document.querySelector("[aria-label='Address of the link']").value`), s.url)
	s.open("/share/report.txt")
	s.press("form[action='/do/link']", map[string]string{"days": "1", "password": "a word"})
	s.sees("Links")
	asking := strings.TrimPrefix(s.js(`document.querySelector("[aria-label='Address of the link']").value`), s.url)

	visit("files", "/browse/")
	visit("empty", "/browse/Empty") // made below the first time, and shown
	visit("search", "/browse/?q=report")
	visit("file", "/file/Letters/to-grace.txt")
	visit("picture", "/file/hills.jpg")
	visit("share", "/share/Photos")
	visit("shared", "/shared")
	visit("conflicts", "/conflicts")
	visit("trash", "/trash")
	visit("account", "/account")
	visit("link", link+"/")
	visit("link-password", asking+"/")
	visit("error", "/file/nothing/here.txt")
}

// TestWebAccessible: axe-core finds nothing serious on any page, in light and in dark, on a
// desk and on a phone.
func TestWebAccessible(t *testing.T) {
	axe, err := os.ReadFile(require.File(t, "axe.min.js"))
	must(t, err)
	s := newSurfer(t, server(t).URL)
	s.server = server(t)
	screens := []screen{{"desktop", 1200, 800, false}, {"phone", 390, 800, true}}
	tour(t, s, func(word, path string) {
		for _, on := range screens {
			s.show(on)
			s.visit(path)
			if _, err := chromedp.Run(s.ctx, chromedp.Evaluate[any](string(axe)+";1")); err != nil {
				t.Fatal(err)
			}
			// What opens by a press is looked at, too.
			s.js(`document.querySelectorAll("main details").forEach((d) => { if (!d.matches(".menu")) d.open = true; }); 1`)
			got := s.await(`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
				.then((r) => r.passes.length < 10 ? "[]x" : JSON.stringify(r.violations.map((v) => ({impact: v.impact, id: v.id, help: v.help, where: v.nodes.slice(0, 3).map((n) => n.html)}))))`)
			var found []struct {
				Impact, ID, Help string
				Where            []string
			}
			must(t, json.Unmarshal([]byte(got), &found))
			for _, f := range found {
				if f.Impact == "serious" || f.Impact == "critical" {
					t.Errorf("%s (%s): %s: %s: %q", word, on.word, f.ID, f.Help, f.Where)
				} else {
					t.Logf("%s (%s): %s (%s) %q", word, on.word, f.Help, f.Impact, f.Where)
				}
			}
			if over := s.js(`document.documentElement.scrollWidth - document.documentElement.clientWidth`); over != "0" {
				t.Errorf("%s (%s) is %s pixels too wide", word, on.word, over)
			}
		}
	})
}

// await runs a script and waits for its promise.
func (s *surfer) await(format string, args ...any) string {
	s.t.Helper()
	v, err := chromedp.Run(s.ctx, chromedp.Evaluate[any](fmt.Sprintf(format, args...), func(p *runtime.EvaluateParams) { p.AwaitPromise = new(true) }))
	if err != nil {
		s.t.Fatalf("%s: %v", format, err)
	}
	return fmt.Sprint(v)
}

// visit opens a page and waits until its pictures and previews are there.
func (s *surfer) visit(path string) {
	s.t.Helper()
	if path == "/browse/Empty" {
		s.await(`fetch("/do/mkdir", {method: "POST", body: new URLSearchParams({in: "", name: "Empty"})}).then(r => r.status)`)
	}
	s.open(path)
	eventually(s.t, 15*time.Second, func() error {
		if s.js(`[...document.images].every((i) => i.complete || i.loading === "lazy" && i.getBoundingClientRect().top > innerHeight)`) != "true" {
			return fmt.Errorf("pictures of %s are missing", path)
		}
		return nil
	})
}

// TestScreenshots writes pictures of the pages into the folder that SATCHEL_SCREENSHOTS names
// (make screenshots).
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SATCHEL_SCREENSHOTS")
	if dir == "" {
		t.Skip("only for make screenshots: SATCHEL_SCREENSHOTS is not set")
	}
	s := newSurfer(t, server(t).URL)
	s.server = server(t)
	tour(t, s, func(word, path string) {
		for _, on := range []screen{{"desktop", 1100, 720, false}, {"desktop-dark", 1100, 720, true}, {"phone", 390, 760, false}, {"phone-dark", 390, 760, true}} {
			s.show(on)
			s.visit(path)
			time.Sleep(300 * time.Millisecond) // for the previews of other processes
			b, err := chromedp.Run(s.ctx, chromedp.FullScreenshot(100))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, word+"-"+on.word+".png"), b, 0o644))
		}
	})
}
