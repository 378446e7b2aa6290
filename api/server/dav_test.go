package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// dav is a request of alice's to WebDAV.
func (f *fixture) dav(method, path string, header ...string) answerData {
	f.t.Helper()
	return f.do(request{method: method, path: "/dav/" + path, as: alice}.with(nil, header...))
}

const exclusiveLock = `<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>`

// What an If header says, and locks, are judged once more when a file is committed.
func TestDAVConditionsAtTheCommit(t *testing.T) {
	f := newFixture(t)
	put := func(header ...string) *sending {
		return f.begin(request{method: "PUT", path: "/dav/f", as: alice}.with(nil, header...))
	}
	is := func(what string, a answerData, status int, content string) {
		t.Helper()
		if got := f.stored(t, alice, "f"); a.status != status || got != content {
			t.Errorf("%s: %d %s; the file has %q", what, a.status, a.body, got)
		}
	}
	f.store(alice, "f", "old")
	tag := f.dav("HEAD", "f").header.Get("Etag")
	first, second := put("If", "(["+tag+"])"), put("If", "(["+tag+"])")
	is("the first", first.end("first"), 204, "first")
	is("the second of one version", second.end("second"), 412, "first")

	// Somebody locks the file while another sends it.
	late := put()
	locked := f.do(request{method: "LOCK", path: "/dav/f", as: alice, body: exclusiveLock})
	if locked.status != 200 {
		t.Fatalf("LOCK: %d %s", locked.status, locked.body)
	}
	is("who comes after the lock", late.end("late"), 423, "first")
	token := locked.header.Get("Lock-Token")
	is("who has the lock", put("If", "("+token+")").end("mine"), 204, "mine")

	// The lock ends while its holder sends.
	sent := put("If", "("+token+")")
	if a := f.dav("UNLOCK", "f", "Lock-Token", token); a.status != 204 {
		t.Fatalf("UNLOCK: %d %s", a.status, a.body)
	}
	is("whose lock is over", sent.end("over"), 412, "mine")
	is("who has no lock and needs none", put("If", "(Not "+token+")").end("free"), 204, "free")

	// Its time runs out while its holder sends, and somebody comes then, or nobody.
	for content, status := range map[string]int{"long": 204, "too late": 412} {
		f.store(alice, "f", "before")
		brief := f.do(request{method: "LOCK", path: "/dav/f", as: alice, body: exclusiveLock}.with(exclusiveLock, "Timeout", "Second-1"))
		sent := put("If", "("+brief.header.Get("Lock-Token")+")")
		time.Sleep(1500 * time.Millisecond)
		if status == 412 {
			if a := f.dav("PUT", "f"); a.status != 204 {
				t.Fatalf("PUT after the lock's time: %d %s", a.status, a.body)
			}
			content = ""
		}
		is("who sends for long", sent.end("long"), status, content)
	}
}

