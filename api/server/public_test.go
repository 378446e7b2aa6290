package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// userID is an account's id.
func (f *fixture) userID(email string) string {
	f.t.Helper()
	var who []struct {
		ID string `json:"user_id"`
	}
	if err := json.Unmarshal([]byte(f.do(request{path: "/rpc/current_user", as: email}).body), &who); err != nil {
		f.t.Fatal(err)
	}
	return who[0].ID
}

func getFile(bucket, name string) string {
	return "/rpc/get_file?p_bucket_path=" + url.QueryEscape(bucket) + "&p_file_name=" + url.QueryEscape(name)
}

func (f *fixture) setPublic(as, bucket, name string, public bool) answerData {
	f.t.Helper()
	return f.do(request{method: "POST", path: "/rpc/set_public", as: as, body: map[string]any{"p_bucket_path": bucket, "p_file_name": name, "p_public": public}})
}

// Anonymous sees a node only when `is_public`; otherwise the answer of a missing one.
func TestPublicFiles(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "pictures/one.txt", "one")
	f.store(alice, "pictures/deep/two.txt", "two")
	f.store(alice, "private.txt", "secret")
	me := f.userID(alice)
	stranger := func(bucket, name string) answerData {
		return f.do(request{path: getFile(bucket, name)})
	}
	hidden := func(what string, a answerData, name, bucket string) {
		t.Helper()
		var e map[string]string
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.status != 404 || e["code"] != "PT404" || e["message"] != "File not found" ||
			e["details"] != "File not found" || e["hint"] != "File "+name+" not found in bucket "+bucket {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	check := func(one, two, private bool) {
		t.Helper()
		for path, public := range map[string]bool{"pictures/one.txt": one, "pictures/deep/two.txt": two, "private.txt": private} {
			bucket, name := me, path
			if i := strings.LastIndexByte(path, '/'); i >= 0 {
				bucket, name = me+"/"+path[:i], path[i+1:]
			}
			for who, a := range map[string]answerData{"a stranger": stranger(bucket, name), "another user": f.do(request{path: getFile(bucket, name), as: bob}), "an admin": f.do(request{path: getFile(bucket, name), as: root})} {
				if public {
					if a.status != 200 || a.header.Get("Cache-Control") != "public, max-age=259200" {
						t.Errorf("%s asking for %s: %d %s, %s", who, path, a.status, a.body, a.header.Get("Cache-Control"))
					}
				} else {
					hidden(who+" asking for "+path, a, name, bucket)
				}
			}
		}
	}
	check(false, false, false)
	hidden("a missing file", stranger(me, "nothing"), "nothing", me)
	hidden("a folder", stranger(me, "pictures"), "pictures", me)
	hidden("nobody's", stranger("00000000-0000-7000-8000-00000000dead", "x"), "x", "00000000-0000-7000-8000-00000000dead")
	hidden("a bare path", stranger("pictures", "one.txt"), "one.txt", "pictures")

	// For a folder (and what is in it), what comes into it, and what leaves it.
	if a := f.setPublic(alice, "pictures", "", true); a.status != 200 || a.body != `[{"is_public":true}]`+"\n" {
		t.Fatalf("set_public = %d %s", a.status, a.body)
	}
	check(true, true, false)
	f.store(alice, "pictures/deep/new/three.txt", "three")
	if a := stranger(me+"/pictures/deep/new", "three.txt"); a.status != 200 || a.body != "three" {
		t.Errorf("a new file in a public folder: %d %s", a.status, a.body)
	}
	id := f.store(alice, "pictures/leaves.txt", "leaves")
	f.do(request{method: "PATCH", path: "/files?id=eq." + id, as: alice, body: map[string]string{"file_path": "gone/leaves.txt"}})
	hidden("what left it", stranger(me+"/gone", "leaves.txt"), "leaves.txt", me+"/gone")
	if a := f.setPublic(alice, "pictures", "one.txt", false); a.body != `[{"is_public":true}]`+"\n" {
		t.Errorf("a file stays public with its folder: %s", a.body)
	}
	f.setPublic(alice, "pictures", "", false)
	check(false, false, false)

	// A file alone, below folders that are not public.
	f.setPublic(alice, "pictures/deep", "two.txt", true)
	check(false, true, false)
	// Its owner names it as before, and by the id too.
	for _, bucket := range []string{"pictures/deep", "/pictures//deep/", me + "/pictures/deep"} {
		if a := f.do(request{path: getFile(bucket, "two.txt"), as: alice}); a.status != 200 || a.body != "two" {
			t.Errorf("the owner asking in %s: %d %s", bucket, a.status, a.body)
		}
	}
	if a := f.do(request{path: getFile("pictures", "one.txt"), as: alice}); a.status != 200 || a.header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("the owner's private file: %d, %s", a.status, a.header.Get("Cache-Control"))
	}
	// Nobody else switches it.
	if a := f.setPublic(bob, me+"/pictures/deep", "two.txt", false); a.status != 403 {
		t.Errorf("another user switching it off: %d %s", a.status, a.body)
	}
	hidden("another user switching on", f.setPublic(bob, me, "private.txt", true), "private.txt", me)
	hidden("another user switching on nothing", f.setPublic(bob, me, "none.txt", true), "none.txt", me)
	f.fails(f.do(request{method: "POST", path: "/rpc/set_public", body: map[string]any{"p_bucket_path": me, "p_file_name": "private.txt", "p_public": true}}), 401, "")
	check(false, true, false)
	// A wrong token is no stranger.
	f.fails(f.do(request{path: getFile(me+"/pictures/deep", "two.txt"), header: map[string]string{"Authorization": "Bearer x"}}), 401, "")
	// A cookie that is no login any more is a stranger's, and the browser forgets it.
	for _, path := range []string{getFile(me+"/pictures/deep", "two.txt"), "/api/vfs/get/user:" + me + "/pictures/deep/two.txt"} {
		for _, cookie := range []string{"satchel_session=", "satchel_session=of+yesterday"} {
			a := f.do(request{path: path, header: map[string]string{"Cookie": cookie}})
			if a.status != 200 || a.body != "two" || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
				t.Errorf("%s with %s: %d %s, Set-Cookie: %s", path, cookie, a.status, a.body, a.header.Get("Set-Cookie"))
			}
		}
	}
	if a := stranger(me+"/pictures/deep", "two.txt"); a.header.Get("Set-Cookie") != "" {
		t.Errorf("who has no cookie is told to forget it: %v", a.header)
	}
	f.fails(f.do(request{method: "POST", path: "/rpc/set_public", header: map[string]string{"Cookie": "satchel_session="}, body: map[string]any{"p_bucket_path": me, "p_public": true}}), 401, "")
	// The names may come in the body, as PostgREST's clients send them.
	for function, want := range map[string]string{"get_file": "two", "get_metadata": `"size":3`, "is_public": `"is_public":true`} {
		a := f.do(request{method: "POST", path: "/rpc/" + function, body: map[string]string{"p_bucket_path": me + "/pictures/deep", "p_file_name": "two.txt"}})
		if a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("POST %s: %d %s", function, a.status, a.body)
		}
	}
	f.fails(f.do(request{method: "POST", path: "/rpc/get_file", body: map[string]string{"p_bucket_path": me + "/pictures/deep/two.txt"}}), 400, "name")
	// And a deleted file is gone for all.
	f.do(request{method: "DELETE", path: "/files?file_path=eq.pictures/deep/two.txt", as: alice})
	check(false, false, false)
}

