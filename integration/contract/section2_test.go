package contract

import (
	"net/url"
	"strings"
	"testing"
)

func TestSection2(t *testing.T) { onEachStore(t, section2) }

func file(bucket, name string) string {
	return "/rpc/get_file?p_bucket_path=" + url.QueryEscape(bucket) + "&p_file_name=" + url.QueryEscape(name)
}

func metadata(bucket, name string) string {
	return strings.Replace(file(bucket, name), "get_file", "get_metadata", 1)
}

func (p *person) setPublic(t *testing.T, bucket, name string, public bool) answer {
	t.Helper()
	return p.send(t, "POST", "/rpc/set_public", nil, object{"p_bucket_path": bucket, "p_file_name": name, "p_public": public})
}

var section2 = []line{
	{"`GET /rpc/get_file?p_bucket_path=…&p_file_name=…` opens in a browser: right MIME type (by name, then by content), ETag, Range", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.store(t, "d/a.pdf", "%PDF-1.4")
		p.store(t, "d/picture", "\x89PNG\r\n\x1a\n")
		p.store(t, "d/words", "plain words")
		for name, want := range map[string]string{"a.pdf": "application/pdf", "picture": "image/png", "words": "text/plain; charset=utf-8"} {
			got := p.get(t, file("d", name))
			if got.status != 200 || got.header.Get("Content-Type") != want {
				t.Errorf("%s: %d %s", name, got.status, got.header.Get("Content-Type"))
			}
			p.send(t, "GET", file("d", name), object{"If-None-Match": got.header.Get("Etag")}, nil).is(t, 304, "")
		}
		got := p.send(t, "GET", file("d", "words"), object{"Range": "bytes=6-8"}, nil)
		if got.status != 206 || string(got.body) != "wor" || got.header.Get("Content-Range") != "bytes 6-8/11" {
			t.Errorf("Range: %v %v", got, got.header)
		}
	}},
	{"`Content-Disposition: inline` for an allow-list (images, PDF, plain text, audio, video), else `attachment` (HTML, SVG, XML and all that can run script)", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for name, want := range map[string]string{
			"a.png": "inline", "a.jpg": "inline", "a.pdf": "inline", "a.txt": "inline", "a.mp3": "inline", "a.mp4": "inline",
			"a.html": "attachment", "a.HTM": "attachment", "a.svg": "attachment", "a.xml": "attachment", "a.js": "attachment", "a.zip": "attachment", "unknown": "attachment",
		} {
			p.store(t, name, "<html><script>alert(1)</script>")
			if got := p.get(t, file("", name)).header.Get("Content-Disposition"); !strings.HasPrefix(got, want+`; filename="`+name+`"`) {
				t.Errorf("%s: %s", name, got)
			}
		}
	}},
	{"always `X-Content-Type-Options: nosniff` and a sandbox CSP", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for _, name := range []string{"a.png", "a.txt", "a.html", "none"} {
			if name != "none" {
				p.store(t, name, "x")
			}
			h := p.get(t, file("", name)).header
			if h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s may be sniffed", name)
			}
			if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || name != "none" && !strings.Contains(csp, "sandbox") {
				t.Errorf("%s: %s", name, csp)
			}
		}
	}},
	{"PDF goes without sandbox (browsers break it otherwise)", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.store(t, "a.pdf", "%PDF-1.4")
		h := p.get(t, file("", "a.pdf")).header
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "sandbox") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("a PDF: %v", h)
		}
	}},
	{"File names with quotes, newlines, backslashes or emoji cannot break a header", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		for _, name := range []string{`a".txt`, "a\r\nX-Evil: yes\r\n\r\nbody", `a\`, `\"; filename=evil.exe; x="`, "🎒.txt", "\u202etxt.exe"} {
			got := p.send(t, "POST", "/rpc/store_file", object{"File-Path": url.PathEscape("ü" + name)}, "content")
			got.is(t, 200, "")
			got = p.get(t, file("", "ü"+name))
			got.is(t, 200, "content")
			if got.header.Get("X-Evil") != "" || len(got.header.Values("Content-Disposition")) != 1 {
				t.Errorf("%q: %v", name, got.header)
			}
		}
	}},
	{"Public: `Cache-Control: public, max-age=259200`; private: `private, no-cache`", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.store(t, "a.txt", "x")
		if got := p.get(t, file("", "a.txt")).header.Get("Cache-Control"); got != "private, no-cache" {
			t.Errorf("private: %s", got)
		}
		p.setPublic(t, "", "a.txt", true).is(t, 200, `"is_public":true`)
		for _, who := range []*person{p, w.stranger()} {
			if got := who.get(t, file(p.id, "a.txt")); got.status != 200 || got.header.Get("Cache-Control") != "public, max-age=259200" {
				t.Errorf("public: %v %s", got, got.header.Get("Cache-Control"))
			}
		}
		if got := w.stranger().get(t, file(p.id, "none")).header.Get("Cache-Control"); strings.Contains(got, "public") {
			t.Errorf("a missing file may be kept: %s", got)
		}
	}},
	{"`GET /rpc/get_metadata`, same parameters → `[{id,bucket_path,file_name,size,content_type,hash,created_at,metadata}]`; hash = SHA-256 hex", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		id := p.store(t, "d/e/a.txt", "hello")
		rows := p.get(t, metadata("d/e", "a.txt")).rows(t)
		if len(rows) != 1 || len(rows[0]) != 8 {
			t.Fatalf("rows %v", rows)
		}
		for name, want := range map[string]any{
			"id": id, "bucket_path": "d/e", "file_name": "a.txt", "size": 5.0, "content_type": "text/plain; charset=utf-8",
			"hash": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
		} {
			if rows[0][name] != want {
				t.Errorf("%s is %v, not %v", name, rows[0][name], want)
			}
		}
		if rows[0]["created_at"] == "" || rows[0]["metadata"] == nil {
			t.Errorf("row %v", rows[0])
		}
	}},
	{"A bare path means the caller's own drive; a foreign or anonymous caller names the owner first (`{uuid}/path`) or a globally unique bucket, so nobody can squat a path", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		p.store(t, "shared/a.txt", "p's")
		other.store(t, "shared/a.txt", "other's")
		for _, who := range []*person{p, other} {
			who.setPublic(t, "shared", "", true).is(t, 200, "true")
		}
		p.get(t, file("shared", "a.txt")).is(t, 200, "p's")
		other.get(t, file("shared", "a.txt")).is(t, 200, "other's")
		p.get(t, file(other.id+"/shared", "a.txt")).is(t, 200, "other's")
		w.stranger().get(t, file(p.id+"/shared", "a.txt")).is(t, 200, "p's")
		w.stranger().get(t, file("shared", "a.txt")).fails(t, 404, "File not found")
		w.admin.get(t, file("shared", "a.txt")).fails(t, 404, "File not found")

		bucket := "b-" + strings.ReplaceAll(p.id, "-", "")
		p.store(t, bucket+"/in/x.txt", "in p's bucket")
		p.send(t, "POST", "/api/buckets", nil, object{"name": bucket}).is(t, 201, bucket)
		p.get(t, file(bucket+"/in", "x.txt")).is(t, 200, "in p's bucket")
		for _, who := range []*person{other, w.stranger(), w.admin} {
			who.get(t, file(bucket+"/in", "x.txt")).fails(t, 404, "File not found")
		}
		p.setPublic(t, bucket+"/in", "x.txt", true).is(t, 200, "true")
		for _, who := range []*person{other, w.stranger(), w.admin} {
			who.get(t, file(bucket+"/in", "x.txt")).is(t, 200, "in p's bucket")
			who.get(t, metadata(bucket+"/in", "x.txt")).is(t, 200, `"bucket_path":"`+bucket+`/in"`)
			who.get(t, file(bucket+"/in", "y.txt")).fails(t, 404, "File not found")
			who.get(t, file(bucket+"/..", "x.txt")).fails(t, 400, "")
		}
		other.store(t, bucket+"/in/x.txt", "other's own") // what he has comes first
		other.get(t, file(bucket+"/in", "x.txt")).is(t, 200, "other's own")
		w.stranger().get(t, file(bucket+"/in", "x.txt")).is(t, 200, "in p's bucket")
		p.send(t, "PATCH", "/files?file_path=eq."+bucket+"/in/x.txt", nil, object{"file_path": bucket + "/in/moved.txt"}).is(t, 204, "")
		p.send(t, "POST", "/api/vfs/rename/home/"+bucket, nil, object{"name": "renamed"}).is(t, 200, "")
		w.stranger().get(t, file(bucket+"/in", "moved.txt")).is(t, 200, "in p's bucket") // the name follows the node
		p.get(t, file(bucket+"/in", "moved.txt")).is(t, 200, "in p's bucket")
	}},
	{"`bucket_path` = the directory, `file_name` = the last name", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.store(t, "a/b/c.txt", "deep")
		p.store(t, "top.txt", "top")
		p.get(t, file("a/b", "c.txt")).is(t, 200, "deep")
		p.get(t, file("", "top.txt")).is(t, 200, "top")
		p.get(t, file("a", "b/c.txt")).fails(t, 400, "")
		p.get(t, file("a", "b")).fails(t, 404, "File not found")
		row := p.get(t, metadata("/a//b/", "c.txt")).rows(t)[0]
		if row["bucket_path"] != "a/b" || row["file_name"] != "c.txt" {
			t.Errorf("row %v", row)
		}
	}},
	{"Anonymous sees a node only when `is_public`; otherwise the answer of a missing one: 404 `{\"code\":\"PT404\",\"message\":\"File not found\",\"details\":\"File not found\",\"hint\":\"File x not found in bucket y\"}`", func(t *testing.T, w *world) {
		p, other := w.newPerson(t), w.newPerson(t)
		p.store(t, "d/private.txt", "secret")
		p.store(t, "d/public.txt", "shown")
		p.setPublic(t, "d", "public.txt", true)
		for _, who := range []*person{w.stranger(), other, w.admin} {
			for _, kind := range []func(string, string) string{file, metadata} {
				who.get(t, kind(p.id+"/d", "public.txt")).is(t, 200, "")
				for _, name := range []string{"private.txt", "missing.txt"} {
					who.get(t, kind(p.id+"/d", name)).is(t, 404, `{"message":"File not found","code":"PT404","details":"File not found","hint":"File `+name+` not found in bucket `+p.id+`/d"}`)
				}
			}
		}
	}},
	{"Custom metadata (JSON object) can be set and read", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.store(t, "a.txt", "x")
		set := func(value any) answer {
			return p.send(t, "POST", "/rpc/set_metadata", nil, object{"p_bucket_path": "", "p_file_name": "a.txt", "p_metadata": value})
		}
		set(object{"k": "v", "n": []int{1, 2}}).is(t, 204, "")
		if m := p.get(t, metadata("", "a.txt")).rows(t)[0]["metadata"].(object); m["k"] != "v" || len(m["n"].([]any)) != 2 {
			t.Errorf("metadata %v", m)
		}
		for _, bad := range []any{[]int{1}, "text", 7, nil} {
			set(bad).fails(t, 400, "object")
		}
	}},
	{"public can be switched on and off, for a file or a folder (and what is in it)", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.store(t, "d/e/a.txt", "x")
		seen := func(want bool) {
			t.Helper()
			if got := w.stranger().get(t, file(p.id+"/d/e", "a.txt")); (got.status == 200) != want {
				t.Errorf("a stranger gets %v", got)
			}
		}
		seen(false)
		p.setPublic(t, "d", "", true).is(t, 200, "true")
		seen(true)
		p.store(t, "d/e/new.txt", "later")
		w.stranger().get(t, file(p.id+"/d/e", "new.txt")).is(t, 200, "later")
		p.setPublic(t, "d", "", false).is(t, 200, "false")
		seen(false)
		p.setPublic(t, "d/e", "a.txt", true).is(t, 200, "true")
		seen(true)
		w.stranger().get(t, file(p.id+"/d/e", "new.txt")).fails(t, 404, "")
		p.setPublic(t, "d/e", "a.txt", false).is(t, 200, "false")
		seen(false)
	}},
	{"A storage mode that keeps content in PostgreSQL (`--blobs postgres:`) passes every test that the others pass", func(t *testing.T, w *world) {
		p := w.newPerson(t)
		p.store(t, "a", strings.Repeat("content ", 1<<17)) // 1 MiB
		must(t, parts.UseBlobs(t.Context(), w.store, ""))  // so that the rig looks there
		n, bytes, err := w.server.Objects(t.Context())
		if err != nil || n == 0 || bytes < 8 {
			t.Errorf("the store has %d objects of %d bytes: %v", n, bytes, err)
		}
	}},
}