// Through a bind it is the locks of one's own drive that count.
func TestDAVLockOnABind(t *testing.T) {
	f := boundFixture(t)
	late := f.begin(request{method: "PUT", path: "/dav/fa/sub/c.txt", as: bob})
	if a := f.do(request{method: "LOCK", path: "/dav/fa", as: bob, body: exclusiveLock}); a.status != 200 {
		t.Fatalf("LOCK: %d %s", a.status, a.body)
	}
	if a := late.end("late"); a.status != 423 || f.stored(t, alice, "in/shared/sub/c.txt") != "sea" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Whatever changes something is held to its preconditions.
func TestDAVPreconditions(t *testing.T) {
	f := newFixture(t)
	patch := `<propertyupdate xmlns="DAV:"><set><prop><mood xmlns="urn:x">bright</mood></prop></set></propertyupdate>`
	for _, method := range []string{"DELETE", "MOVE", "COPY", "PROPPATCH"} {
		f.store(alice, "f", "content")
		for header, value := range map[string]string{"If-Match": `"x"`, "If-None-Match": "*", "If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"} {
			a := f.do(request{method: method, path: "/dav/f", as: alice}.with(patch, "Destination", f.url+"/dav/to", header, value))
			if a.status != http.StatusPreconditionFailed {
				t.Errorf("%s with %s: %d %s", method, header, a.status, a.body)
			}
		}
		if got := f.stored(t, alice, "f"); got != "content" {
			t.Fatalf("%s: the file has %q", method, got)
		}
		tag := f.dav("HEAD", "f").header.Get("Etag")
		a := f.do(request{method: method, path: "/dav/f", as: alice}.with(patch, "Destination", f.url+"/dav/to"+method, "If-Match", tag))
		if a.status/100 != 2 {
			t.Errorf("%s of what it is: %d %s", method, a.status, a.body)
		}
	}
	// PROPPATCH has a body, during which much can happen.
	tag := f.dav("HEAD", "f").header.Get("Etag")
	late := f.begin(request{method: "PROPPATCH", path: "/dav/f", as: alice}.with(nil, "If-Match", tag))
	f.store(alice, "f", "another")
	if a := late.end(patch); a.status != http.StatusPreconditionFailed {
		t.Errorf("PROPPATCH of what was another: %d %s", a.status, a.body)
	}
	if a := f.dav("DELETE", "nothing", "If-Match", "*"); a.status != 404 {
		t.Errorf("DELETE of nothing: %d %s", a.status, a.body)
	}
}

// A name can change its case or Unicode form alone, also where nothing may be replaced.
func TestDAVRespelling(t *testing.T) {
	f := newFixture(t)
	const composed, decomposed = "caf\u00e9", "cafe\u0301"
	for _, tt := range []struct {
		from, to, overwrite, agent string
		status                     int
		want                       string
	}{
		{"a.txt", "A.txt", "F", "", 201, "A.txt other"},
		{"a.txt", "A.txt", "T", "", 201, "A.txt other"},
		{"a.txt", "A.txt", "F", "rclone", 201, "A.txt other"}, // it tells case
		{"dir/a", "dir/A", "F", "", 201, "dir/A other"},
		{"dir/a", "DIR/A", "F", "", 201, "dir/A other"},
		{"a.txt", "a.txt", "F", "", 403, "a.txt other"}, // RFC 4918 section 9.9.4
		{"dir/a", "DIR/a", "F", "", 412, "dir/a other"},
		{"a.txt", "Other", "F", "", 412, "a.txt other"},
		{"a.txt", "Other", "f", "", 412, "a.txt other"},
		{"a.txt", "other", "t", "", 204, "other"},
		{"a.txt", "b.txt", "", "", 201, "b.txt other"},
		{composed, decomposed, "F", "", 201, decomposed + " other"},
	} {
		f.store(alice, "other", "another")
		f.store(alice, tt.from, "content")
		header := []string{"Destination", f.url + "/dav/" + url.PathEscape(tt.to), "User-Agent", tt.agent}
		if tt.overwrite != "" {
			header = append(header, "Overwrite", tt.overwrite)
		}
		a := f.dav("MOVE", url.PathEscape(tt.from), header...)
		if got := f.paths(f.do(request{path: "/files?order=file_path", as: alice})); a.status != tt.status || got != tt.want {
			t.Errorf("%+v: %d %s; the files are %q", tt, a.status, a.body, got)
		}
		for _, path := range strings.Fields(tt.want) {
			f.do(request{method: "DELETE", path: "/files?file_path=eq." + url.QueryEscape(path), as: alice})
		}
	}
}

// What is beside /dav is not below it.
func TestDAVDestination(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "f", "content")
	for _, to := range []string{f.url + "/dav2/x", "/dav2/x", "/files/x"} {
		if a := f.dav("MOVE", "f", "Destination", to); a.status != http.StatusBadGateway || !strings.Contains(a.body, "Destination") {
			t.Errorf("%s: %d %s", to, a.status, a.body)
		}
	}
	if got := f.paths(f.do(request{path: "/files", as: alice})); got != "f" {
		t.Errorf("the files are %s", got)
	}
}
