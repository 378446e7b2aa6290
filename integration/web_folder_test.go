package integration

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// key presses keys.
func (s *surfer) key(keys string, options ...chromedp.KeyOption) {
	s.t.Helper()
	if _, err := do(s, chromedp.KeyEvent(keys, options...)); err != nil {
		s.t.Fatal(err)
	}
}

func row(name string) string { return fmt.Sprintf("#list tr[data-name=%q]", name) }

// hasNot waits until the page has no such element any more.
func (s *surfer) hasNot(selector string) {
	s.t.Helper()
	eventually(s.t, time.Minute, func() error {
		if s.js("document.querySelector(%q) === null", selector) != "true" {
			return fmt.Errorf("the page has %s", selector)
		}
		return nil
	})
}

// drag drags one element to another: the events that a browser sends for it.
func (s *surfer) drag(from, to string) {
	s.t.Helper()
	s.has(from)
	s.has(to)
	s.js(`{const from = document.querySelector(%q), to = document.querySelector(%q), dataTransfer = new DataTransfer();
		const send = (on, type) => on.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
		send(from, "dragstart"); send(to, "dragenter");
		if (!send(to, "dragover")) send(to, "drop"); // one that is not prevented is not a place to drop
		send(from, "dragend"); 1}`, from, to)
}

// TestWebFolder is an afternoon in the file manager: search, select, move by drag, rename and
// delete by keys, and the ZIP of a selection.
func TestWebFolder(t *testing.T) {
	a := newAccount(t, server(t), "folder")
	for path, content := range map[string]string{"a.txt": "alpha", "b.txt": "beta", "c.txt": "gamma", "deep/er/treasure map.txt": "gold", "archive/old.txt": "old"} {
		a.store(t, path, []byte(content))
	}
	s := newSurfer(t, a.server.URL)
	s.signIn(a)

	// Search as one types, below this folder too, and by words.
	s.js(`document.querySelector("#filter").focus(); 1`)
	s.key("treasure")
	s.has(row("treasure map.txt"))
	s.hasNot(row("a.txt"))
	s.sees("in deep/er")
	s.key(kb.Escape)
	s.has(row("a.txt"))

	// Walk by keys; space selects; the bar says it.
	s.js(`document.querySelector(%q).focus(); 1`, row("a.txt")+" a.name")
	s.key(" ")
	s.key(kb.ArrowDown)
	s.key(" ")
	s.sees("2 selected")
	// A drag takes all that is selected.
	s.drag(row("a.txt")+" a.name", row("archive"))
	s.hasNot(row("a.txt"))
	s.hasNot(row("b.txt"))
	must(t, a.stored(t, "archive/b.txt", []byte("beta")))

	// Rename by F2.
	s.js(`document.querySelector(%q).focus(); 1`, row("c.txt")+" a.name")
	s.key(kb.F2)
	s.has("dialog[open] input")
	s.js(`{const i = document.querySelector("dialog[open] input"); i.value = "renamed.txt"; i.form.requestSubmit(); 1}`)
	s.has(row("renamed.txt"))
	eventually(t, time.Minute, func() error {
		if got := s.js(`document.activeElement?.closest("tr")?.dataset.name ?? ""`); got != "renamed.txt" {
			return fmt.Errorf("after a rename the focus is on %q", got)
		}
		return nil
	})
	// The menu of a line: copy, and share.
	s.click(row("renamed.txt") + " a.dots")
	if got := s.js(`document.querySelector("#rowmenu").innerText`); !strings.Contains(got, "Download") || !strings.Contains(got, "Share…") || !strings.Contains(got, "Versions") {
		t.Errorf("the menu has %q", got)
	}
	s.key(kb.Escape)
	// Delete by its key; what is deleted is in the trash.
	s.js(`document.querySelector(%q).focus(); 1`, row("renamed.txt")+" a.name")
	s.key(kb.Delete)
	s.hasNot(row("renamed.txt"))
	s.sees("went to the trash")

	// Up by drag onto the folder above.
	s.open("/browse/archive")
	s.drag(row("b.txt")+" a.name", ".crumbs a")
	s.hasNot(row("b.txt"))
	must(t, a.stored(t, "b.txt", []byte("beta")))

	// The ZIP of a selection, as the form sends it.
	body := url.Values{"path": {"archive", "b.txt"}}.Encode()
	got := a.ask(t, http.MethodPost, "/do/zip", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, []byte(body))
	z, err := zip.NewReader(bytes.NewReader(got.body), int64(len(got.body)))
	if err != nil {
		t.Fatalf("%v: %v", err, got)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	if list := strings.Join(names, " "); list != "archive/ archive/a.txt archive/old.txt b.txt" {
		t.Errorf("the ZIP has %s", list)
	}
}

// TestWebFocusStays: a list that is fetched again, since another device changed something, leaves the focus where it was: on a
// line's box, its menu, the head of a column. Where a line has gone it is on the one that took its place.
func TestWebFocusStays(t *testing.T) {
	a := newAccount(t, server(t), "focus")
	for _, name := range []string{"m.txt", "n.txt", "o.txt"} {
		a.store(t, name, []byte(name))
	}
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.becomes("complete", "document.readyState")
	n := 0
	changes := func() { // something else changes
		t.Helper()
		n++
		name := fmt.Sprintf("a%d.txt", n)
		a.store(t, name, []byte("x"))
		s.has(row(name))
	}
	for _, place := range []string{row("n.txt") + " .check input", row("n.txt") + " a.name", row("n.txt") + " a.dots", "#list thead th:nth-child(3) a"} {
		s.js(`document.querySelector(%q).focus(); 1`, place)
		changes()
		if got := s.js(`document.activeElement === document.querySelector(%q)`, place); got != "true" {
			t.Errorf("from %s the focus went to %s", place, s.js(`document.activeElement.outerHTML.slice(0, 100)`))
		}
	}
	s.click(row("n.txt") + " a.dots")
	s.has("#rowmenu:popover-open")
	changes()
	s.key(kb.Escape)
	s.becomes("true", `document.activeElement === document.querySelector(%q)`, row("n.txt")+" a.dots")
	a.ask(t, "DELETE", "/api/vfs/delete/home/n.txt", nil, nil).must(t, 200)
	s.hasNot(row("n.txt"))
	s.becomes("true", `document.activeElement === document.querySelector(%q)`, row("o.txt")+" a.dots")

	// What is said is said in an element that was there before, and that readers of screens know.
	if got := s.js(`{const e = document.querySelector("#toast"); e && e.role + " " + e.textContent + " " + e.checkVisibility({ visibilityProperty: true })}`); got != "status  true" {
		t.Errorf("before anything is said there is %s", got)
	}
}
