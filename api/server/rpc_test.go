package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"satchel/api"
)

// `POST /rpc/login` JSON `{email,password}` → 200 `[{"token":"…"}]` and the session cookie
func TestLogin(t *testing.T) {
	f := newFixture(t)
	a := f.login(alice, password)
	var rows []map[string]string
	if err := json.Unmarshal([]byte(a.body), &rows); err != nil || a.status != 200 || len(rows) != 1 || rows[0]["token"] == "" {
		t.Fatalf("login = %d %s", a.status, a.body)
	}
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies = %v", cookies)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Secure || c.Domain != "" || len(c.Value) < 43 {
		t.Errorf("cookie = %+v; want HttpOnly; SameSite=Lax; Path=/", c)
	}
	if strings.Contains(f.log.String(), rows[0]["token"]) || strings.Contains(f.log.String(), c.Value) || strings.Contains(f.log.String(), password) {
		t.Error("a secret is in the log")
	}
	f.store(alice, "a", "x")
	byCookie := f.do(request{path: "/files", header: map[string]string{"Cookie": c.Name + "=" + c.Value}})
	if got := f.paths(byCookie); got != "a" {
		t.Errorf("files by cookie = %q", got)
	}

	t.Run("with `Accept: application/vnd.pgrst.object+json` the bare object", func(t *testing.T) {
		a := f.do(request{method: "POST", path: "/rpc/login", body: map[string]string{"email": alice, "password": password},
			header: map[string]string{"Accept": "application/vnd.pgrst.object+json"}})
		var row map[string]string
		if err := json.Unmarshal([]byte(a.body), &row); err != nil || row["token"] == "" || !strings.HasPrefix(a.header.Get("Content-Type"), objectJSON) {
			t.Errorf("login = %d %s (%s)", a.status, a.body, a.header.Get("Content-Type"))
		}
	})
	t.Run("Wrong → 400 Invalid email or password", func(t *testing.T) {
		for _, in := range []map[string]string{
			{"email": alice, "password": "wrong"}, {"email": "nobody@example.org", "password": password}, {"email": alice}, {},
		} {
			a := f.do(request{method: "POST", path: "/rpc/login", body: in})
			f.fails(a, 400, "Invalid email or password")
			if a.header.Get("Set-Cookie") != "" {
				t.Error("a cookie for a wrong password")
			}
		}
	})
	t.Run("GET → 405 (no password in a URL)", func(t *testing.T) {
		a := f.do(request{path: "/rpc/login?email=" + alice + "&password=" + url.QueryEscape(password)})
		f.fails(a, 405, "")
		if a.header.Get("Allow") != "POST" {
			t.Errorf("Allow = %q", a.header.Get("Allow"))
		}
		if strings.Contains(f.log.String(), "correct+horse") {
			t.Error("a query is in the log")
		}
	})
	t.Run("bodies that are none", func(t *testing.T) {
		for _, body := range []string{"", "{", "[]", `"x"`, `{"email":1}`, strings.Repeat(" ", maxArguments+1)} {
			a := f.do(request{method: "POST", path: "/rpc/login", body: body})
			if a.status != 400 && a.status != 413 {
				t.Errorf("body %.20q: %d %s", body, a.status, a.body)
			}
		}
	})
}

// Throttled per account and per address: 429.
func TestLoginThrottled(t *testing.T) {
	f := newFixture(t)
	for i := range 50 {
		a := f.login(bob, "wrong")
		if a.status == http.StatusTooManyRequests {
			f.fails(a, 429, "wait")
			if a.header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			f.fails(f.login(bob, password), 429, "")
			if ok := f.login(alice, password); ok.status != 200 {
				t.Errorf("another account after %d wrong passwords: %d", i, ok.status)
			}
			return
		}
	}
	t.Fatal("50 wrong passwords were let through")
}

