package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
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
	_, err := do(s, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := chromedp.EmulateViewport(on.width, on.height)(ctx, t); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
	if err != nil {
		s.t.Fatal(err)
	}
}

// looks are what pages are looked at on.
var looks = []screen{{"desktop", 1100, 720, false}, {"desktop-dark", 1100, 720, true}, {"phone", 390, 760, false}, {"phone-dark", 390, 760, true}}

// TestWebAccessible: axe-core finds nothing serious on any page, and with any menu or dialog open,
// on a desk in light and on a phone in dark; and no page is wider than its window.
func TestWebAccessible(t *testing.T) {
	axe, err := os.ReadFile(require.File(t, "axe.min.js"))
	must(t, err)
	check := func(s *surfer) func(stop) {
		return func(p stop) {
			for _, on := range []screen{looks[0], looks[3]} {
				s.show(on)
				s.visit(p)
				if p.act == nil { // what opens by a press is looked at, too
					s.js(`document.querySelectorAll("main details").forEach((d) => { if (!d.matches(".menu")) d.open = true; }); 1`)
				}
				s.audit(string(axe), p.word+" ("+on.word+")")
			}
		}
	}
	own := ownServer(t, "--open-signup")
	s := newSurfer(t, own.URL)
	tour(t, s, named(t, own, "ada"), named(t, own, "grace"), check(s))
	b := newSurfer(t, own.URL)
	tourOfAdmin(t, b, own, check(b))
}

// audit runs axe on the page.
func (s *surfer) audit(axe, where string) {
	s.t.Helper()
	if _, err := do(s, chromedp.Evaluate[any](axe+";1")); err != nil {
		s.t.Fatal(err)
	}
	got := s.await(`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then((r) => r.passes.length < 10 ? "[]x" : JSON.stringify(r.violations.map((v) => ({impact: v.impact, id: v.id, help: v.help, where: v.nodes.slice(0, 3).map((n) => n.html)}))))`)
	var found []struct {
		Impact, ID, Help string
		Where            []string
	}
	must(s.t, json.Unmarshal([]byte(got), &found))
	for _, f := range found {
		if f.Impact == "serious" || f.Impact == "critical" {
			s.t.Errorf("%s: %s: %s: %q", where, f.ID, f.Help, f.Where)
		} else {
			s.t.Logf("%s: %s (%s) %q", where, f.Help, f.Impact, f.Where)
		}
	}
	if over := s.js(`document.documentElement.scrollWidth - document.documentElement.clientWidth`); over != "0" {
		s.t.Errorf("%s is %s pixels too wide", where, over)
	}
}

// await runs a script and waits for its promise.
func (s *surfer) await(format string, args ...any) string {
	s.t.Helper()
	v, err := do(s, chromedp.Evaluate[any](fmt.Sprintf(format, args...), func(p *runtime.EvaluateParams) { p.AwaitPromise = new(true) }))
	if err != nil {
		s.t.Fatalf("%s: %v", format, err)
	}
	return fmt.Sprint(v)
}

// visit opens a page, waits until its pictures and previews are there, and does what is to be
// done on it.
func (s *surfer) visit(p stop) {
	s.t.Helper()
	s.open(p.path)
	eventually(s.t, time.Minute, func() error {
		if s.js(`document.readyState === "complete" && [...document.images].every((i) => i.complete || i.loading === "lazy" && i.getBoundingClientRect().top > innerHeight)`) != "true" {
			return fmt.Errorf("pictures of %s are missing", p.path)
		}
		return nil
	})
	if p.act != nil {
		p.act()
	}
}

// TestScreenshots writes pictures of all pages into the folder that SATCHEL_SCREENSHOTS names
// (make screenshots).
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("SATCHEL_SCREENSHOTS")
	if dir == "" {
		t.Skip("only for make screenshots: SATCHEL_SCREENSHOTS is not set")
	}
	draw := func(s *surfer) func(stop) {
		return func(p stop) {
			for _, on := range looks {
				s.show(on)
				s.visit(p)
				whole := p.act == nil
				if whole { // a preview is drawn while it is in sight
					tall, err := strconv.ParseInt(s.js(`document.documentElement.scrollHeight`), 10, 64)
					must(t, err)
					s.show(screen{on.word, on.width, max(on.height, tall), on.dark})
				}
				time.Sleep(300 * time.Millisecond) // for the previews of other processes
				must(t, os.WriteFile(filepath.Join(dir, p.word+"-"+on.word+".webp"), s.picture(whole), 0o644))
			}
		}
	}
	own := ownServer(t, "--open-signup")
	s := newSurfer(t, own.URL)
	tour(t, s, named(t, own, "ada"), named(t, own, "grace"), draw(s))
	b := newSurfer(t, own.URL)
	tourOfAdmin(t, b, own, draw(b))
}

// picture is what the window shows as WebP, or the whole page: what floats above it covers the
// window only.
func (s *surfer) picture(whole bool) (image []byte) {
	s.t.Helper()
	_, err := do(s, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		got, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Format: page.CaptureScreenshotFormatWebp, Quality: new(int64(60)), CaptureBeyondViewport: new(whole)})
		if err == nil {
			image = got.Data
		}
		return err
	}))
	if err != nil {
		s.t.Fatal(err)
	}
	return image
}
