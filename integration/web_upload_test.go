package integration

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// uploadVariable is how many MiB TestWebUploadGoesOn sends: 2048 in `make upload`.
const uploadVariable = "SATCHEL_TEST_UPLOAD_MIB"

// choose picks files of this machine in a page's chooser.
func (s *surfer) choose(selector string, files ...string) {
	s.t.Helper()
	s.becomes("complete", "document.readyState") // its scripts listen
	if _, err := do(s, chromedp.SetUploadFiles(chromedp.CSS(selector), files)); err != nil {
		s.t.Fatal(err)
	}
}

// click presses what a selector means, as a script would.
func (s *surfer) click(selector string) {
	s.t.Helper()
	s.has(selector)
	s.js(`document.querySelector(%q).click(); 1`, selector)
}

// signIn goes to one's files.
func (s *surfer) signIn(a *account) {
	s.t.Helper()
	s.open("/")
	s.press("form[action='/signin']", map[string]string{"email": a.email, "password": a.password})
	s.has("#list")
}

// tab is another one in the same browser; the function closes it.
func (s *surfer) tab() (*surfer, context.CancelFunc) {
	s.t.Helper()
	ctx, cancel := chromedp.NewContext(s.ctx)
	must(s.t, chromedp.Do(ctx)) // the tab too lives as long as the context of the first call
	return &surfer{t: s.t, ctx: ctx, url: s.url}, cancel
}

// coming is how much of the one upload under way the server has; -1: there is none.
func (a *account) coming(t *testing.T) int64 {
	t.Helper()
	var all []struct{ Offset int64 }
	got := a.ask(t, "GET", "/uploads", nil, nil)
	must(t, json.Unmarshal(got.body, &all))
	if len(all) != 1 {
		return -1
	}
	return all[0].Offset
}

// comesTo waits until the server has so much of the upload.
func (a *account) comesTo(t *testing.T, n int64) int64 {
	t.Helper()
	var at int64
	eventually(t, 5*time.Minute, func() error {
		if at = a.coming(t); at < n {
			return fmt.Errorf("%d bytes came, not %d", at, n)
		}
		return nil
	})
	return at
}

// TestWebUploadOfSeveral: files that are chosen together come to the folder that is shown, the drive's top too.
func TestWebUploadOfSeveral(t *testing.T) {
	own := ownServer(t)
	a := newAccount(t, own, "several")
	a.store(t, "below/first", []byte("first"))
	s := newSurfer(t, own.URL)
	s.signIn(a)
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "one"), filepath.Join(dir, "two")}
	for _, f := range files {
		must(t, os.WriteFile(f, []byte(f), 0o644))
	}
	for _, folder := range []string{"", "below/"} {
		s.open("/browse/" + strings.TrimSuffix(folder, "/"))
		s.choose("#upload [type=file]", files...)
		s.press("#upload", nil)
		for _, f := range files {
			eventually(t, time.Minute, func() error { return a.stored(t, folder+filepath.Base(f), []byte(f)) })
		}
	}
}

// TestWebUploadGoesOn: a large upload survives a server that dies, a pause, and a tab that is
// closed; each time it goes on from where it was, and what comes out is what went in. Neither side needs
// memory for it.
func TestWebUploadGoesOn(t *testing.T) {
	mib := int64(160)
	if text := os.Getenv(uploadVariable); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		must(t, err)
		mib = n
	}
	size := mib << 20
	film := filepath.Join(t.TempDir(), "film.bin")
	f, err := os.Create(film)
	must(t, err)
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), io.LimitReader(rand.NewChaCha8([32]byte{7}), size))
	must(t, err)
	must(t, f.Close())

	own := ownServer(t)
	a := newAccount(t, own, "film")
	s := newSurfer(t, own.URL)
	s.signIn(a)
	tab, closeTab := s.tab()
	tab.open("/browse/")
	tab.choose("#upload [type=file]", film)
	tab.press("#upload", nil)
	begin := time.Now()
	tab.has("#transfers progress")

	at := a.comesTo(t, size/8)
	own.Kill()
	tab.sees("trying again")
	must(t, own.Start(t.Context()))
	if now := a.coming(t); now < at {
		t.Errorf("the server lost %d bytes when it died", at-now)
	}
	a.comesTo(t, size/4)

	tab.click("#transfers li button") // Pause
	tab.sees("Paused at")
	paused := a.coming(t)
	time.Sleep(time.Second)
	if now := a.coming(t); now > paused+32<<20 { // what was on its way may still be kept
		t.Errorf("paused, it goes on: %d bytes, then %d", paused, now)
	}
	tab.click("#transfers li button") // Resume
	at = a.comesTo(t, size/2)
	if heap, err := strconv.ParseFloat(tab.js("performance.memory.usedJSHeapSize"), 64); err != nil || heap > 64e6 {
		t.Errorf("the page takes %.0f MB of memory, %v", heap/1e6, err)
	}
	closeTab()

	s.open("/browse/")
	s.sees("choose the same file and it goes on")
	other := filepath.Join(t.TempDir(), "film.bin")
	must(t, os.WriteFile(other, []byte("another one"), 0o600))
	s.choose("#transfers li.begun input", other)
	s.sees("This is another file")
	s.choose("#transfers li.begun input", film)
	if now := a.coming(t); now < at {
		t.Errorf("with the tab %d bytes were lost", at-now)
	}
	eventually(t, 10*time.Minute, func() error {
		if s.js(`document.querySelector('#list tr[data-name="film.bin"]') !== null`) != "true" {
			return fmt.Errorf("the list has no film; %d bytes came", a.coming(t))
		}
		return nil
	})
	t.Logf("%d MiB in %v, with the interruptions", mib, time.Since(begin).Round(time.Second))
	want := hex.EncodeToString(sum.Sum(nil))
	res, err := http.DefaultClient.Do(newRequest(t, "GET", own.URL+"/download/film.bin", "Bearer "+a.token, nil))
	must(t, err)
	defer res.Body.Close()
	got := sha256.New()
	if n, err := io.Copy(got, res.Body); err != nil || n != size || hex.EncodeToString(got.Sum(nil)) != want {
		t.Errorf("down came %d bytes of %x, %v; up went %d of %s", n, got.Sum(nil), err, size, want)
	}
	streamed(t, own)
}