// Cookie: `Secure` and `__Host-` under TLS, the server's own or that of a proxy which people reach it by.
func TestCookieUnderTLS(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*Config)
		secure bool
	}{
		"TLS":                {func(c *Config) { c.TLS = true }, true},
		"a proxy with TLS":   {func(c *Config) { c.PublicURL = "https://drive.example.org" }, true},
		"neither":            {func(*Config) {}, false},
		"a public http: URL": {func(c *Config) { c.PublicURL = "http://drive.example.org" }, false},
	} {
		f := newFixtureWith(t, func(config *Config, _ string) { c.change(config) })
		a := f.login(alice, password)
		cookie := (&http.Response{Header: a.header}).Cookies()[0]
		if cookie.Secure != c.secure || strings.HasPrefix(cookie.Name, "__Host-") != c.secure || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("with %s: cookie = %+v", what, cookie)
		}
		if got := a.header.Get("Strict-Transport-Security") != ""; got != c.secure {
			t.Errorf("with %s: Strict-Transport-Security is there: %v", what, got)
		}
	}
}

// `POST /rpc/store_file` … raw body → 200, the document's UUID as a bare JSON string.
func TestStoreAndRetrieve(t *testing.T) {
	f := newFixture(t)
	id := f.store(alice, "letters/2026/hello.txt", "hello")
	if _, err := api.ParseID(id); err != nil {
		t.Fatal(err)
	}
	retrieve := func(as, path string) answerData {
		return f.do(request{path: "/rpc/retrieve_file?p_file_path=" + url.QueryEscape(path), as: as})
	}
	if a := retrieve(alice, "letters/2026/hello.txt"); a.status != 200 || a.body != "hello" {
		t.Errorf("retrieve = %d %q", a.status, a.body)
	}
	t.Run("POST with `{\"p_file_path\"}` too", func(t *testing.T) {
		a := f.do(request{method: "POST", path: "/rpc/retrieve_file", as: alice, body: map[string]string{"p_file_path": "/letters//2026/./hello.txt"}})
		if a.status != 200 || a.body != "hello" {
			t.Errorf("retrieve = %d %q", a.status, a.body)
		}
	})
	t.Run("The same path again overwrites: same UUID, `updated_at` moves", func(t *testing.T) {
		before := f.rows(f.do(request{path: "/files?id=eq." + id, as: alice}))[0]
		if again := f.store(alice, "/letters/2026//hello.txt", "hello again"); again != id {
			t.Errorf("UUID %s became %s", id, again)
		}
		after := f.rows(f.do(request{path: "/files?id=eq." + id, as: alice}))[0]
		if before["updated_at"].(string) >= after["updated_at"].(string) || before["created_at"] != after["created_at"] || after["size"] != 11.0 {
			t.Errorf("before %v, after %v", before, after)
		}
		if a := retrieve(alice, "letters/2026/hello.txt"); a.body != "hello again" {
			t.Errorf("retrieve = %q", a.body)
		}
	})
	t.Run("Missing, or another user's: the same 400 File not found.", func(t *testing.T) {
		missing := retrieve(alice, "letters/none.txt")
		f.fails(missing, 400, "File not found.")
		for name, a := range map[string]answerData{
			"another user's": retrieve(bob, "letters/2026/hello.txt"),
			"an admin":       retrieve(root, "letters/2026/hello.txt"),
			"a directory":    retrieve(alice, "letters"),
			"under a file":   retrieve(alice, "letters/2026/hello.txt/x"),
		} {
			if a.status != missing.status || a.body != missing.body {
				t.Errorf("%s: %d %s; want what a missing one gets", name, a.status, a.body)
			}
		}
	})
	t.Run("`File-Path` … (required, else 400)", func(t *testing.T) {
		f.fails(f.do(request{method: "POST", path: "/rpc/store_file", as: alice, body: "x"}), 400, "Mandatory 'File-Path' header is missing.")
	})
	t.Run("No or bad token → 401. An admin → 403", func(t *testing.T) {
		r := request{method: "POST", path: "/rpc/store_file", body: "x", header: map[string]string{"File-Path": "a"}}
		f.fails(f.do(r), 401, "")
		for _, bad := range []string{"Bearer x", "Basic " + f.token(alice), f.token(alice), "Bearer " + f.token(alice) + "x", "Bearer"} {
			r.header["Authorization"] = bad
			a := f.do(r)
			f.fails(a, 401, "")
			if a.header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		}
		delete(r.header, "Authorization")
		r.as = root
		f.fails(f.do(r), 403, "")
		f.fails(f.do(request{path: "/rpc/retrieve_file?p_file_path=a"}), 401, "")
		f.fails(f.do(request{path: "/files"}), 401, "")
	})
	t.Run("`Description` optional", func(t *testing.T) {
		f.do(request{method: "POST", path: "/rpc/store_file", as: alice, body: "x", header: map[string]string{"File-Path": "d", "Description": "Gr%C3%BC%C3%9Fe, 100%"}})
		f.do(request{method: "POST", path: "/rpc/store_file", as: alice, body: "y", header: map[string]string{"File-Path": "d"}})
		if row := f.rows(f.do(request{path: "/files?file_path=eq.d", as: alice}))[0]; row["description"] != "Grüße, 100%" && row["description"] != "Gr%C3%BC%C3%9Fe, 100%" {
			t.Errorf("description = %q", row["description"])
		}
	})
}