// A bare path means the caller's own drive; nobody can squat a path.
func TestBarePathsAreOnesOwn(t *testing.T) {
	f := newFixture(t)
	a, b := f.userID(alice), f.userID(bob)
	f.store(alice, b+"/x.txt", "alice's, in a folder that is called as bob")
	f.store(bob, "x.txt", "bob's")
	f.setPublic(bob, "", "x.txt", true)
	if got := f.do(request{path: getFile(b, "x.txt"), as: alice}); got.body != "alice's, in a folder that is called as bob" {
		t.Errorf("alice gets %d %s", got.status, got.body)
	}
	if got := f.do(request{path: getFile(b, "x.txt")}); got.body != "bob's" {
		t.Errorf("a stranger gets %d %s", got.status, got.body)
	}
	if got := f.do(request{path: getFile(a+"/"+b, "x.txt"), as: bob}); got.status != 404 {
		t.Errorf("bob gets %d %s", got.status, got.body)
	}
}

// The right MIME type (by name, then by content), ETag, Range.
func TestGetFileHeaders(t *testing.T) {
	f := newFixture(t)
	png := "\x89PNG\r\n\x1a\n0000"
	for name, want := range map[string][3]string{ // content, type, disposition
		"a.png":         {"x", "image/png", "inline"},
		"noname":        {png, "image/png", "inline"},
		"page.html":     {"<script>alert(1)</script>", "text/html; charset=utf-8", "attachment"},
		"page":          {"<!DOCTYPE html><script>alert(1)</script>", "text/html; charset=utf-8", "attachment"},
		"x.svg":         {"<svg/>", "image/svg+xml", "attachment"},
		"read.me":       {"plain words", "text/plain; charset=utf-8", "inline"},
		"say \"hi\"\n🎒": {png, "image/png", "inline"},
	} {
		f.store(alice, url.PathEscape("ü"+name), want[0])
		a := f.do(request{path: getFile("", "ü"+name), as: alice})
		h := a.header
		if a.status != 200 || a.body != want[0] || h.Get("Content-Type") != want[1] || !strings.HasPrefix(h.Get("Content-Disposition"), want[2]+";") ||
			h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || len(h.Get("Etag")) != 66 {
			t.Errorf("%q: %d %q %v", name, a.status, a.body, h)
		}
		if a := f.do(request{path: getFile("", "ü"+name), as: alice, header: map[string]string{"If-None-Match": h.Get("Etag")}}); a.status != 304 || a.body != "" {
			t.Errorf("%q again: %d %q", name, a.status, a.body)
		}
	}
	f.store(alice, "digits.txt", "0123456789")
	for header, want := range map[string]string{"bytes=2-4": "234", "bytes=-3": "789", "bytes=7-": "789"} {
		a := f.do(request{path: getFile("", "digits.txt"), as: alice, header: map[string]string{"Range": header}})
		if a.status != http.StatusPartialContent || a.body != want {
			t.Errorf("Range %s: %d %s", header, a.status, a.body)
		}
	}
	f.fails(f.do(request{path: getFile("", "digits.txt"), as: alice, header: map[string]string{"Range": "bytes=20-"}}), 416, "no such range")
	if a := f.do(request{method: "HEAD", path: getFile("", "digits.txt"), as: alice}); a.status != 200 || a.header.Get("Content-Length") != "10" || a.body != "" {
		t.Errorf("HEAD: %d %v %q", a.status, a.header, a.body)
	}
	if a := f.do(request{method: "PUT", path: getFile("", "digits.txt"), as: alice}); a.status != 405 {
		t.Errorf("PUT: %d", a.status)
	}
}

