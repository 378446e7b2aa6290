package integration

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"satchel/api"
)

// tell gives a browser's tab a command of its protocol.
func tell[R any](s *surfer, command func(context.Context, *chromedp.Target) (R, error)) {
	s.t.Helper()
	_, err := do(s, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := command(ctx, t)
		return err
	}))
	if err != nil {
		s.t.Fatal(err)
	}
}

// empties makes a folder of n empty files in one's drive.
func (a *account) empties(t *testing.T, folder string, n int) {
	t.Helper()
	var drive api.DriveInfo
	must(t, json.Unmarshal(a.ask(t, "GET", "/v1/drives/home", nil, nil).must(t, 200).body, &drive))
	dir, life := api.NewID(), api.NewID()
	all := []api.Mutation{{Op: api.OpCreate, Node: dir, Parent: drive.Root, Name: api.Name(folder), Attr: &api.Attr{Type: api.Directory}, Time: 1}}
	for i := range n {
		all = append(all, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: dir, Name: api.Name(fmt.Sprintf("photo-%05d.jpg", i)),
			Attr: &api.Attr{Type: api.File}, Version: &api.Version{ID: api.NewID(), SHA256: sha256.Sum256(nil)}, Time: 1})
	}
	for number := uint64(1); len(all) > 0; number++ {
		some := all[:min(len(all), 2000)]
		all = all[len(some):]
		body, err := json.Marshal(api.Batch{Incarnation: life, Number: number, Mutations: some})
		must(t, err)
		a.ask(t, "POST", "/v1/drives/home/batches", asJSON, body).must(t, 200)
	}
}

// TestWebScrolls: a folder of 10,000 files is scrolled to its last one, which is then in view.
func TestWebScrolls(t *testing.T) {
	const files = 10_000
	a := newAccount(t, ownServer(t), "scroll")
	a.empties(t, "many", files)
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.open("/browse/many")
	eventually(t, 5*time.Minute, func() error {
		s.js(`scrollTo(0, document.documentElement.scrollHeight); 1`)
		if n := s.js(`document.querySelectorAll("#list tbody tr").length`); n != fmt.Sprint(files) {
			return fmt.Errorf("%s files show", n)
		}
		return nil
	})
	if got := s.js(`new Set([...document.querySelectorAll("#list tbody tr")].map((r) => r.dataset.name)).size`); got != fmt.Sprint(files) {
		t.Errorf("%s names show", got)
	}
	if got := s.js(`performance.getEntriesByType("resource").filter((e) => e.name.includes("from=")).length <= 20`); got != "true" {
		t.Errorf("scrolling to the end was %s requests", s.js(`performance.getEntriesByType("resource").filter((e) => e.name.includes("from=")).length`))
	}
	last := row(fmt.Sprintf("photo-%05d.jpg", files-1))
	s.has(last)
	s.has("#list tbody tr:last-child" + last[len("#list tr"):])
	eventually(t, time.Minute, func() error {
		s.js(`document.querySelector(%q).scrollIntoView({ block: "center" }); 1`, last)
		if got := s.js(`{const r = document.querySelector(%q).getBoundingClientRect(); r.height > 0 && r.top >= 0 && r.bottom <= innerHeight}`, last); got != "true" {
			return fmt.Errorf("the last file is not in view")
		}
		return nil
	})
}

