package server

import (
	"html"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/storage"
)

var linkForm = regexp.MustCompile(`value="(http[^"]+/s/[A-Za-z0-9_-]+)"`)

// link makes a link by the page and returns its address from the server's root.
func (b *browser) link(t *testing.T, path, days, password string) string {
	t.Helper()
	p := b.post("/do/link", "path", path, "days", days, "password", password)
	m := linkForm.FindStringSubmatch(p.body)
	if m == nil {
		t.Fatalf("no link: %d %s", p.status, p.body)
	}
	return strings.TrimPrefix(html.UnescapeString(m[1]), b.f.url)
}

// TestWebLinks: whoever has a link sees what it opens, as long as it works, and
// nothing beside it.
func TestWebLinks(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("trip/", "photo.txt", "a view")
	b.upload("trip/", `<b>.txt`, "odd")
	b.upload("", "diary.txt", "secret")
	b.post("/do/mkdir", "in", "trip", "name", "day")
	b.upload("trip/day/", "deep.txt", "deep")

	at := b.link(t, "trip", "7", "")
	stranger := f.browser()
	stranger.get(at).want(t, "a folder by its link", at+"/", "photo.txt", "&lt;b&gt;.txt", "day").lacks(t, "a folder by its link", "diary", alice, "<b>.txt")
	stranger.get(at+"/photo.txt").want(t, "a file in it", at+"/photo.txt", "Download")
	for path, content := range map[string]string{"/photo.txt?open": "a view", "/photo.txt?save": "a view", "/day/deep.txt?open": "deep"} {
		p := stranger.get(at + path)
		if p.body != content || !strings.Contains(p.header.Get("Content-Security-Policy"), "sandbox") || p.header.Get("X-Robots-Tag") == "" {
			t.Errorf("%s: %d %q %v", path, p.status, p.body, p.header)
		}
	}
	if p := stranger.get(at + "/?zip"); p.header.Get("Content-Type") != "application/zip" || !strings.HasPrefix(p.body, "PK") {
		t.Errorf("the ZIP: %d %.40q", p.status, p.body)
	}
	for _, path := range []string{"/../diary.txt", "/%2e%2e/diary.txt?open", "/diary.txt?open", "/none"} {
		if p := stranger.get(at + path); p.status < 400 && p.path != "/" || strings.Contains(p.body, "secret") {
			t.Errorf("beside it, %s: %d %s", path, p.status, p.body)
		}
	}
	// It opens no other door.
	if p := stranger.get("/browse/"); p.path != "/" {
		t.Errorf("a stranger at %s", p.path)
	}

	// A link follows its file; one to a file is that file.
	one := b.link(t, "diary.txt", "", "")
	b.post("/do/move", "from", "diary.txt", "to", "trip/day/book.txt")
	f.browser().get(one+"/").want(t, "a file by its link", one+"/", "<h1", "book.txt</h1>").lacks(t, "a file by its link", `aria-current="page">`)
	if p := f.browser().get(one + "/?open"); p.body != "secret" {
		t.Errorf("a moved file by its link: %d %q", p.status, p.body)
	}
	b.post("/do/delete", "path", "trip/day/book.txt")
	if p := f.browser().get(one + "/"); p.status != 404 {
		t.Errorf("a deleted file by its link: %d", p.status)
	}

	// Others can't make or end links of his.
	c := f.browser()
	c.signIn(bob)
	if p := c.post("/do/link", "path", "trip"); p.status != 404 {
		t.Errorf("another one's folder: %d", p.status)
	}
	id := regexp.MustCompile(`name="id" value="([0-9a-f-]+)"`).FindStringSubmatch(b.get("/share/trip").body)
	c.post("/do/unlink", "id", id[1])
	stranger.get(at).want(t, "the link, which another tried to end", at+"/")
	b.get("/shared").want(t, "what is shared", "/shared", "/trip")
	b.post("/do/unlink", "id", id[1])
	if p := stranger.get(at); p.status != 404 || !strings.Contains(p.body, "over") {
		t.Errorf("a link that was ended: %d %s", p.status, p.body)
	}
	if strings.Contains(f.log.String(), at[len("/s/"):]) {
		t.Error("the log has a link's secret")
	}
}

