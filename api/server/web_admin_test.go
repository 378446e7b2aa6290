package server

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/admin"
	"satchel/api/auth"
	"satchel/storage/postgres"
)

// adminPages are those of an admin.
var adminPages = []string{"/people", "/metadata", "/usage", "/usage?days=7", "/logins", "/audit", "/bans", "/upkeep"}

// adminDoes is what an admin can do, by form.
var adminDoes = []string{"/do/admin/add", "/do/admin/change", "/do/admin/password", "/do/admin/end", "/do/admin/lift", "/do/admin/run"}

// accountID is an account's id, as the operator has it: nobody logs in for it.
func (f *fixture) accountID(email string) string {
	f.t.Helper()
	users, err := f.operator.Users(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, u := range users {
		if u.Email == email {
			return u.ID.String()
		}
	}
	f.t.Fatalf("nobody is %s", email)
	return ""
}

func TestWebAdminAccounts(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "secret-plans.txt", "content that no admin sees")
	admin := f.browser()
	admin.signIn(root).want(t, "an admin begins at the accounts", "/people", alice, bob, root, "People")
	id := f.accountID(bob)
	admin.get("/people/"+id).want(t, "an account", "/people/"+id, bob, "Disable it", "Stored over time", "<svg", "As a table")

	// Add: the password is shown once, and it works.
	added := admin.post("/do/admin/add", "email", "Carol@example.org", "name", "Carol <b>", "role", "editor", "quota", "2 GB")
	added.want(t, "add", "/do/admin/add", "carol@example.org", "Carol &lt;b&gt;", "2.0 GB")
	password := regexp.MustCompile(`class="secret">([a-z2-7-]+)<`).FindStringSubmatch(added.body)
	if password == nil {
		t.Fatalf("no password is shown:\n%s", added.body)
	}
	carol := f.browser()
	carol.post("/signin", "email", "carol@example.org", "password", password[1]).want(t, "the new account signs in", "/browse/")
	if p := admin.post("/do/admin/add", "email", "carol@example.org"); p.status != http.StatusConflict {
		t.Errorf("a taken address: %d", p.status)
	}
	for _, wrong := range [][]string{{"email", "no address"}, {"email", "d@example.org", "role", "emperor"}, {"email", "d@example.org", "quota", "much"}, {"email", "d@example.org", "quota", "-1"}} {
		if p := admin.post("/do/admin/add", wrong...); p.status != http.StatusBadRequest {
			t.Errorf("%v: %d", wrong, p.status)
		}
	}

	// Disable: sessions and devices end at once, and nobody can log in.
	id = f.accountID("carol@example.org")
	admin.post("/do/admin/change", "user", id, "disabled", "true").want(t, "disable", "/people/"+id, "disabled", "Enable it")
	carol.get("/browse/").want(t, "a disabled one's session has ended", "/", "Sign in")
	if a := f.login("carol@example.org", password[1]); a.status != http.StatusBadRequest {
		t.Errorf("a disabled account logs in: %d", a.status)
	}
	admin.post("/do/admin/change", "user", id, "disabled", "false").want(t, "enable", "/people/"+id, "Disable it")
	if a := f.login("carol@example.org", password[1]); a.status != 200 {
		t.Errorf("an enabled account: %d %s", a.status, a.body)
	}

	// Quota, name, role.
	admin.post("/do/admin/change", "user", id, "name", "C.", "quota", "none").want(t, "quota and name", "/people/"+id, "C.")
	if u := f.adminUser(id); u.Quota != 0 || u.Name != "C." || u.Role != auth.Editor {
		t.Errorf("the account is %+v", u)
	}
	token := f.tokenOf("carol@example.org", password[1])
	admin.post("/do/admin/change", "user", id, "role", "admin").want(t, "role", "/people/"+id, "admin")
	if a := f.do(request{path: "/rpc/current_user", header: map[string]string{"Authorization": "Bearer " + token}}); a.status != 401 {
		t.Errorf("a token of the former role: %d", a.status)
	}

	// Reset: as satcheld user passwd.
	reset := admin.post("/do/admin/password", "user", id)
	again := regexp.MustCompile(`class="secret">([a-z2-7-]+)<`).FindStringSubmatch(reset.body)
	if again == nil || again[1] == password[1] {
		t.Fatalf("reset: %d %s", reset.status, reset.body)
	}
	if a := f.login("carol@example.org", password[1]); a.status == 200 {
		t.Error("the former password is good")
	}
	if a := f.login("carol@example.org", again[1]); a.status != 200 {
		t.Errorf("the new password: %d %s", a.status, a.body)
	}

	// Nobody locks himself out.
	self := f.accountID(root)
	for _, change := range [][]string{{"disabled", "true"}, {"role", "editor"}} {
		if p := admin.post("/do/admin/change", append([]string{"user", self}, change...)...); p.status != http.StatusForbidden || !strings.Contains(p.body, "lock yourself out") {
			t.Errorf("%v of oneself: %d", change, p.status)
		}
	}
	if p := admin.get("/people/" + api.NewID().String()); p.status != http.StatusNotFound {
		t.Errorf("an unknown account: %d", p.status)
	}
	admin.get("/audit?action=account+disabled").want(t, "the log tells", "/audit", "account disabled", "carol@example.org", root)
}

