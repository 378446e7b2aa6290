package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// uplink bounds how fast a tab's uploads are sent, in bytes per second; -1: not at all.
func (s *surfer) uplink(rate float64) {
	s.t.Helper()
	tell(s, func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, network.Enable, network.EnableParams{})
	})
	tell(s, func(ctx context.Context, t *chromedp.Target) (network.EmulateNetworkConditionsByRuleResult, error) {
		return cdp.Call(ctx, t, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{URLPattern: s.url + "/uploads*", DownloadThroughput: -1, UploadThroughput: rate}}})
	})
}

// upload begins to send a new file of so many bytes.
func (s *surfer) upload(name string, size int) []byte {
	s.t.Helper()
	content := randomBytes(size)
	file := filepath.Join(s.t.TempDir(), name)
	must(s.t, os.WriteFile(file, content, 0o600))
	s.choose("#upload [type=file]", file)
	s.press("#upload", nil)
	return content
}

// further waits until more of the first upload has been sent than now, by so many bytes.
func (s *surfer) further(by int) {
	s.t.Helper()
	s.has("#transfers progress")
	now := s.js(`document.querySelector("#transfers progress").value`)
	s.becomes("true", `(document.querySelector("#transfers progress")?.value ?? 0) >= %s + %d`, now, by)
}

// polls waits until the page has asked twice for what another device changed, and shown it.
func (s *surfer) polls(a *account) {
	s.t.Helper()
	for range 2 {
		name := fmt.Sprintf("%d.txt", time.Now().UnixNano())
		a.store(s.t, name, []byte("x"))
		s.has(row(name))
	}
}

// nothingLeft waits until the server has nothing of an upload that is not complete.
func (a *account) nothingLeft(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		if got := a.ask(t, "GET", "/uploads", nil, nil); strings.TrimSpace(string(got.body)) != "[]" {
			return fmt.Errorf("what is left: %s", got.body)
		}
		return nil
	})
}

// TestWebUploadIsUse: a request that takes longer to send than a session lives without use does not end with it, as long as
// something of it is sent. One that stands still keeps no session of a machine at which nobody is.
func TestWebUploadIsUse(t *testing.T) {
	own := ownServer(t)
	a := newAccount(t, own, "uplink")
	s := newSurfer(t, own.URL)
	s.signIn(a)
	s.uplink(20e3)
	content := s.upload("slow.bin", 4_000_000)
	s.further(1)
	must(t, own.AgeSessions(t.Context(), 14*time.Minute))
	s.further(1)
	s.polls(a)
	must(t, own.AgeSessions(t.Context(), 14*time.Minute))
	s.polls(a)
	s.uplink(-1)
	s.has(row("slow.bin"))
	must(t, a.stored(t, "slow.bin", content))

	s.uplink(1)
	s.upload("still.bin", 1_200_000)
	a.comesTo(t, 0)
	s.becomes("true", `(document.querySelector("#transfers progress")?.value ?? 0) > 0`) // the first bytes need no uplink
	s.polls(a)
	must(t, own.AgeSessions(t.Context(), 14*time.Minute))
	s.polls(a)
	must(t, own.AgeSessions(t.Context(), 2*time.Minute))
	a.store(t, "one more.txt", []byte("x"))
	s.sees("Your session has ended")
}

// TestWebSmallUploadGoesOn: what came of a file that is sent in one request is not sent again, after a pause nor in the next
// session, and is not left when it is given up.
func TestWebSmallUploadGoesOn(t *testing.T) {
	own := ownServer(t)
	a := newAccount(t, own, "small")
	s := newSurfer(t, own.URL)
	s.signIn(a)
	begin := func(name string) []byte {
		s.uplink(20e3)
		content := s.upload(name, 1_200_000)
		a.comesTo(t, 0)
		s.further(100_000) // more than what is on its way
		return content
	}
	ends := func() {
		must(t, own.AgeSessions(t.Context(), 20*time.Minute))
		a.store(t, "from-elsewhere.txt", []byte(time.Now().String()))
		s.sees("What is not sent yet waits on this page.")
		a.comesTo(t, 1)
		s.uplink(-1)
	}
	again := func() {
		tab, closeTab := s.tab()
		defer closeTab()
		tab.signIn(a)
		s.hasNot("#ended")
	}

	content := begin("paused.bin")
	s.click("#transfers li button") // Pause
	a.comesTo(t, 1)
	s.uplink(-1)
	s.click("#transfers li button") // Resume
	s.has(row("paused.bin"))
	must(t, a.stored(t, "paused.bin", content))
	a.nothingLeft(t)

	content = begin("two-sessions.bin")
	ends()
	again()
	s.has(row("two-sessions.bin"))
	must(t, a.stored(t, "two-sessions.bin", content))
	a.nothingLeft(t)

	cancel := "#transfers li button:nth-of-type(2)"
	begin("given-up.bin")
	s.click(cancel)
	a.nothingLeft(t)

	begin("given-up-later.bin")
	ends()
	s.click(cancel)
	again()
	a.nothingLeft(t)
}