// TestLinkForPrograms: to a program a link's address is the file itself, or the folder's archive; a browser is led to where
// the addresses on its page are relative to, with what was asked. A cache is told that it is something else to a browser.
func TestLinkForPrograms(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("trip/", "photo.txt", "a view")
	file, folder := b.link(t, "trip/photo.txt", "", ""), b.link(t, "trip", "", "")
	for _, c := range []struct {
		at, accept   string
		status       int
		to, contains string
	}{
		{file, "*/*", http.StatusOK, "", "a view"},
		{file, "text/html", http.StatusSeeOther, file + "/", ""},
		{file + "?open", "*/*", http.StatusOK, "", "a view"},
		{file + "/", "text/html", http.StatusOK, "", "Download"},
		{folder, "*/*", http.StatusOK, "", "PK"},
		{folder, "text/html", http.StatusSeeOther, folder + "/", ""},
		{folder + "?zip", "*/*", http.StatusOK, "", "PK"},
		{folder + "?zip", "text/html", http.StatusSeeOther, folder + "/?zip", ""},
		{folder + "/", "*/*", http.StatusOK, "", "photo.txt"},
		{folder + "/?zip", "*/*", http.StatusOK, "", "PK"},
		{folder + "/none", "*/*", http.StatusNotFound, "", ""},
	} {
		r, err := http.NewRequest(http.MethodGet, f.url+c.at, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", c.accept)
		resp, err := http.DefaultTransport.RoundTrip(r) // which follows nothing
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || resp.Header.Get("Location") != c.to || !strings.Contains(string(body), c.contains) {
			t.Errorf("%s as %s: %d to %q, %v: %.200q", c.at, c.accept, resp.StatusCode, resp.Header.Get("Location"), err, body)
		}
		if vary := strings.Join(resp.Header.Values("Vary"), ", "); !slices.Contains(strings.Split(vary, ", "), "Accept") {
			t.Errorf("%s as %s varies by %q", c.at, c.accept, vary)
		}
		if name := resp.Header.Get("Content-Disposition"); c.contains == "PK" && name != `attachment; filename="trip.zip"` {
			t.Errorf("%s as %s is to be kept as %s", c.at, c.accept, name)
		}
	}
}

func TestWebLinkPassword(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("", "plan.txt", "the plan")
	at := b.link(t, "plan.txt", "1", "open sesame")
	stranger := f.browser()
	if p := stranger.get(at + "/?open"); p.status != http.StatusUnauthorized || strings.Contains(p.body, "the plan") {
		t.Errorf("without its password: %d %s", p.status, p.body)
	}
	if p := stranger.post(at+"/", "password", "wrong"); p.status != http.StatusUnauthorized || !strings.Contains(p.body, "not the password") {
		t.Errorf("with a wrong one: %d %s", p.status, p.body)
	}
	stranger.post(at+"/", "password", "open sesame").want(t, "with its password", at+"/", "plan.txt", "Download")
	if p := stranger.get(at + "/?open"); p.body != "the plan" {
		t.Errorf("afterwards: %d %q", p.status, p.body)
	}
	// What proves it for one link is nothing for another.
	other := b.link(t, "plan.txt", "1", "another word")
	if other == at {
		other = strings.TrimPrefix(html.UnescapeString(linkForm.FindAllStringSubmatch(b.get("/share/plan.txt").body, -1)[1][1]), f.url)
	}
	if p := stranger.get(other + "/?open"); p.status != http.StatusUnauthorized {
		t.Errorf("another link: %d %q", p.status, p.body)
	}
	for range 12 {
		stranger.post(at+"/", "password", "guess")
	}
	if p := stranger.post(at+"/", "password", "guess"); p.status != http.StatusTooManyRequests {
		t.Errorf("guessing: %d", p.status)
	}
}

// TestLinkPasswordForPrograms: a program says a link's password as HTTP has it, is asked for it so, and can't guess more than the page lets.
func TestLinkPasswordForPrograms(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("trip/", "photo.txt", "a view")
	at := b.link(t, "trip", "1", "öffne dich: Sesam")
	ask := func(path, accept, password string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, f.url+at+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		if password != "" {
			r.SetBasicAuth("whoever", password)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	for _, path := range []string{"", "/", "/photo.txt", "/?zip", "/none"} {
		for _, password := range []string{"", "wrong"} {
			resp, body := ask(path, "*/*", password)
			if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") || strings.Contains(body, "<") {
				t.Errorf("%q with %q: %d, asked by %q: %s", path, password, resp.StatusCode, resp.Header.Get("WWW-Authenticate"), body)
			}
			if says := map[string]string{"": "this link asks for a password: curl -fOJ -u link LINK\n", "wrong": "this is not the password\n"}[password]; body != says {
				t.Errorf("%q with %q says %q", path, password, body)
			}
		}
	}
	if resp, body := ask("/", "text/html", ""); resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") != "" || !strings.Contains(body, "<form") {
		t.Errorf("a browser: %d, asked by %q: %s", resp.StatusCode, resp.Header.Get("WWW-Authenticate"), body)
	}
	for path, begins := range map[string]string{"": "PK", "/": "<!DOCTYPE", "/photo.txt": "a view", "/?zip": "PK"} {
		resp, body := ask(path, "*/*", "öffne dich: Sesam")
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(body, begins) || len(resp.Cookies()) > 0 {
			t.Errorf("%q with the password: %d, cookies %v: %.200q", path, resp.StatusCode, resp.Cookies(), body)
		}
	}
	for range 12 {
		ask("/", "*/*", "guess")
	}
	if resp, body := ask("/", "*/*", "guess"); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || body != "too many wrong passwords: wait before the next try\n" {
		t.Errorf("guessing: %d %q", resp.StatusCode, body)
	}
	if resp, _ := ask("/photo.txt", "*/*", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("no password, meanwhile: %d", resp.StatusCode)
	}
}

// TestLinkErrorsForPrograms: what does not work is said to a program in a line of text, and to ask for the head of a folder's archive is not to begin one.
func TestLinkErrorsForPrograms(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("trip/", "photo.txt", "a view")
	at := b.link(t, "trip", "", "")
	ask := func(method, path, accept string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, f.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	for range 4 * archivesPerMinute {
		if resp, _ := ask(http.MethodHead, at, "*/*"); resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/zip" {
			t.Fatalf("the head: %d %v", resp.StatusCode, resp.Header)
		}
	}
	if resp, body := ask(http.MethodGet, at, "*/*"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(body, "PK") {
		t.Errorf("the archive afterwards: %d %.200q", resp.StatusCode, body)
	}
	short := func(path string, status int, resp *http.Response, body string) {
		t.Helper()
		if resp.StatusCode != status || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || resp.Header.Get("Content-Disposition") != "" ||
			strings.Contains(body, "<") || strings.Count(body, "\n") != 1 {
			t.Errorf("%s: %d %v: %.200q", path, resp.StatusCode, resp.Header, body)
		}
	}
	for _, path := range []string{at + "x", at + "x/", at + "/none"} {
		resp, body := ask(http.MethodGet, path, "*/*")
		short(path, http.StatusNotFound, resp, body)
	}
	if resp, body := ask(http.MethodGet, at+"x/", "text/html"); resp.StatusCode != http.StatusNotFound || !strings.HasPrefix(body, "<!DOCTYPE") {
		t.Errorf("in a browser: %d: %.200q", resp.StatusCode, body)
	}
	var resp *http.Response
	var body string
	for range 10 * archivesPerMinute { // more may be let through while it is asked
		if resp, body = ask(http.MethodGet, at, "*/*"); resp.StatusCode != http.StatusOK {
			break
		}
	}
	short(at, http.StatusTooManyRequests, resp, body)
}

// TestLinkExpires: the database itself knows when a link is over.
func TestLinkExpires(t *testing.T) {
	f := newFixture(t)
	d, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Store(t.Context(), names("a"), strings.NewReader("x"), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	l, err := d.AddLink(t.Context(), names("a"), linkFor(300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.drives.ByLink(t.Context(), l.Token); err != nil {
		t.Errorf("before its end: %v", err)
	}
	until(t, func() bool { _, err := f.drives.ByLink(t.Context(), l.Token); return err != nil })
	if links, err := d.Links(t.Context(), names("a")); err != nil || len(links) != 0 {
		t.Errorf("afterwards there are %v %v", links, err)
	}
	if _, err := d.AddLink(t.Context(), names("a"), linkFor(-time.Second)); err == nil {
		t.Error("a link into the past was made")
	}
}

// TestWebShares: a folder shared with a person appears there, with what he may do.
func TestWebShares(t *testing.T) {
	f := newFixture(t)
	b, c := f.browser(), f.browser()
	b.signIn(alice)
	c.signIn(bob)
	b.upload("team/", "minutes.txt", "we met")
	b.upload("", "letter.txt", "dear Bob")
	b.post("/do/rename-me", "name", "Alice A.")
	if p := b.post("/do/share", "path", "team", "email", "nobody@example.org", "may", "read"); p.status != 404 {
		t.Errorf("with nobody: %d", p.status)
	}
	b.post("/do/share", "path", "team", "email", "BOB@example.org", "may", "read").want(t, "sharing", "/share/team", "look at it", "Take it back", bob) // the address that she gave
	b.post("/do/share", "path", "letter.txt", "email", bob, "may", "read")
	p := c.get("/shared")
	p.want(t, "what is shared with Bob", "/shared", "team", "letter.txt", "Alice A.", alice)
	file := regexp.MustCompile(`href="(/shared/[0-9a-f-]+/[0-9a-f-]+)"`).FindStringSubmatch(p.body)
	if got := c.get(file[1]); got.body != "dear Bob" {
		t.Errorf("the letter: %d %q", got.status, got.body)
	}
	if got := f.browser().get(file[1]); got.path != "/" {
		t.Errorf("a stranger: %d %q", got.status, got.body)
	}
	m := regexp.MustCompile(`name="drive" value="([^"]+)"><input type="hidden" name="node" value="([^"]+)"`).FindStringSubmatch(p.body)
	c.post("/do/bind", "drive", m[1], "node", m[2]).want(t, "among his files", "/browse/team", "minutes.txt")
	if p := c.get("/browse/").want(t, "whose it is", "/browse/", `from Alice A.`); strings.Contains(p.body, ">0 B<") {
		t.Errorf("a folder of another's is said to be empty:\n%s", p.body)
	}
	c.post("/do/delete", "path", "team").want(t, "taken out", "/browse/", "not among your files any more").lacks(t, "taken out", "trash</a>", `value="team"`)
	b.get("/browse/team").want(t, "what was taken out", "/browse/team", "minutes.txt")
	c.post("/do/bind", "drive", m[1], "node", m[2]).want(t, "in again", "/browse/team", "minutes.txt")
	c.get("/file/team/minutes.txt").want(t, "the file", "/file/team/minutes.txt", "we met")
	if p := c.upload("team/", "new.txt", "x"); p.status != 403 {
		t.Errorf("writing where he may read: %d", p.status)
	}
	b.post("/do/share", "path", "team", "email", bob, "may", "write")
	c.upload("team/", "new.txt", "from Bob").want(t, "writing", "/browse/team", "new.txt")
	b.post("/do/share", "path", "team", "email", bob, "may", "read")
	if p := c.upload("team/", "late.txt", "x"); p.status != 403 {
		t.Errorf("writing where he may only read again: %d", p.status)
	}
	b.post("/do/share", "path", "team", "email", bob, "may", "write")
	b.get("/file/team/new.txt").want(t, "what Bob wrote", "/file/team/new.txt", "from Bob")
	c.post("/do/move", "from", "team/new.txt", "to", "team/renamed.txt").want(t, "renaming there", "/browse/team", "renamed.txt")
	c.upload("", "own.txt", "Bob's own")
	c.post("/do/move", "from", "own.txt", "to", "team/given.txt")
	b.get("/open/team/given.txt").bodyIs(t, "what Bob moved there", "Bob's own")
	if p := c.post("/do/delete", "path", "team/minutes.txt"); p.status != 403 {
		t.Errorf("deleting without leave: %d", p.status)
	}
	who := regexp.MustCompile(`name="principal" value="([^"]+)"`).FindStringSubmatch(b.get("/share/team").body)
	b.post("/do/unshare", "path", "team", "principal", who[1]).lacks(t, "taken back", "Take it back")
	c.get("/browse/team").lacks(t, "what was taken back", "minutes.txt")
}

// TestWebSeenBy: a file's page and that of its sharing say who sees it, also through the folders above it, where alone that ends.
func TestWebSeenBy(t *testing.T) {
	f := newFixture(t)
	b, c := f.browser(), f.browser()
	b.signIn(alice)
	c.signIn(bob)
	for _, dir := range []string{"letters", "letters2", "photos", "site"} {
		b.upload(dir+"/", "a.txt", "of "+dir)
	}
	b.upload("", "small.txt", "small")
	seen := func(path string) string {
		t.Helper()
		m := regexp.MustCompile(`<dt>Seen by</dt><dd>(.*?)</dd>`).FindStringSubmatch(b.get("/file/" + path).body)
		if m == nil {
			t.Fatalf("%s: not said who sees it", path)
		}
		return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m[1], ""))
	}
	if got := seen("small.txt"); got != "you" {
		t.Errorf("what nobody else sees is seen by %s", got)
	}
	b.post("/do/share", "path", "letters", "email", bob, "may", "read")
	b.post("/do/share", "path", "small.txt", "email", bob, "may", "read")
	b.link(t, "photos", "", "open sesame")
	b.link(t, "small.txt", "", "")
	b.post("/do/public", "path", "site", "public", "true")
	for path, want := range map[string]string{
		"letters/a.txt":  "you, " + bob + " (through letters)",
		"letters2/a.txt": "you",
		"small.txt":      "you, " + bob + ", whoever has a link",
		"photos/a.txt":   "you, whoever has a link and its password (through photos)",
		"site/a.txt":     "everybody: its address",
	} {
		if got := seen(path); got != want {
			t.Errorf("%s is seen by %q, and should be by %q", path, got, want)
		}
	}
	b.get("/share/letters/a.txt").want(t, "a person above", "/share/letters/a.txt", bob, `through <a href="/share/letters">letters</a>`).lacks(t, "a person above", "Take it back")
	b.get("/share/photos/a.txt").want(t, "a link above", "/share/photos/a.txt", `through <a href="/share/photos">photos</a>`).lacks(t, "a link above", "Remove</button>")
	b.get("/share/site/a.txt").want(t, "everybody above", "/share/site/a.txt", `through <a href="/share/site">site</a>`).lacks(t, "everybody above", "Make it private")
	b.get("/share/small.txt").want(t, "its own", "/share/small.txt", "Take it back", "Remove</button>").lacks(t, "its own", "through <a")
	b.get("/share/site").want(t, "the site", "/share/site", "Make it private").lacks(t, "the site", "through <a")
	b.post("/do/share", "path", "/", "email", bob, "may", "read")
	if got := seen("letters2/a.txt"); got != "you, "+bob+" (through all files)" {
		t.Errorf("with all that is hers shared it is seen by %s", got)
	}
}

func (p page) bodyIs(t *testing.T, what, body string) {
	t.Helper()
	if p.body != body {
		t.Errorf("%s: %d %q", what, p.status, p.body)
	}
}

func linkFor(d time.Duration) storage.LinkOptions {
	return storage.LinkOptions{Expires: time.Now().Add(d)}
}