// `..`, NUL, empty names and names over 255 bytes are refused with a clear
// error; any other legal POSIX name works everywhere.
func TestPaths(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct{ header, path string }{
		{"[a].txt", "[a].txt"},
		{"100%25.txt", "100%25.txt"},
		{"100%.txt", "100%.txt"},
		{"with space", "with space"},
		{"%F0%9F%98%80.txt", "😀.txt"},
		{"raw é.txt", "raw é.txt"},
		{"caf%C3%A9 100%25.txt", "café 100%.txt"},
		{"a//b/./c", "a/b/c"},
		{`quote"and\back`, `quote"and\back`},
		{strings.Repeat("n", 255), strings.Repeat("n", 255)},
		{"...", "..."},
	} {
		f.store(alice, tt.header, "content of "+tt.path)
		a := f.do(request{path: "/rpc/retrieve_file?p_file_path=" + url.QueryEscape(tt.path), as: alice})
		if a.status != 200 || a.body != "content of "+tt.path {
			t.Errorf("%q: %d %s", tt.path, a.status, a.body)
		}
		row := f.rows(f.do(request{path: "/files?file_path=eq." + url.QueryEscape(tt.path), as: alice}))
		if len(row) != 1 {
			t.Errorf("%q is listed %d times", tt.path, len(row))
		}
	}
	f.store(bob, "x", "bob's")
	for _, bad := range []string{"../" + bob + "/x", "a/../../x", "..", "/", ".", "a/", strings.Repeat("n", 256), "a/%00", "%C3%A9/../../x"} {
		a := f.do(request{method: "POST", path: "/rpc/store_file", as: alice, body: "evil", header: map[string]string{"File-Path": bad}})
		if bad == "a/%00" { // three legal characters, not a NUL
			if a.status != 200 {
				t.Errorf("File-Path %q: %d %s", bad, a.status, a.body)
			}
			continue
		}
		f.fails(a, 400, "")
	}
	for _, bad := range []string{"..%2Fx", "a%2F..%2F..%2Fx", "x%00", "%2E%2E/x"} {
		f.fails(f.do(request{path: "/rpc/retrieve_file?p_file_path=" + bad, as: alice}), 400, "")
	}
	if a := f.do(request{path: "/rpc/retrieve_file?p_file_path=x", as: bob}); a.body != "bob's" {
		t.Errorf("bob's file = %q", a.body)
	}
}

// Two users may hold the same path.
func TestUsersAreApart(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "same/path", "alice's")
	f.store(bob, "same/path", "bob's")
	for user, want := range map[string]string{alice: "alice's", bob: "bob's"} {
		if a := f.do(request{path: "/rpc/retrieve_file?p_file_path=same/path", as: user}); a.body != want {
			t.Errorf("%s reads %q", user, a.body)
		}
		if got := f.paths(f.do(request{path: "/files", as: user})); got != "same/path" {
			t.Errorf("%s sees %q", user, got)
		}
	}
}