// TestWebUploadOfAnotherFile: what an earlier visit began goes on with the same file only. One of the same size that was written
// since is refused, and sent from its beginning if one says so.
func TestWebUploadOfAnotherFile(t *testing.T) {
	a := newAccount(t, server(t), "another")
	file := filepath.Join(t.TempDir(), "notes.txt")
	must(t, os.WriteFile(file, []byte("old and old"), 0o600))
	was := time.Now().Add(-time.Hour).Truncate(time.Second)
	must(t, os.Chtimes(file, was, was))
	a.begins(t, "goes-on.txt", was, 11, "old an")
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.choose("#transfers li.begun input", file)
	s.has(row("goes-on.txt"))
	must(t, a.stored(t, "goes-on.txt", []byte("old and old")))

	a.begins(t, "anew.txt", was, 11, "old an")
	s.open("/browse/")
	s.sees("6 B of 11 B came")
	must(t, os.WriteFile(file, []byte("new and new"), 0o600))
	s.choose("#transfers li.begun input", file)
	s.sees("This is another file: it was changed since.")
	if n := a.coming(t); n != 6 {
		t.Errorf("%d bytes of the refused file came", n)
	}
	s.click("#transfers li.begun button:last-of-type")
	s.has(row("anew.txt"))
	must(t, a.stored(t, "anew.txt", []byte("new and new")))
	if got := a.ask(t, "GET", "/uploads", nil, nil); strings.TrimSpace(string(got.body)) != "[]" {
		t.Errorf("what is left: %v", got)
	}
}

// dropFiles drops files and folders of this machine onto a page.
func (s *surfer) dropFiles(paths ...string) {
	s.t.Helper()
	data := &input.DragData{Items: []*input.DragDataItem{}, Files: paths, DragOperationsMask: 1}
	_, err := do(s, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, kind := range []input.DispatchDragEventType{"dragEnter", "dragOver", "drop"} {
			if _, err := cdp.Call(ctx, t, input.DispatchDragEvent, input.DispatchDragEventParams{Type: kind, X: 300, Y: 400, Data: data}); err != nil {
				return err
			}
		}
		return nil
	}))
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestWebDrop: files and whole folders are dropped on the page, many at once, and arrive as they were.
func TestWebDrop(t *testing.T) {
	a := newAccount(t, server(t), "drop")
	dir := t.TempDir()
	trip := filepath.Join(dir, "trip")
	must(t, os.MkdirAll(filepath.Join(trip, "day one", "empty"), 0o755))
	for i := range 150 {
		must(t, os.WriteFile(filepath.Join(trip, "day one", fmt.Sprintf("%03d.txt", i)), []byte(fmt.Sprint("note ", i)), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(trip, "ünïcode & [1].txt"), []byte("odd"), 0o644))
	loose := filepath.Join(dir, "loose.txt")
	must(t, os.WriteFile(loose, []byte("loose"), 0o644))
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.dropFiles(trip, loose)
	s.sees("Uploaded 152 files.")
	if n := len(a.files(t, "select=file_path")); n != 152 {
		t.Errorf("%d files came, not 152", n)
	}
	s.has(`#list tr[data-name="loose.txt"]`)
	must(t, a.stored(t, "trip/day one/149.txt", []byte("note 149")))
	must(t, a.stored(t, "trip/ünïcode & [1].txt", []byte("odd")))
	s.open("/browse/trip/day%20one/empty")
	s.sees("This folder is empty.")
}

// TestWebDropOfTheUnreadable: what the browser can't read is named, and keeps nothing else from coming.
func TestWebDropOfTheUnreadable(t *testing.T) {
	a := newAccount(t, server(t), "unreadable")
	trip := filepath.Join(t.TempDir(), "trip")
	must(t, os.MkdirAll(filepath.Join(trip, "later"), 0o755))
	for _, name := range []string{"a.txt", "fünf.txt", "later/z.txt"} {
		must(t, os.WriteFile(filepath.Join(trip, name), []byte(name), 0o644))
	}
	s := newSurferIn(t, a.server.URL, "C")
	s.signIn(a)
	s.dropFiles(trip)
	s.sees("Uploaded 2 files.")
	s.sees("can't be read")
	must(t, a.stored(t, "trip/a.txt", []byte("a.txt")))
	must(t, a.stored(t, "trip/later/z.txt", []byte("later/z.txt")))
}
