package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPlainSegments(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "//": "/", "/.": "/", "///a": "/a", "/a//b": "/a/b", "/a/./b": "/a/b", "/./a/.//b//": "/a/b/", "/a/.": "/a/", "/a/": "/a/",
		"/a/.b/c.": "/a/.b/c.", "/a/...//b": "/a/.../b", "/a//my%20file%2F%2Fx.txt": "/a/my%20file%2F%2Fx.txt", "/a//100%2525": "/a/100%2525",
		"/a//../b": "/a//../b", "/a/./..": "/a/./..", "*": "*", "": "", "a//b": "a//b",
	} {
		if got := plainSegments(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// Paths are normalised once, and not by sending the client elsewhere.
func TestPlainPaths(t *testing.T) {
	f := newFixture(t)
	send := func(method, target, body string, header ...string) answerData {
		t.Helper()
		return f.do(request{method: method, path: target, as: alice, body: body}.with(body, header...))
	}
	const name = "my%20file%2525.txt"
	for i, tt := range []struct{ put, get string }{
		{"/api/vfs/write/home//" + name, "/api/vfs/get/home/" + name},
		{"//api/vfs/write/./home/" + name, "/api//vfs/get/home/" + name},
		{"/dav//" + name, "/dav/" + name},
		{"/./dav/.//" + name, "//dav/" + name},
	} {
		content := strings.Repeat("x", i+1)
		if a := send("PUT", tt.put, content); a.status/100 != 2 {
			t.Errorf("PUT %s: %d %v %s", tt.put, a.status, a.header["Location"], a.body)
		}
		if a := send("GET", tt.get, ""); a.status != 200 || a.body != content {
			t.Errorf("GET %s: %d %v %s", tt.get, a.status, a.header["Location"], a.body)
		}
	}
	if got := f.rows(f.do(request{path: "/files?select=file_path", as: alice})); len(got) != 1 || got[0]["file_path"] != "my file%25.txt" {
		t.Errorf("the files are %v", got)
	}
	if a := send("MOVE", "/dav//"+name, "", "Destination", f.url+"/dav/.//b"); a.status != 201 {
		t.Errorf("MOVE: %d %s", a.status, a.body)
	}
	for target, want := range map[string]string{"/rpc//retrieve_file?p_file_path=b": "xxxx", "//files?select=file_path": `[{"file_path":"b"}]`} {
		if a := send("GET", target, ""); a.status != 200 || strings.TrimSpace(a.body) != want {
			t.Errorf("GET %s: %d %s", target, a.status, a.body)
		}
	}
	// What is attacked by .. is refused however it is written, and errors look as those of the path that is meant.
	if a := send("GET", "/api/vfs/ls/home//../x", ""); a.status != 403 {
		t.Errorf("an attack: %d %s", a.status, a.body)
	}
	if a := send("POST", "//api/users/login", "", "Sec-Fetch-Site", "cross-site"); a.status != 403 || !strings.Contains(a.body, `"success":false`) {
		t.Errorf("from another site: %d %s", a.status, a.body)
	}
}

// All but the path is left, and the request that came.
func TestPlainPathOfARequest(t *testing.T) {
	r := &http.Request{Method: "GET", URL: &url.URL{Path: "//v1//a/b", RawPath: "//v1//a%2Fb", RawQuery: "q=//"}}
	plainPath(http.HandlerFunc(func(_ http.ResponseWriter, at *http.Request) {
		if u := at.URL; u.Path != "/v1/a/b" || u.EscapedPath() != "/v1/a%2Fb" || u.RawQuery != "q=//" || at.Method != "GET" || r.URL.Path != "//v1//a/b" {
			t.Errorf("the handler sees %+v", at.URL)
		}
	})).ServeHTTP(nil, r)
}
