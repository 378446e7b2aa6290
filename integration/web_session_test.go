package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWebSessionEndsInUploads: a session that ends while there is something to send takes nothing of it along. The page says so
// and asks nothing; it goes on when the same person has signed in in another tab, and not when somebody else has.
func TestWebSessionEndsInUploads(t *testing.T) {
	own := ownServer(t)
	a, other := newAccount(t, own, "uploads"), newAccount(t, own, "other")
	var files []string
	for i := range 5 {
		files = append(files, filepath.Join(t.TempDir(), fmt.Sprintf("%d.txt", i)))
		must(t, os.WriteFile(files[i], []byte(fmt.Sprint("note ", i)), 0o600))
	}
	s := newSurfer(t, own.URL)
	s.signIn(a)
	s.choose("#upload [type=file]", files...)
	must(t, own.AgeSessions(t.Context(), 20*time.Minute)) // the machine slept
	s.js(`document.body.dataset.same = "yes"; 1`)
	s.press("#upload", nil)
	s.sees("Your session has ended")
	waits := func() {
		t.Helper()
		if got := s.js(`[location.pathname, document.body.dataset.same, document.querySelector("#main").checkVisibility(), document.querySelectorAll("#transfers li").length].join(" ")`); got != "/browse/ yes false 5" {
			t.Fatalf("the page that waits: %s", got)
		}
	}
	waits()

	tab, closeTab := s.tab()
	defer closeTab()
	tab.signIn(other)
	waits()
	tab.press("form[action='/signout']", nil)
	tab.sees("You are logged out.")
	tab.signIn(a)
	for i := range files {
		tab.has(row(fmt.Sprintf("%d.txt", i)))
		must(t, a.stored(t, fmt.Sprintf("%d.txt", i), []byte(fmt.Sprint("note ", i))))
	}
	if all := other.files(t, "select=file_path"); len(all) > 0 {
		t.Errorf("somebody else's drive has %v", all)
	}
	s.hasNot("#ended")
	s.becomes("/browse/ yes true 0", `[location.pathname, document.body.dataset.same, document.querySelector("#main").checkVisibility(), document.querySelectorAll("#transfers li").length].join(" ")`)
	a.store(t, "from-elsewhere.txt", []byte("x"))
	s.has(row("from-elsewhere.txt")) // it follows changes as before

	// With nothing to send it does not go on as hers when somebody else has signed in, either.
	if got := tab.await(`fetch("/signin", { method: "POST", body: new URLSearchParams({ email: %q, password: %q }) }).then((r) => r.status)`, other.email, other.password); got != "200" {
		t.Fatalf("somebody else signs in: %s", got)
	}
	tab.open("/browse/")
	s.sees("This folder is empty.")
}

// TestWebOpenFolderIsNoUse: the page of a folder that nobody uses does not keep its session from ending, whatever it shows of
// what other devices do.
func TestWebOpenFolderIsNoUse(t *testing.T) {
	own := ownServer(t)
	a := newAccount(t, own, "idle")
	s := newSurfer(t, own.URL)
	s.signIn(a)
	s.becomes("complete", "document.readyState")
	must(t, own.AgeSessions(t.Context(), 14*time.Minute))
	for i := range 3 {
		name := fmt.Sprintf("hills-%d.jpg", i)
		a.store(t, name, landscape())
		s.becomes("true", `(document.querySelector(%q)?.naturalWidth ?? 0) > 0`, row(name)+" img")
	}
	must(t, own.AgeSessions(t.Context(), 2*time.Minute))
	a.store(t, "one more.txt", []byte("x"))
	s.sees("Your session has ended: sign in again.")
}