// TestWebDropOutlivesTheSession: what is still read of a dropped folder when the session ends comes in the next one, its empty folders
// too.
func TestWebDropOutlivesTheSession(t *testing.T) {
	own := ownServer(t)
	a := newAccount(t, own, "dropping")
	trip := filepath.Join(t.TempDir(), "trip")
	must(t, os.MkdirAll(filepath.Join(trip, "empty"), 0o755))
	must(t, os.WriteFile(filepath.Join(trip, "a.txt"), []byte("a"), 0o600))
	s := newSurfer(t, own.URL)
	s.signIn(a)
	s.becomes("complete", "document.readyState")
	s.js(`{ // a disk that takes its time
		const { webkitGetAsEntry } = DataTransferItem.prototype, ready = new Promise((ok) => { window.isReady = ok; });
		DataTransferItem.prototype.webkitGetAsEntry = function () {
			const entry = webkitGetAsEntry.call(this), reader = entry.createReader();
			const reads = (...args) => { window.reads = true; ready.then(() => reader.readEntries(...args)); };
			entry.createReader = () => ({ readEntries: reads });
			return entry;
		};
	} 1`)
	s.dropFiles(trip)
	s.becomes("true", `window.reads ?? false`)
	const asks = `!dispatchEvent(new Event("beforeunload", { cancelable: true }))`
	if got := s.js(asks); got != "true" {
		t.Errorf("a page that is closed while it reads a folder asks first: %s", got)
	}
	must(t, own.AgeSessions(t.Context(), 20*time.Minute))
	a.store(t, "from-elsewhere.txt", []byte("x"))
	s.sees("What is not sent yet waits on this page.")
	s.js(`isReady(); 1`)
	s.becomes("2", `document.querySelectorAll("#transfers li").length`)
	tab, closeTab := s.tab()
	defer closeTab()
	tab.signIn(a)
	s.sees("Uploaded trip/a.txt.")
	must(t, a.stored(t, "trip/a.txt", []byte("a")))
	if got := s.js(asks); got != "false" {
		t.Errorf("with nothing to send, a page that is closed asks first: %s", got)
	}
	s.open("/browse/trip/empty")
	s.sees("This folder is empty.")
}

// TestWebDropOfEmptyFolders: a folder with nothing in it is made unless it is there. One that can't be is named.
func TestWebDropOfEmptyFolders(t *testing.T) {
	a := newAccount(t, server(t), "folders")
	a.store(t, "trip/taken", []byte("a file"))
	a.store(t, "trip/there/b.txt", []byte("b"))
	trip := filepath.Join(t.TempDir(), "trip")
	for _, name := range []string{"new", "taken", "there"} {
		must(t, os.MkdirAll(filepath.Join(trip, name), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(trip, "a.txt"), []byte("a"), 0o600))
	s := newSurfer(t, a.server.URL)
	s.signIn(a)
	s.becomes("complete", "document.readyState")
	s.dropFiles(trip)
	s.has("#transfers li.failed")
	s.becomes("trip/taken/: the path is taken", `[...document.querySelectorAll("#transfers li")].map((li) => li.firstElementChild.textContent + ": " + li.querySelector(".state").textContent).join()`)
	s.click("#transfers li.failed button:nth-of-type(2)") // Cancel
	s.sees("Uploaded trip/a.txt.")
	must(t, a.stored(t, "trip/taken", []byte("a file")))
	s.open("/browse/trip/new")
	s.sees("This folder is empty.")
}