// TestWebWithoutScript: with scripts off one signs in, walks, uploads, downloads, makes a folder, deletes
// and restores, by links and forms alone.
func TestWebWithoutScript(t *testing.T) {
	a := newAccount(t, server(t), "plain")
	a.store(t, "letters/dear.txt", []byte("Dear reader"))
	s := newSurfer(t, a.server.URL)
	tell(s, func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	})
	s.signIn(a)
	if got := s.js(`document.documentElement.classList.contains("script")`); got != "false" {
		t.Fatal("a script ran")
	}
	s.js(`document.querySelectorAll("details").forEach((d) => { d.open = true; }); 1`)
	if got := s.js(`[...document.querySelectorAll("#whole, #keys, #unselect, #upload [name=path], #upload [name=description]")].filter((e) => e.checkVisibility()).map((e) => e.outerHTML).join(" ")`); got != "" {
		t.Errorf("the page shows what only works by script: %s", got)
	}
	s.click(row("letters") + " a.name")
	s.sees("dear.txt")

	file := filepath.Join(t.TempDir(), "new one.txt")
	must(t, os.WriteFile(file, []byte("from a form"), 0o600))
	s.choose("#upload [type=file]", file)
	s.click("#upload button:not([type])")
	s.has(row("new one.txt"))
	must(t, a.stored(t, "letters/new one.txt", []byte("from a form")))

	s.click(row("new one.txt") + " a.name")
	s.sees("from a form")
	href := s.js(`document.querySelector("main a[href^='/download/']").getAttribute("href")`)
	if got := a.ask(t, "GET", href, nil, nil).must(t, 200); string(got.body) != "from a form" {
		t.Errorf("%s is %v", href, got)
	}
	s.click(".crumbs a[href='/browse/letters']")
	s.press("form[action='/do/mkdir']", map[string]string{"name": "older"})
	s.has(row("older"))
	s.click(row("dear.txt") + " .check input")
	s.click("#selection [formaction='/do/delete-these']")
	s.hasNot(row("dear.txt"))
	s.open("/trash")
	s.sees("letters/dear.txt")
	s.press("form[action='/do/restore']", nil)
	s.has("#list, .empty")
	must(t, a.stored(t, "letters/dear.txt", []byte("Dear reader")))
}

// TestWebSlowNetwork: at 50 kB/s and 300 ms an upload shows how far it is, and the page goes on working
// meanwhile.
func TestWebSlowNetwork(t *testing.T) {
	a := newAccount(t, server(t), "slow")
	a.store(t, "deep/treasure map.txt", []byte("gold"))
	s := newSurfer(t, a.server.URL)
	tell(s, func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, network.Enable, network.EnableParams{})
	})
	tell(s, func(ctx context.Context, t *chromedp.Target) (network.EmulateNetworkConditionsByRuleResult, error) {
		return cdp.Call(ctx, t, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{Latency: 300, DownloadThroughput: 50e3, UploadThroughput: 50e3}}})
	})
	s.signIn(a)
	s.has(row("deep"))
	s.has("#transfers") // its script has come, too
	film := filepath.Join(t.TempDir(), "film.bin")
	content := randomBytes(400_000)
	must(t, os.WriteFile(film, content, 0o600))
	// The page itself writes down how far it shows the upload to be, so that no poll misses it.
	s.js(`window.shares = new Set(); window.watch = new MutationObserver(() => { const p = document.querySelector("#transfers li progress"); if (p) shares.add(p.value / p.max); });
		watch.observe(document.querySelector("#transfers"), { attributes: true, childList: true, subtree: true }); 1`)
	s.choose("#upload [type=file]", film)
	s.press("#upload", nil)
	s.has("#transfers li progress")
	s.js(`document.querySelector("#filter").focus(); 1`)
	s.key("treasure")
	s.has(row("treasure map.txt"))
	s.js(`{const f = document.querySelector("#filter"); f.value = ""; f.dispatchEvent(new Event("input")); 1}`)
	eventually(t, 2*time.Minute, func() error {
		if s.js("document.querySelector(%q) !== null", row("film.bin")) != "true" {
			return fmt.Errorf("the upload has not come: %s", s.js(`[...shares].join(" ")`))
		}
		return nil
	})
	must(t, a.stored(t, "film.bin", content))
	if got := s.js(`[...shares].some((x) => x > 0 && x < 1)`); got != "true" {
		t.Errorf("the upload showed no progress between its begin and its end: %s", s.js(`[...shares].join(" ")`))
	}
}