// Custom metadata (JSON object) can be set and read.
func TestMetadata(t *testing.T) {
	f := newFixture(t)
	id := f.store(alice, "dir/a.txt", "hello")
	set := func(body string) answerData {
		return f.do(request{method: "POST", path: "/rpc/set_metadata", as: alice, body: `{"p_bucket_path":"dir","p_file_name":"a.txt","p_metadata":` + body + `}`})
	}
	get := func(as, bucket string) map[string]any {
		t.Helper()
		rows := f.rows(f.do(request{path: "/rpc/get_metadata?p_bucket_path=" + bucket + "&p_file_name=a.txt", as: as}))
		if len(rows) != 1 || len(rows[0]) != 8 {
			t.Fatalf("get_metadata = %v", rows)
		}
		return rows[0]
	}
	row := get(alice, "dir")
	if row["id"] != id || row["bucket_path"] != "dir" || row["file_name"] != "a.txt" || row["size"] != 5.0 || row["content_type"] != "text/plain; charset=utf-8" ||
		row["hash"] != "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" || len(row["metadata"].(map[string]any)) != 0 {
		t.Errorf("row = %v", row)
	}
	if a := set(`{"a":{"b":[1,2]},"c":"ü"}`); a.status != 204 {
		t.Fatalf("set = %d %s", a.status, a.body)
	}
	if m, _ := json.Marshal(get(alice, "dir")["metadata"]); string(m) != `{"a":{"b":[1,2]},"c":"ü"}` {
		t.Errorf("metadata = %s", m)
	}
	for _, bad := range []string{`[1]`, `"x"`, `1`, `null`, `{"a":"\u0000"}`, `{"a":1e999999}`} {
		f.fails(set(bad), 400, "")
	}
	// It stays with the document, through new content and a rename.
	f.store(alice, "dir/a.txt", "other content")
	f.do(request{method: "PATCH", path: "/files?id=eq." + id, as: alice, body: map[string]string{"file_path": "moved/a.txt", "description": "kept"}})
	if m, _ := json.Marshal(get(alice, "moved")["metadata"]); string(m) != `{"a":{"b":[1,2]},"c":"ü"}` {
		t.Errorf("metadata after a rename = %s", m)
	}
	// Others read it when the file is public, and do not write it.
	f.setPublic(alice, "moved", "a.txt", true)
	me := f.userID(alice)
	for _, as := range []string{"", bob, root} {
		if m := get(as, me+"/moved")["metadata"].(map[string]any); m["c"] != "ü" {
			t.Errorf("as %q: %v", as, m)
		}
	}
	if a := f.do(request{method: "POST", path: "/rpc/set_metadata", as: bob, body: `{"p_bucket_path":"` + me + `/moved","p_file_name":"a.txt","p_metadata":{}}`}); a.status != 403 {
		t.Errorf("another user's metadata: %d %s", a.status, a.body)
	}
}

