package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"satchel/integration/rig"
)

// signedInAdmin is an admin at a browser.
func signedInAdmin(t *testing.T, s *rig.Server) *surfer {
	t.Helper()
	email, password := strings.ToLower(unique(t, "admin"))+"@example.org", "a password for the admin"
	if err := s.AddUser(t.Context(), email, password, "admin"); err != nil {
		t.Fatal(err)
	}
	b := newSurfer(t, s.URL)
	b.open("/")
	b.press("form[action='/signin']", map[string]string{"email": email, "password": password})
	b.sees("Who has an account")
	return b
}

// What an admin does, at a real browser.
func TestWebAdmin(t *testing.T) {
	s := server(t)
	a := newAccount(t, s, "watched")
	a.store(t, "plans/the-secret-plan.pdf", []byte("%PDF content that no admin sees"))
	b := signedInAdmin(t, s)
	b.sees(a.email)

	// Accounts: made, changed, disabled; the one who is disabled is out at once.
	carol := strings.ToLower(unique(t, "carol")) + "@example.org"
	b.press("form[action='/do/admin/add']", map[string]string{"email": carol, "name": "Carol", "quota": "1 GB"})
	b.sees("it is shown this once")
	password := b.js(`document.querySelector(".secret").textContent`)
	hers := newSurfer(t, s.URL)
	hers.open("/")
	hers.press("form[action='/signin']", map[string]string{"email": carol, "password": password})
	hers.sees("This folder is empty.")
	b.js(`window.confirm = () => true; 1`)
	b.press("form[action='/do/admin/change']:has(input[name='disabled'])", nil)
	b.sees("Enable it")
	hers.sees("Your session has ended") // by itself: her page waits for changes
	hers.open("/browse/")
	hers.sees("Sign in")

	// Metadata: found, and no way to content.
	b.open("/metadata?name=SECRET-PLAN")
	b.sees("plans/the-secret-plan.pdf")
	if got := b.js(`[...document.querySelectorAll("#live a")].map((x) => x.getAttribute("href")).join(" ")`); got != "" {
		t.Errorf("metadata leads to %s", got)
	}
	for _, path := range []string{"/open/plans/the-secret-plan.pdf", "/download/plans/the-secret-plan.pdf", "/rpc/retrieve_file?p_file_path=plans/the-secret-plan.pdf"} {
		if got := b.await(`fetch(%q).then((r) => r.status + " " + r.text)`, path); strings.HasPrefix(got, "2") {
			t.Errorf("%s as an admin: %s", path, got)
		}
	}

	// Upkeep: a run is started, and its end shows without a reload.
	b.open("/upkeep")
	b.js(`document.body.dataset.same = "1"; 1`)
	b.press("form[action='/do/admin/run']:has(input[value='fsck'])", nil)
	eventually(t, time.Minute, func() error { // the page after the form
		if b.js(`document.readyState === "complete" && document.body.dataset.same === undefined`) != "true" {
			return fmt.Errorf("the form was not answered")
		}
		return nil
	})
	b.js(`document.body.dataset.same = "2"; 1`)
	eventually(t, time.Minute, func() error {
		if b.js(`document.querySelector("#live tbody tr td").innerText`) == "" {
			return fmt.Errorf("no result yet")
		}
		if text := b.js(`document.querySelector("#live tbody tr").innerText`); !strings.Contains(text, "done") {
			return fmt.Errorf("the run is told as %s", text)
		}
		return nil
	})
	if b.js(`document.body.dataset.same`) != "2" {
		t.Error("the page was loaded again")
	}

	// Figures: drawn for people who see and for those who don't.
	b.open("/usage?days=7")
	b.sees("Stored per account")
	b.has(`svg[role="img"] > title`)
	if got := b.js(`[...document.querySelectorAll("svg.chart")].every((x) => x.getAttribute("aria-labelledby").split(" ").every((id) => document.getElementById(id).textContent.length > 5))`); got != "true" {
		t.Error("a chart has no title or description")
	}
	if got := b.js(`document.querySelectorAll("section.figure details table").length`); got != "4" && got != "5" {
		t.Errorf("%s charts have a table", got)
	}

	// The log has it all, and so has its export.
	b.open("/audit?subject=" + carol)
	for _, told := range []string{"account added", "account disabled", "logged in", "session ended"} {
		b.sees(told)
	}
	csv := b.await(`fetch("/export/events?subject=%s").then((r) => r.text())`, carol)
	if !strings.HasPrefix(csv, "id,time,actor,via,operator,address,action,subject,detail") || !strings.Contains(csv, "account disabled") {
		t.Errorf("the export is %s", csv)
	}
	// Whatever a page shows is there to take home, as CSV and as JSON.
	taken := map[string]bool{}
	for _, page := range []string{"/people", "/metadata", "/usage", "/logins", "/audit", "/bans", "/upkeep"} {
		b.open(page)
		got := b.await(`Promise.all([...document.querySelectorAll("a[href^='/export/']")].map(async (a) => {
			const r = await fetch(a.href), text = await r.text(), [format] = a.href.match(/csv|json/);
			const good = r.ok && (format === "json" ? Array.isArray(JSON.parse(text)) : /^[a-z0-9_]+(,[a-z0-9_]+)+\r?\n/.test(text));
			return good ? a.pathname + "." + format : a.href + " is " + r.status + " " + text.slice(0, 200).replace(/\n/g, " ");
		})).then((all) => all.join("\n"))`)
		for one := range strings.Lines(got) {
			taken[strings.TrimSpace(one)] = true
		}
	}
	for _, figure := range []string{"users", "files", "events", "sessions", "bans", "runs", "days", "kinds"} {
		for _, format := range []string{"csv", "json"} {
			name := "/export/" + figure + "." + format
			if !taken[name] {
				t.Errorf("no page leads to %s", name)
			}
			delete(taken, name)
		}
	}
	for wrong := range taken {
		t.Errorf("an export: %s", wrong)
	}

	// Nothing of it reaches an editor.
	editor := newSurfer(t, s.URL)
	editor.open("/")
	editor.press("form[action='/signin']", map[string]string{"email": a.email, "password": a.password})
	editor.sees("plans")
	for _, path := range []string{"/people", "/audit", "/export/users", "/v1/admin/users"} {
		if got := editor.await(`fetch(%q).then((r) => r.status)`, path); got != "403" {
			t.Errorf("%s as an editor: %s", path, got)
		}
	}
}