// adminUser is an account as the API tells an admin.
func (f *fixture) adminUser(id string) admin.User {
	f.t.Helper()
	var all usersAnswer
	a := f.do(request{path: "/v1/admin/users", as: root})
	if err := json.Unmarshal([]byte(a.body), &all); err != nil || a.status != 200 {
		f.t.Fatalf("users: %d %s", a.status, a.body)
	}
	for _, u := range all.Users {
		if u.ID.String() == id {
			return u
		}
	}
	f.t.Fatalf("%s is not among %s", id, a.body)
	return admin.User{}
}

func (f *fixture) tokenOf(email, password string) string {
	f.t.Helper()
	a := f.login(email, password)
	var rows []struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &rows); err != nil || len(rows) != 1 {
		f.t.Fatalf("login: %d %s", a.status, a.body)
	}
	return rows[0].Token
}

func TestWebAdminMetadata(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "plans/secret-plans.txt", "CONTENT that no admin sees")
	f.store(alice, "photos/moth.jpg", strings.Repeat("x", 3000))
	f.store(bob, "50%_off.txt", "y")
	b := f.browser()
	b.signIn(root)
	all := b.get("/metadata").want(t, "all", "/metadata", "plans/secret-plans.txt", "photos/moth.jpg", "50%_off.txt", alice, bob, "3.0 KB")
	all.lacks(t, "no way leads to content", "/file/", "/open/", "/download/", "CONTENT")
	for query, want := range map[string]string{
		"name=SECRET": "secret-plans", "name=%25_": "50%_off", "kind=Images": "moth.jpg", "min=2+KB": "moth.jpg", "max=1": "50%_off", "owner=" + f.accountID(bob): "50%_off",
	} {
		p := b.get("/metadata?"+query).want(t, query, "/metadata", want)
		for _, other := range []string{"secret-plans", "50%_off", "moth.jpg"} {
			if other != want {
				p.lacks(t, query, ">"+other, "/"+other)
			}
		}
	}
	b.get("/metadata?since=2100-01-01").want(t, "of the future", "/metadata", "No file is like that.")
	for _, wrong := range []string{"owner=x", "min=lots", "since=yesterday", "after=1", "after=a~b", "kind=Poems", "limit=0", "limit=100000"} {
		if p := b.get("/metadata?" + wrong); p.status != http.StatusBadRequest {
			t.Errorf("%s: %d", wrong, p.status)
		}
	}
	// Page by page, nothing twice and nothing left out.
	var seen []string
	for next := "?limit=1"; next != ""; {
		p := b.get("/metadata" + next)
		for _, m := range regexp.MustCompile(`<th scope="row">([^<]+)`).FindAllStringSubmatch(p.body, -1) {
			seen = append(seen, m[1])
		}
		next = ""
		if m := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(p.body); m != nil {
			next = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if len(seen) != 3 || seen[0] == seen[1] || seen[1] == seen[2] {
		t.Errorf("the pages have %q", seen)
	}
	// By URL content is refused, as always.
	for _, path := range []string{"/open/plans/secret-plans.txt", "/download/plans/secret-plans.txt", "/file/plans/secret-plans.txt"} {
		if p := b.get(path); p.status != http.StatusForbidden || strings.Contains(p.body, "CONTENT") {
			t.Errorf("%s: %d", path, p.status)
		}
	}
}

func TestWebAdminSessionsBansAndRuns(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(root)
	victim := f.browser()
	victim.signIn(alice)
	page := b.get("/logins?kind=browser&user="+f.accountID(alice)).want(t, "sessions", "/logins", alice, "End it")
	session := regexp.MustCompile(`name="session" value="([0-9a-f-]+)"`).FindStringSubmatch(page.body)
	if session == nil {
		t.Fatal(page.body)
	}
	b.post("/do/admin/end", "session", session[1]).want(t, "end", "/logins")
	victim.get("/browse/").want(t, "an ended session", "/", "Sign in")

	if err := f.db.Ban(t.Context(), netip.MustParsePrefix("2001:db8::/64"), "a probe", time.Hour); err != nil {
		t.Fatal(err)
	}
	b.get("/bans").want(t, "bans", "/bans", "2001:db8::/64", "a probe")
	b.post("/do/admin/lift", "network", "2001:db8::/64").want(t, "lift", "/bans", "Nobody is banned.")
	if p := b.post("/do/admin/lift", "network", "everything"); p.status != http.StatusBadRequest {
		t.Errorf("lift nonsense: %d", p.status)
	}
	b.get("/audit?action=ban+lifted").want(t, "the log", "/audit", "2001:db8::/64", root)

	b.get("/upkeep").want(t, "no runs", "/upkeep", "Nothing has run yet")
	keeper, err := postgres.OpenKeeper(t.Context(), f.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	const day = 24 * time.Hour
	for i, said := range []string{"Every version of a file is kept for 30 days, then the last of each day for 365 days, what was deleted for a day, the audit log for ever.",
		"kept for 30 days, then the last of each day for 365 days, what was deleted for 90 days, the audit log for ever. The servers were told different times"} {
		if err := keeper.TellRetention(t.Context(), postgres.Retention{Versions: 30 * day, Daily: 365 * day, Trash: day + time.Duration(i)*89*day}, "here"); err != nil {
			t.Fatal(err)
		}
		b.get("/upkeep").want(t, "how long the past is kept", "/upkeep", said)
	}
	b.post("/do/admin/run", "kind", "fsck", "deep", "on").want(t, "a run", "/upkeep")
	if len(f.upkeep.started) != 1 || f.upkeep.started[0].Kind != "fsck" || !f.upkeep.started[0].Deep || f.upkeep.started[0].Repair || f.upkeep.started[0].User.String() != f.accountID(root) {
		t.Errorf("started %+v", f.upkeep.started)
	}
	if p := b.post("/do/admin/run", "kind", "gc"); p.status != http.StatusConflict {
		t.Errorf("a second run: %d", p.status)
	}
	if p := b.post("/do/admin/run", "kind", "rm"); p.status != http.StatusBadRequest {
		t.Errorf("something else: %d", p.status)
	}
}

// What an admin has nobody else has, by page, by form, by export and by API.
func TestAdminIsForAdmins(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	for figure := range figures {
		adminPages := append(adminPages, "/export/"+figure, "/export/"+figure+"?format=json", "/people/"+f.accountID(bob))
		for _, path := range adminPages {
			if p := b.get(path); p.status != http.StatusForbidden {
				t.Errorf("%s as an editor: %d", path, p.status)
			}
		}
		if a := f.do(request{path: "/v1/admin/export/" + figure, as: alice}); a.status != http.StatusForbidden || !strings.Contains(a.body, `"permission"`) {
			t.Errorf("the export %s: %d %s", figure, a.status, a.body)
		}
		if a := f.do(request{path: "/v1/admin/export/" + figure}); a.status != http.StatusUnauthorized {
			t.Errorf("the export %s for nobody: %d", figure, a.status)
		}
	}
	for _, path := range adminDoes {
		if p := b.post(path, "user", f.accountID(bob), "role", "admin", "email", "evil@example.org", "network", "0.0.0.0/0", "kind", "gc", "session", api.NewID().String()); p.status != http.StatusForbidden {
			t.Errorf("%s as an editor: %d", path, p.status)
		}
		f.browser().post(path, "user", f.accountID(bob)).want(t, path+" as nobody", "/", "Sign in")
		// Another site's form gets nowhere, whoever is signed in.
		own := f.browser()
		own.signIn(root)
		r, _ := http.NewRequest(http.MethodPost, f.url+path, strings.NewReader("user="+f.accountID(bob)+"&disabled=true"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://evil.example")
		if p := own.send(r, nil); p.status != http.StatusForbidden {
			t.Errorf("%s from another site: %d", path, p.status)
		}
	}
	if f.adminUser(f.accountID(bob)).Disabled || len(f.upkeep.started) > 0 {
		t.Error("one of them did something")
	}
}

func TestExports(t *testing.T) {
	f := newFixture(t)
	evil := `=HYPERLINK("http://evil.example")`
	f.store(alice, evil+".txt", "x")
	f.store(alice, "plain, with \"quotes\".txt", "xy")
	b := f.browser()
	b.signIn(root)
	for figure := range figures {
		a := b.get("/export/" + figure)
		rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
		if err != nil || a.status != 200 || len(rows) == 0 || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment; filename=\"satchel-"+figure) {
			t.Fatalf("%s: %d %v %q\n%s", figure, a.status, err, a.header, a.body)
		}
		var objects []map[string]any
		j := f.do(request{path: "/v1/admin/export/" + figure + "?format=json", as: root})
		if err := json.Unmarshal([]byte(j.body), &objects); err != nil || j.status != 200 {
			t.Errorf("%s as JSON: %d %v", figure, j.status, err)
		}
		if figure != "sessions" && figure != "events" && len(objects) != len(rows)-1 { // root's token made a line of these
			t.Errorf("%s has %d lines of CSV and %d of JSON", figure, len(rows)-1, len(objects))
		}
	}
	if p := b.get("/export/files").body; !strings.Contains(p, `"'=HYPERLINK(""http`) {
		t.Errorf("a formula is not guarded:\n%s", p)
	}
	if p := b.get("/export/files?name=HYPER").body; strings.Contains(p, "plain") {
		t.Errorf("the filter does not count:\n%s", p)
	}
	for path, status := range map[string]int{"/export/passwords": 404, "/export/users?format=xls": 400, "/export/files?owner=x": 400} {
		if p := b.get(path); p.status != status {
			t.Errorf("%s: %d", path, p.status)
		}
	}
}

// A cell that a spreadsheet would run is text. A bare carriage return is left out where
// lines end in one.
func TestCSVCells(t *testing.T) {
	var out strings.Builder
	c := newCSVLines(&out, postgres.LiveSession{})
	for _, name := range []string{"=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "  =1", "|calc", "＝1", "plain", "a=1", "", " "} {
		if err := c.line(postgres.LiveSession{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	c.end()
	rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"name", "'=1+1", "'+1", "'-1", "'@SUM(1)", "'\t=1", "'=1", "'  =1", "'|calc", "'＝1", "plain", "a=1", "", " "}
	for i, row := range rows {
		if got := row[4]; got != want[i] {
			t.Errorf("line %d is %q, want %q", i, got, want[i])
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d lines", len(rows))
	}
}

// An export is read page by page, and a page is all that it keeps.
func TestExportIsWhole(t *testing.T) {
	f := newFixture(t)
	var batch []string
	for i := range maxAdminPage + 7 {
		batch = append(batch, fmt.Sprintf(`{"op":"create","node":%q,"parent":"$root","name":"f%05d","attr":{"type":"f","mode":420},"version":{"id":%q,"size":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","chunks":[]},"time":1}`,
			api.NewID(), i, api.NewID()))
	}
	var home struct{ Root string }
	if err := json.Unmarshal([]byte(f.do(request{path: "/v1/drives/home", as: alice}).body), &home); err != nil {
		t.Fatal(err)
	}
	body := strings.ReplaceAll(`{"incarnation":"`+api.NewID().String()+`","number":1,"mutations":[`+strings.Join(batch, ",")+`]}`, "$root", home.Root)
	if a := f.do(request{method: "POST", path: "/v1/drives/home/batches", as: alice, body: []byte(body), header: map[string]string{"Content-Type": "application/json"}}); a.status != 200 || strings.Contains(a.body, "refused") {
		t.Fatalf("%d %.300s", a.status, a.body)
	}
	var files []postgres.Metadata
	if err := json.Unmarshal([]byte(f.do(request{path: "/v1/admin/export/files?format=json", as: root}).body), &files); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		seen[file.Path] = true
	}
	if len(files) != len(batch) || len(seen) != len(batch) {
		t.Errorf("%d files, %d paths of %d", len(files), len(seen), len(batch))
	}
}
