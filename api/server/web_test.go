package server

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage"
)

// browser is somebody at a browser, without script.
type browser struct {
	f *fixture
	c *http.Client
}

func (f *fixture) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{f, &http.Client{Jar: jar}}
}

// page is where a request led to.
type page struct {
	status int
	path   string
	body   string
	header http.Header
}

func (b *browser) send(r *http.Request, err error) page {
	b.f.t.Helper()
	if err != nil {
		b.f.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,*/*")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	resp, err := b.c.Do(r)
	if err != nil {
		b.f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.f.t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Request.URL.Path, string(body), resp.Header}
}

func (b *browser) get(path string) page {
	b.f.t.Helper()
	return b.send(http.NewRequest(http.MethodGet, b.f.url+path, nil))
}

func (b *browser) post(path string, fields ...string) page {
	b.f.t.Helper()
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, b.f.url+path, strings.NewReader(v.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.send(r, err)
}

func (b *browser) upload(in, name, content string) page {
	b.f.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	w.WriteField("in", in)
	part, _ := w.CreateFormFile("file", name)
	io.WriteString(part, content)
	w.WriteField("path", in+name)
	w.Close()
	r, err := http.NewRequest(http.MethodPost, b.f.url+"/do/upload", &body)
	if err == nil {
		r.Header.Set("Content-Type", w.FormDataContentType())
	}
	return b.send(r, err)
}

func (b *browser) signIn(email string) page {
	b.f.t.Helper()
	return b.post("/signin", "email", email, "password", password)
}

func (p page) want(t *testing.T, what, path string, words ...string) page {
	t.Helper()
	if p.status != http.StatusOK || p.path != path {
		t.Fatalf("%s: %d at %s, not %s\n%s", what, p.status, p.path, path, p.body)
	}
	for _, w := range words {
		if !strings.Contains(p.body, w) {
			t.Errorf("%s: the page does not say %q\n%s", what, w, p.body)
		}
	}
	return p
}

func (p page) lacks(t *testing.T, what string, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(p.body, w) {
			t.Errorf("%s: the page says %q", what, w)
		}
	}
}

func TestWebSignIn(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.get("/").want(t, "the start page", "/", "<h2>Sign in</h2>", "<code>satchel login "+f.url+"</code>", "<code>satchel mount ~/Satchel</code>")
	if p := b.post("/signin", "email", alice, "password", "wrong"); p.status != 401 || !strings.Contains(p.body, "Invalid email or password.") || !strings.Contains(p.body, alice) {
		t.Errorf("a wrong password: %d %s", p.status, p.body)
	}
	b.signIn(alice).want(t, "signing in", "/browse/", "This folder is empty.", alice)
	b.get("/").want(t, "the start page, signed in", "/browse/")
	b.get("/no/such/page").want(t, "an unknown page", "/browse/")
	b.get("/browse/nowhere/x").want(t, "an unknown folder", "/browse/", "There is no such folder")
	b.get("/browse/").lacks(t, "a known one", "There is no such folder")
	b.post("/signout").want(t, "logging out", "/", "You are logged out.")
	b.get("/browse/").want(t, "without a session", "/", "Your session has ended")
	b.get("/no/such/page").want(t, "an unknown page, signed out", "/")

	b = f.browser()
	b.post("/signup", "email", "new@example.org", "name", "New <b>One</b>", "password", "a long password").want(t, "signing up", "/browse/", "New &lt;b&gt;One")
	if p := f.browser().post("/signup", "email", "new@example.org", "name", "x", "password", "a long password"); p.status != 409 || !strings.Contains(p.body, "alert") {
		t.Errorf("a taken address: %d %s", p.status, p.body)
	}
}

func TestWebFiles(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	const odd = `ä "quoted" <b>&100%25.txt`
	b.post("/do/mkdir", "in", "", "name", "letters").want(t, "a new folder", "/browse/", "letters")
	b.upload("letters/", odd, "first").want(t, "an upload", "/browse/letters", "100%25.txt", "&lt;b&gt;", "5 B").lacksTag(t)
	path := "letters/" + odd
	at := "/file/letters/" + url.PathEscape(odd)
	b.get(at).want(t, "the file's page", "/file/"+path, "text/plain", "Versions", "current")
	if p := b.get("/download/letters/" + url.PathEscape(odd)); p.body != "first" || !strings.HasPrefix(p.header.Get("Content-Disposition"), "attachment;") {
		t.Errorf("download: %d %q %v", p.status, p.body, p.header)
	}
	if p := b.get("/open/letters/" + url.PathEscape(odd)); p.body != "first" || !strings.HasPrefix(p.header.Get("Content-Disposition"), "inline;") || !strings.Contains(p.header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("open: %d %q %v", p.status, p.body, p.header)
	}
	b.post("/do/describe", "path", path, "description", "what it is").want(t, "a description", "/file/"+path, "what it is")

	b.upload("letters/", odd, "second, longer")
	p := b.get(at)
	old := regexp.MustCompile(`name="version" value="([0-9a-f-]+)"`).FindStringSubmatch(p.body)
	if old == nil {
		t.Fatalf("no old version to restore:\n%s", p.body)
	}
	if p := b.get("/download/letters/" + url.PathEscape(odd) + "?version=" + old[1]); p.body != "first" {
		t.Errorf("an old version is %q", p.body)
	}
	b.post("/do/restore-version", "path", path, "version", old[1]).want(t, "restoring a version", "/file/"+path)
	if p := b.get("/open/letters/" + url.PathEscape(odd)); p.body != "first" {
		t.Errorf("after restoring it is %q", p.body)
	}

	p = b.post("/do/public", "path", path, "public", "true")
	link := regexp.MustCompile(`value="(http[^"]+get_file[^"]+)"`).FindStringSubmatch(p.body)
	if link == nil {
		t.Fatalf("no link for everybody:\n%s", p.body)
	}
	to := strings.TrimPrefix(html.UnescapeString(link[1]), f.url)
	if got := f.browser().get(to); got.body != "first" {
		t.Errorf("a stranger reads %d %q at %s", got.status, got.body, to)
	}
	b.post("/do/public", "path", path, "public", "false")
	if got := f.browser().get(to); got.status != 404 {
		t.Errorf("a stranger reads what is private again: %d %q", got.status, got.body)
	}

	b.post("/do/move", "from", path, "to", "letters/old/plain.txt").want(t, "a rename", "/browse/letters/old", "plain.txt")
	b.post("/do/copy", "from", "letters/old/plain.txt", "to", "copy.txt").want(t, "a copy", "/browse/", "copy.txt")
	b.post("/do/delete", "path", "letters").want(t, "deleting a folder", "/browse/").lacks(t, "deleting a folder", ">letters<")
	p = b.get("/trash")
	p.want(t, "the trash", "/trash", "letters", "Firefox on Linux")
	node := regexp.MustCompile(`name="node" value="([0-9a-f-]+)"`).FindStringSubmatch(p.body)
	b.post("/do/restore", "node", node[1]).want(t, "restoring it", "/browse/", "letters")
	b.get("/browse/letters/old").want(t, "what was in it", "/browse/letters/old", "plain.txt")
	p = b.post("/do/delete", "path", "letters/old/plain.txt")
	p.want(t, "deleting a file", "/browse/letters/old", "“letters/old/plain.txt” went to the", "Undo")
	node = regexp.MustCompile(`name="node" value="([0-9a-f-]+)"`).FindStringSubmatch(p.body)
	b.post("/do/restore", "node", node[1]).want(t, "undoing it", "/browse/letters/old", "plain.txt").lacks(t, "undoing it", "went to the")
	b.get("/browse/?deleted="+node[1]).lacks(t, "what is not in the trash", "went to the")
	for query, finds := range map[string]bool{"letters/old": true, "OLD/plain": true, "old/": true, "/plain.txt": true, "letters/plain": false, "plain.txt/old": false, "/": false} {
		if p := b.get("/browse/?q=" + url.QueryEscape(query)); strings.Contains(p.body, "Nothing found for") == finds {
			t.Errorf("a search for %q: %s", query, p.body)
		}
	}
	for path, want := range map[string]int{"letters/old": 200, "copy.txt": 409, "letters/older/oldest": 200} {
		if p := b.post("/do/mkdir", "name", path, "ensure", "1"); p.status != want {
			t.Errorf("to have a folder %s: %d %s", path, p.status, p.body)
		}
	}
	if p := b.post("/do/mkdir", "name", "letters/old"); p.status != 409 {
		t.Errorf("a folder that is there is made: %d %s", p.status, p.body)
	}
	b.post("/do/delete", "path", "copy.txt")
	b.post("/do/empty-trash").want(t, "emptying the trash", "/trash", "The trash is empty.")

	for _, bad := range []string{"../x", "a/../../x", "a\x00b", strings.Repeat("n", 256)} {
		if p := b.post("/do/mkdir", "in", "", "name", bad); p.status != 400 || !strings.Contains(p.body, "Go back") {
			t.Errorf("a folder called %.10q: %d %s", bad, p.status, p.body)
		}
	}
}

func (p page) lacksTag(t *testing.T) page {
	t.Helper()
	p.lacks(t, "a name with a tag", "<b>")
	return p
}

func (f *fixture) home(email string) (*storage.Drive, error) {
	id, err := f.auth.ByToken(f.t.Context(), f.token(email))
	if err != nil {
		return nil, err
	}
	return f.drives.Home(f.t.Context(), caller(id))
}

// Names that are not UTF-8 can be opened and moved like others.
func TestWebOddBytes(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	d, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Store(t.Context(), []api.Name{"caf\xe9"}, strings.NewReader("latin"), storage.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	p := b.get("/browse/")
	from := regexp.MustCompile(`name="path" value="([^"]+)" form`).FindStringSubmatch(p.body)
	if from == nil {
		t.Fatalf("no such file:\n%s", p.body)
	}
	if got := b.get("/open/caf%E9"); got.body != "latin" {
		t.Errorf("it has %d %q", got.status, got.body)
	}
	b.post("/do/move", "from", from[1], "to", "café").want(t, "a better name", "/browse/", "café")
}

// A form that ends before its last boundary is refused, wherever that is, and the file that it cuts replaces nothing.
func TestWebCutUpload(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("", "kept.txt", "all of it").want(t, "an upload", "/browse/", "kept.txt")
	const (
		form   = "--B\r\nContent-Disposition: form-data; name=\"in\"\r\n\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"whole.txt\"\r\n\r\nwhole"
		header = "\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"kept.txt\"\r\n"
	)
	cuts := []string{"", "\r\n--", "\r\n--B", "\r\n--B\r\n", header[:20], header, header + "\r\n", header + "\r\nits beg"}
	for _, cut := range cuts {
		r, err := http.NewRequest(http.MethodPost, f.url+"/do/upload", strings.NewReader(form+cut))
		if err == nil {
			r.Header.Set("Content-Type", "multipart/form-data; boundary=B")
		}
		if p := b.send(r, err); p.status != http.StatusBadRequest {
			t.Errorf("a form that was cut after %q: %d", cut, p.status)
		}
		vfs := request{method: "POST", path: "/api/vfs/upload/home", as: alice, body: form + cut, header: map[string]string{"Content-Type": "multipart/form-data; boundary=B"}}
		if a := f.do(vfs); a.status != http.StatusBadRequest {
			t.Errorf("by vfs, cut after %q: %d %s", cut, a.status, a.body)
		}
	}
	if got := b.get("/download/kept.txt").body; got != "all of it" {
		t.Errorf("the file is %q", got)
	}
}

func TestWebLargeFolder(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	d, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	batch := api.Batch{Incarnation: api.NewID(), Number: 1}
	for i := range 700 {
		batch.Mutations = append(batch.Mutations, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: d.Root(), Name: api.Name(fmt.Sprintf("dir%03d", i)), Attr: &api.Attr{Type: api.Directory}, Time: 1})
	}
	if _, err := d.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	at := "/browse/?sort=-name"
	for pages := 0; at != ""; pages++ {
		p := b.get(at)
		p.want(t, "a page", "/browse/")
		for _, m := range regexp.MustCompile(`data-name="([^"]+)"`).FindAllStringSubmatch(p.body, -1) {
			seen[m[1]] = true
		}
		next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(p.body)
		if at = ""; next != nil {
			at = "/browse/" + strings.ReplaceAll(next[1], "&amp;", "&")
		}
		if pages > 3 {
			t.Fatal("the pages do not end")
		}
	}
	if len(seen) != 700 {
		t.Errorf("the pages have %d of 700 entries", len(seen))
	}
}

func TestWebAccount(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.post("/do/rename-me", "name", "Alice A.").want(t, "a name", "/account", `value="Alice A."`)
	if p := b.post("/do/password", "current", "wrong", "new", "a new password"); p.status != 400 || !strings.Contains(p.body, "The current password is wrong.") {
		t.Errorf("a wrong password: %d %s", p.status, p.body)
	}
	p := b.post("/do/app-password", "name", "phone")
	secret := regexp.MustCompile(`class="secret">([^<]+)<`).FindStringSubmatch(p.body)
	if secret == nil {
		t.Fatalf("no app password is shown:\n%s", p.body)
	}
	r, _ := http.NewRequest("PROPFIND", f.url+"/dav/", nil)
	r.SetBasicAuth(alice, secret[1])
	r.Header.Set("Depth", "0")
	if p := f.browser().send(r, nil); p.status != 207 {
		t.Errorf("WebDAV with it: %d", p.status)
	}
	b.get("/account").lacks(t, "the account later", secret[1])
	id := regexp.MustCompile(`(?s)>phone</th>.*?name="id" value="([0-9a-f-]+)"`).FindStringSubmatch(p.body)
	b.post("/do/revoke", "id", id[1]).want(t, "revoking it", "/account").lacks(t, "revoking it", ">phone<")

	// Access keys: the secret is shown once, and again when it is made anew.
	p = b.post("/do/access-key", "name", "backup")
	shown := regexp.MustCompile(`Key <code class="secret">([^<]+)</code>, secret <code class="secret">([^<]+)<`).FindStringSubmatch(p.body)
	if shown == nil {
		t.Fatalf("no access key is shown:\n%s", p.body)
	}
	b.get("/account").want(t, "the account later", "/account", shown[1], "backup").lacks(t, "the account later", shown[2])
	b.post("/do/rotate-key", "key", shown[1]).want(t, "a new secret", "/do/rotate-key", shown[1], "shown again").lacks(t, "a new secret", shown[2])
	b.post("/do/revoke-key", "key", shown[1]).want(t, "revoking the key", "/account").lacks(t, "revoking the key", shown[1])

	// Another browser is listed, and when it is ended it is out at once.
	gone := f.browser()
	gone.signIn(alice)
	sessions := regexp.MustCompile(`(?s)<h2>Browsers</h2>.*?</table>`).FindString(b.get("/account").body)
	ids := regexp.MustCompile(`name="id" value="([0-9a-f-]+)"`).FindAllStringSubmatch(sessions, -1)
	if len(ids) != 2 || strings.Count(sessions, "this one") != 1 {
		t.Fatalf("two browsers are %s", sessions)
	}
	for line := range strings.SplitSeq(sessions, "<tr>") {
		if id := regexp.MustCompile(`name="id" value="([0-9a-f-]+)"`).FindStringSubmatch(line); id != nil && !strings.Contains(line, "this one") {
			b.post("/do/revoke", "id", id[1])
		}
	}
	gone.get("/browse/").want(t, "the browser that was ended", "/", "Your session has ended")
	b.get("/browse/").want(t, "the one that ended it", "/browse/")

	other := f.browser()
	other.signIn(alice)
	b.post("/do/password", "current", password, "new", "a new password").want(t, "a new password", "/do/password", "Your password is changed")
	other.get("/browse/").want(t, "the other session", "/", "Your session has ended")
	b.get("/browse/").want(t, "this session", "/browse/")
}

// An admin sees who and what there is; content, and a drive, he has none.
func TestWebAdmin(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	b.upload("", "diary.txt", "secret")
	for _, path := range []string{"/people", "/metadata"} {
		if p := b.get(path); p.status != 403 {
			t.Errorf("an editor at %s: %d", path, p.status)
		}
	}
	a := f.browser()
	a.signIn(root).want(t, "an admin signs in", "/people", alice, bob)
	a.get("/metadata?name=diary").want(t, "metadata", "/metadata", "diary.txt", "6 B").lacks(t, "metadata", "secret", "/open/", "/download/")
	a.get("/metadata?name=100%25").want(t, "metadata of nothing", "/metadata", "No file is like that.")
	for _, path := range []string{"/open/diary.txt", "/download/diary.txt", "/file/diary.txt"} {
		if p := a.get(path); p.status < 400 || strings.Contains(p.body, "secret") {
			t.Errorf("an admin at %s: %d %s", path, p.status, p.body)
		}
	}
}

// Another site's page can't press our buttons.
func TestWebCrossSite(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	r, err := http.NewRequest(http.MethodPost, f.url+"/do/mkdir", strings.NewReader("in=&name=evil"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://evil.example")
	if p := b.send(r, nil); p.status != 403 {
		t.Errorf("another site's form: %d", p.status)
	}
	b.get("/browse/").lacks(t, "the files", "evil")
}

// Whoever chooses a password on a page takes a long one; a short one that is in use is good, and is changed by it.
func TestShortPasswordOnPages(t *testing.T) {
	f := newFixture(t)
	const short, long = "eleven 4567", "eleven 45678"
	if p := f.browser().post("/signup", "email", "new@example.org", "name", "New", "password", short); p.status != 400 || !strings.Contains(p.body, "fewer than 12 characters") || !strings.Contains(p.body, `value="new@example.org"`) {
		t.Errorf("signing up with eleven: %d %s", p.status, p.body)
	}
	if p := f.browser().get("/signup"); !strings.Contains(p.body, `minlength="12"`) {
		t.Errorf("the browser is not told of it:\n%s", p.body)
	}
	// A program's, by an API that has no rule of its own.
	if got := f.do(request{method: "POST", path: "/rpc/register", body: map[string]string{"email": "new@example.org", "name": "New", "password": short}}); got.status != 200 {
		t.Fatalf("a program's password of eleven: %+v", got)
	}
	b := f.browser()
	b.post("/signin", "email", "new@example.org", "password", short).want(t, "a short password that is in use", "/browse/")
	if p := b.post("/do/password", "current", short, "new", "another 678"); p.status != 400 || !strings.Contains(p.body, "fewer than 12 characters") {
		t.Errorf("another of eleven: %d %s", p.status, p.body)
	}
	b.post("/do/password", "current", short, "new", long).want(t, "one of twelve", "/do/password", "Your password is changed")

	if got := f.do(request{method: "POST", path: "/v1/admin/users", as: root, body: map[string]string{"email": "given@example.org", "password": short}}); got.status != 400 || !strings.Contains(got.body, "fewer than 12 characters") {
		t.Errorf("an admin gives one of eleven: %d %s", got.status, got.body)
	}
	if got := f.do(request{method: "POST", path: "/v1/admin/users", as: root, body: map[string]string{"email": "given@example.org", "password": long}}); got.status >= 300 {
		t.Errorf("an admin gives one of twelve: %d %s", got.status, got.body)
	}
}