// Internal functions (`/rpc/sign`, `/rpc/internal_*`) do not exist: 404.
func TestUnknownFunctions(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/rpc/sign", "/rpc/internal_login", "/rpc/", "/rpc/login/x", "/nothing"} {
		for _, method := range []string{"GET", "POST"} {
			f.fails(f.do(request{method: method, path: path, as: alice, body: "{}"}), 404, "")
		}
	}
}

// Every request checks the row: logout kills both at once.
func TestRevokedIsOutAtOnce(t *testing.T) {
	f := newFixture(t)
	a := f.login(alice, password)
	cookie := strings.SplitN(a.header.Get("Set-Cookie"), ";", 2)[0]
	token := strings.Trim(a.body, "[]\n")
	var row struct{ Token string }
	if err := json.Unmarshal([]byte(token), &row); err != nil {
		t.Fatal(err)
	}
	byToken := map[string]string{"Authorization": "Bearer " + row.Token}
	byCookie := map[string]string{"Cookie": cookie}
	for _, h := range []map[string]string{byToken, byCookie} {
		if a := f.do(request{path: "/files", header: h}); a.status != 200 {
			t.Fatalf("before: %d %s", a.status, a.body)
		}
	}
	if a := f.do(request{method: "POST", path: "/v1/logout", header: byToken}); a.status != 204 {
		t.Fatalf("logout = %d %s", a.status, a.body)
	}
	for _, h := range []map[string]string{byToken, byCookie} {
		f.fails(f.do(request{path: "/files", header: h}), 401, "")
	}
}

// Cross-site POST → 403.
func TestCrossSite(t *testing.T) {
	f := newFixture(t)
	for _, h := range []map[string]string{{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}} {
		f.fails(f.do(request{method: "POST", path: "/rpc/login", body: map[string]string{"email": alice, "password": password}, header: h}), 403, "")
	}
	// A person is told on a page, and of the proxy that may be the reason.
	form := f.do(request{method: "POST", path: "/do/mkdir", header: map[string]string{"Origin": "http://drive.example", "Accept": "text/html,*/*;q=0.8"}, body: "name=x"})
	if form.status != 403 || !strings.HasPrefix(form.header.Get("Content-Type"), "text/html") || !strings.Contains(form.body, "http://drive.example asked for this") ||
		!strings.Contains(form.body, "must pass the Host header on") {
		t.Errorf("a form through a proxy that changes the host: %v", form)
	}
	same := map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": f.url}
	if a := f.do(request{method: "POST", path: "/rpc/login", body: map[string]string{"email": alice, "password": password}, header: same}); a.status != 200 {
		t.Errorf("the server's own page: %d %s", a.status, a.body)
	}
	if a := f.do(request{path: "/health", header: map[string]string{"Sec-Fetch-Site": "cross-site"}}); a.status != 200 {
		t.Errorf("a GET from another site: %d", a.status)
	}
}