// An editor that saves by rename leaves the document public.
func TestPublicFollowsTheDocument(t *testing.T) {
	f := newFixture(t)
	id := f.store(alice, "letter.txt", "first")
	f.setPublic(alice, "", "letter.txt", true)
	me := f.userID(alice)
	temp := f.store(alice, ".letter.tmp", "second")
	var drive struct{ ID, Root string }
	if err := json.Unmarshal([]byte(f.do(request{path: "/v1/drives/home", as: alice}).body), &drive); err != nil {
		t.Fatal(err)
	}
	lookup := func(path string) (n struct{ ID, Document string }) {
		t.Helper()
		if err := json.Unmarshal([]byte(f.do(request{path: "/v1/drives/home/lookup?path=" + path, as: alice}).body), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	batch := map[string]any{"incarnation": "00000000-0000-7000-8000-000000000001", "number": 1, "mutations": []any{map[string]any{
		"op": "rename", "node": lookup(".letter.tmp").ID, "parent": drive.Root, "name": ".letter.tmp", "to_parent": drive.Root, "to_name": "letter.txt",
		"replaces": lookup("letter.txt").ID, "time": 1,
	}}}
	if a := f.do(request{method: "POST", path: "/v1/drives/home/batches", as: alice, body: batch}); a.status != 200 || !strings.Contains(a.body, `"applied"`) {
		t.Fatalf("rename = %d %s", a.status, a.body)
	}
	if n := lookup("letter.txt"); n.Document != id || temp == id {
		t.Fatalf("the document is %s, not %s", n.Document, id)
	}
	if a := f.do(request{path: getFile(me, "letter.txt")}); a.status != 200 || a.body != "second" {
		t.Errorf("a stranger gets %d %s", a.status, a.body)
	}
}