func TestRanges(t *testing.T) {
	f := newFixture(t)
	content := strings.Repeat("0123456789", 100_000) // about one chunk
	f.store(alice, "digits", content)
	path := "/rpc/retrieve_file?p_file_path=digits"
	whole := f.do(request{path: path, as: alice})
	etag := whole.header.Get("Etag")
	if whole.body != content || len(etag) != 66 || whole.header.Get("Accept-Ranges") != "bytes" {
		t.Fatalf("whole: %d bytes, ETag %s", len(whole.body), etag)
	}
	tests := []struct {
		name   string
		header map[string]string
		status int
		body   string
		ranged string
	}{
		{"first", map[string]string{"Range": "bytes=0-9"}, 206, "0123456789", "bytes 0-9/1000000"},
		{"middle", map[string]string{"Range": "bytes=500005-500006"}, 206, "56", "bytes 500005-500006/1000000"},
		{"suffix", map[string]string{"Range": "bytes=-3"}, 206, "789", "bytes 999997-999999/1000000"},
		{"open", map[string]string{"Range": "bytes=999999-"}, 206, "9", "bytes 999999-999999/1000000"},
		{"over the end", map[string]string{"Range": "bytes=999998-2000000"}, 206, "89", "bytes 999998-999999/1000000"},
		{"If-Range that holds", map[string]string{"Range": "bytes=1-1", "If-Range": etag}, 206, "1", "bytes 1-1/1000000"},
		{"If-Range that does not", map[string]string{"Range": "bytes=1-1", "If-Range": `"x"`}, 200, content, ""},
		{"If-None-Match", map[string]string{"If-None-Match": etag}, 304, "", ""},
		{"If-None-Match of another", map[string]string{"If-None-Match": `"x"`}, 200, content, ""},
		{"If-Match", map[string]string{"If-Match": etag}, 200, content, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := f.do(request{path: path, as: alice, header: tt.header})
			if a.status != tt.status || a.body != tt.body || a.header.Get("Content-Range") != tt.ranged {
				t.Errorf("%d, %d bytes, Content-Range %q; want %d, %d bytes, %q", a.status, len(a.body), a.header.Get("Content-Range"), tt.status, len(tt.body), tt.ranged)
			}
		})
	}
	t.Run("after the end", func(t *testing.T) {
		a := f.do(request{path: path, as: alice, header: map[string]string{"Range": "bytes=1000000-"}})
		f.fails(a, 416, "range")
		if a.header.Get("Content-Range") != "bytes */1000000" {
			t.Errorf("Content-Range = %q", a.header.Get("Content-Range"))
		}
	})
	t.Run("If-Match of another", func(t *testing.T) {
		f.fails(f.do(request{path: path, as: alice, header: map[string]string{"If-Match": `"x"`}}), 412, "")
	})
	t.Run("HEAD", func(t *testing.T) {
		a := f.do(request{method: "HEAD", path: path, as: alice})
		if a.status != 200 || a.header.Get("Content-Length") != "1000000" || a.body != "" {
			t.Errorf("HEAD = %d, Content-Length %s", a.status, a.header.Get("Content-Length"))
		}
	})
	t.Run("several ranges", func(t *testing.T) {
		a := f.do(request{path: path, as: alice, header: map[string]string{"Range": "bytes=0-0,999999-999999"}})
		if a.status != 206 || !strings.HasPrefix(a.header.Get("Content-Type"), "multipart/byteranges") {
			t.Errorf("%d %s", a.status, a.header.Get("Content-Type"))
		}
	})
	t.Run("an empty file", func(t *testing.T) {
		f.store(alice, "empty", "")
		a := f.do(request{path: "/rpc/retrieve_file?p_file_path=empty", as: alice})
		if a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "0" {
			t.Errorf("%d %q", a.status, a.body)
		}
	})
}

// An upload that breaks off leaves nothing.
func TestBrokenUpload(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "kept", "whole")
	for _, path := range []string{"kept", "new"} {
		conn := rawRequest(t, f, "POST /rpc/store_file HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+f.token(alice)+
			"\r\nFile-Path: "+path+"\r\nContent-Length: 1000\r\n\r\nonly this")
		conn.Close()
	}
	for range 100 {
		if strings.Count(f.log.String(), "path=/rpc/store_file") >= 3 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := f.paths(f.do(request{path: "/files", as: alice})); got != "kept" {
		t.Errorf("files = %q", got)
	}
	if a := f.do(request{path: "/rpc/retrieve_file?p_file_path=kept", as: alice}); a.body != "whole" {
		t.Errorf("kept = %q", a.body)
	}
}

func TestHeaderText(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "100%25": "100%25", "%": "%", "%zz": "%zz", "%2e%2e": "%2e%2e", "%00": "%00",
		"%C3%A9": "é", "a%20%C3%A9": "a é", "é%20": "é%20", "%FF": "%FF", "%F0%9F%98%80": "😀",
	} {
		if got := headerText(in); got != want {
			t.Errorf("headerText(%q) = %q, want %q", in, got, want)
		}
	}
}
