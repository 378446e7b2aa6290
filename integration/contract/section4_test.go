package contract

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSection4(t *testing.T) { onEachStore(t, section4) }

var section4 = []line{
	{"Mounts: named system drives from a config file (`[{\"name\",\"type\":\"local\",\"path\"}]`, and `VFS_CONFIG`), each a read-write system drive", onVFS(func(v *vfs) {
		v.call(v.alice, "GET", "ls/team", nil, 404)
		v.grant(v.w.admin, "team", "/", v.alice.id, 200, "read", "list", "write", "mkdir")
		v.write(v.alice, "team/plans/a.txt", "by alice")
		v.expect("read", v.text(v.call(v.alice, "GET", "read/team/plans/a.txt", nil, 200)), "by alice")
		v.call(v.alice, "GET", "ls/nothing", nil, 404)
		v.call(v.nobody, "GET", "ls/team", nil, 401)
		v.call(v.nobody, "GET", "ls/nothing", nil, 401)
	})},
	{"`type: local` with a `path` imports that directory on first use and again on request (os.Root, symlinks never leave it)", onVFS(func(v *vfs) {
		v.grant(v.w.admin, "docs", "/", "authenticated", 200, "read", "list", "write")
		v.expect("first use", v.names(v.alice, "docs?gitignore=false"), ".gitignore a.md b.log inside out sub")
		v.expect("a link that stays inside", v.text(v.call(v.alice, "GET", "read/docs/inside", nil, 200)), "A")
		v.call(v.alice, "GET", "read/docs/escape", nil, 404)
		v.call(v.alice, "POST", "admin/import/docs", nil, 403)
		if err := os.WriteFile(filepath.Join(v.w.mounted("docs"), "new.md"), []byte("new"), 0o644); err != nil {
			v.t.Fatal(err)
		}
		v.write(v.alice, "docs/a.md", "changed in the drive")
		v.call(v.alice, "GET", "read/docs/new.md", nil, 404)
		v.call(v.w.admin, "POST", "admin/import/docs", nil, 200)
		v.expect("again", v.text(v.call(v.alice, "GET", "read/docs/new.md", nil, 200)), "new")
		v.expect("what was changed since", v.text(v.call(v.alice, "GET", "read/docs/a.md", nil, 200)), "changed in the drive")
	})},
	{"`home` = the caller's drive, made on first use", onVFS(func(v *vfs) {
		v.expect("an empty one", v.names(v.alice, "home"), "")
		v.call(v.nobody, "GET", "ls/home", nil, 401)
		v.call(v.w.admin, "GET", "ls/home", nil, 403)
	})},
	{"`user:{uuid}` and bare `{uuid}` = that user's drive, only as far as its ACL allows", onVFS(func(v *vfs) {
		v.write(v.alice, "home/shared/x", "x")
		v.write(v.alice, "home/private/y", "y")
		for _, mount := range []string{"user:" + v.alice.id, v.alice.id} {
			v.call(v.bob, "GET", "ls/"+mount+"/shared", nil, 404)
			v.expect("one's own", v.names(v.alice, mount+"/shared"), "x")
		}
		v.grant(v.alice, "home", "/shared", v.bob.id, 200, "read", "list")
		for _, mount := range []string{"user:" + v.alice.id, v.alice.id} {
			v.expect("shared", v.names(v.bob, mount+"/shared"), "x")
			v.call(v.bob, "GET", "ls/"+mount, nil, 404)
			v.call(v.bob, "GET", "read/"+mount+"/private/y", nil, 404)
			v.call(v.bob, "GET", "read/"+mount+"/private/missing", nil, 404)
		}
	})},
	{"`acl: inherit` needs full control of the source by whoever makes the bind", onVFS(func(v *vfs) {
		v.write(v.alice, "home/a/x", "x")
		v.grant(v.alice, "home", "/a", v.bob.id, 200, "read", "list", "write", "mkdir", "delete", "rename", "copy")
		bind := object{"source": object{"mount": v.alice.id, "path": "/a"}, "target": object{"mount": "home", "path": "/from alice"}, "acl": "inherit"}
		v.call(v.bob, "POST", "binds", bind, 403)
		v.grant(v.w.admin, "team", "/", v.bob.id, 200, "read", "list")
		bind = object{"source": object{"mount": "home", "path": "/a"}, "target": object{"mount": "home", "path": "/b"}, "acl": "inherit"}
		v.call(v.alice, "POST", "binds", bind, 201)
		v.call(v.alice, "POST", "acl/revoke/home", object{"path": "/a", "userId": v.bob.id}, 200)
		v.call(v.bob, "GET", "read/"+v.alice.id+"/b/x", nil, 404)
		v.grant(v.alice, "home", "/b", v.bob.id, 200, "read", "list")
		v.expect("inherited", v.text(v.call(v.bob, "GET", "read/"+v.alice.id+"/b/x", nil, 200)), "x")
	})},
	{"a bind shows up in listings, in the FUSE mount and in WebDAV, without copying. Cycles are refused", onVFS(func(v *vfs) {
		v.write(v.alice, "home/a/x", "x")
		v.call(v.alice, "POST", "binds", object{"source": object{"mount": "home", "path": "/a"}, "target": object{"mount": "home", "path": "/c/bound"}}, 201)
		v.expect("the parent", v.names(v.alice, "home/c"), "bound")
		v.expect("what is bound", v.names(v.alice, "home/c/bound"), "x")
		v.write(v.alice, "home/c/bound/y", "through the bind")
		v.expect("written through it", v.text(v.call(v.alice, "GET", "read/home/a/y", nil, 200)), "through the bind")
		for _, cycle := range [][2]string{{"/c", "/a/deep"}, {"/", "/c/again"}, {"/a", "/a/b"}, {"/c/bound", "/a/z"}} {
			v.call(v.alice, "POST", "binds", object{"source": object{"mount": "home", "path": cycle[0]}, "target": object{"mount": "home", "path": cycle[1]}}, 400)
		}
		v.call(v.alice, "POST", "binds", object{"source": object{"mount": "home", "path": "/c"}, "target": object{"mount": "home", "path": "/a"}}, 409)
		v.expect("nothing is left of those that were refused", v.names(v.alice, "home/a"), "x y")
	})},
	{"Binds: `[{\"id\",\"source\":{\"mount\",\"path\"?},\"target\":{\"mount\",\"path\"},\"acl\":\"source\"|\"inherit\"}]`", onVFS(func(v *vfs) {
		v.write(v.alice, "home/a/x", "x")
		v.call(v.alice, "POST", "binds", object{"source": object{"mount": "home", "path": "/a"}, "target": object{"mount": "home", "path": "/b"}}, 201)
		v.call(v.alice, "POST", "binds", object{"source": object{"mount": "home", "path": "/a"}, "target": object{"mount": "home", "path": "/c"}, "acl": "inherit"}, 201)
		v.call(v.alice, "POST", "binds", object{"source": object{"mount": "home", "path": "/a"}, "target": object{"mount": "home", "path": "/d"}, "acl": "all"}, 400)
		binds := v.call(v.alice, "GET", "binds", nil, 200).rows(v.t)
		if len(binds) != 2 {
			v.t.Fatalf("binds %v", binds)
		}
		for i, want := range []string{"source", "inherit"} {
			b := binds[i]
			source, target := b["source"].(object), b["target"].(object)
			if b["acl"] != want || source["mount"] != "home" || source["path"] != "/a" || target["path"] != []string{"/b", "/c"}[i] {
				v.t.Errorf("a bind is %v", b)
			}
		}
		v.call(v.bob, "DELETE", "binds/"+binds[0]["id"].(string), nil, 404)
		v.call(v.alice, "DELETE", "binds/"+binds[0]["id"].(string), nil, 200)
		v.expect("what was bound", v.names(v.alice, "home/b"), "")
		v.expect("the source", v.names(v.alice, "home/a"), "x")
	})},
	{"A bind into `home` is how a folder shared by another user appears", onVFS(func(v *vfs) {
		v.write(v.alice, "home/shared/x", "x")
		source := object{"mount": "user:" + v.alice.id, "path": "/shared"}
		bind := object{"source": source, "target": object{"mount": "home", "path": "/from alice"}, "acl": "source"}
		v.call(v.bob, "POST", "binds", bind, 404)
		v.grant(v.alice, "home", "/shared", v.bob.id, 200, "read", "list")
		v.call(v.bob, "POST", "binds", bind, 201)
		v.expect("ls", v.names(v.bob, "home/from%20alice"), "x")
		v.expect("read", v.text(v.call(v.bob, "GET", "read/home/from%20alice/x", nil, 200)), "x")
		v.call(v.bob, "PUT", "write/home/from%20alice/x", "y", 403)
		v.call(v.alice, "POST", "acl/revoke/home", object{"path": "/shared", "userId": v.bob.id}, 200)
		v.call(v.bob, "GET", "read/home/from%20alice/x", nil, 404)
	})},
	{"ACL: entries `{path, permissions[], userId}`", onVFS(func(v *vfs) {
		v.write(v.alice, "home/a/x", "x")
		v.grant(v.alice, "home", "/a", v.bob.id, 200, "list", "read")
		var acl struct{ ACL []object }
		must(v.t, json.Unmarshal(v.call(v.alice, "GET", "acl/home", nil, 200).body, &acl))
		if len(acl.ACL) != 1 || len(acl.ACL[0]) != 3 || acl.ACL[0]["path"] != "/a" || acl.ACL[0]["userId"] != v.bob.id ||
			!slices.Equal(acl.ACL[0]["permissions"].([]any), []any{"read", "list"}) {
			v.t.Errorf("entries %v", acl.ACL)
		}
	})},
	{"The owner has full control", onVFS(func(v *vfs) {
		v.write(v.alice, "home/s/f", "f")
		v.grant(v.alice, "home", "/s", v.bob.id, 200, "read") // what others hold takes nothing from him
		v.call(v.alice, "POST", "mkdir/home/s/d", nil, 201)
		v.call(v.alice, "POST", "copy/home/s/f", object{"to": "/s/g"}, 200)
		v.call(v.alice, "POST", "rename/home/s/g", object{"name": "h"}, 200)
		v.call(v.alice, "DELETE", "delete/home/s/h", nil, 200)
		v.expect("left", v.names(v.alice, "home/s"), "d f")
	})},
	{"ACL rows live in PostgreSQL and RLS enforces them", onVFS(func(v *vfs) {
		v.write(v.alice, "home/shared/x", "x")
		v.write(v.alice, "home/private/y", "y")
		db := v.bob.sql(v.t)
		sees := func(want int64) {
			v.t.Helper()
			if n := db.count(v.t, "SELECT FROM satchel.nodes WHERE owner = $1", v.alice.id); n != want {
				v.t.Errorf("SQL shows %d of her nodes, not %d", n, want)
			}
		}
		sees(0)
		v.grant(v.alice, "home", "/shared", v.bob.id, 200, "read", "list")
		sees(2) // the directory and the file
		if n := db.count(v.t, "SELECT FROM satchel.grants WHERE owner = $1", v.alice.id); n != 0 {
			v.t.Errorf("a guest sees %d rows of the ACL", n)
		}
		if n := v.alice.sql(v.t).count(v.t, "SELECT FROM satchel.grants WHERE principal = $1", v.bob.id); n != 1 {
			v.t.Errorf("the owner sees %d rows of the ACL", n)
		}
		db.refuses(v.t, "INSERT INTO satchel.grants (drive, node, principal, owner, permissions) SELECT drive, id, 'anonymous', owner, 127 FROM satchel.nodes WHERE owner = $1", v.alice.id)
		v.call(v.alice, "POST", "acl/revoke/home", object{"path": "/shared", "userId": v.bob.id}, 200)
		sees(0)
	})},
	{"permissions `read list write mkdir delete rename copy`", onVFS(func(v *vfs) {
		v.write(v.alice, "home/s/f", "f")
		v.write(v.alice, "home/s/d/g", "g")
		at := v.alice.id + "/s"
		acts := map[string]func(status int){
			"read":   func(want int) { v.call(v.bob, "GET", "read/"+at+"/f", nil, want) },
			"list":   func(want int) { v.call(v.bob, "GET", "ls/"+at, nil, want) },
			"write":  func(want int) { v.call(v.bob, "PUT", "write/"+at+"/f", "f", want) },
			"mkdir":  func(want int) { v.call(v.bob, "POST", "mkdir/"+at+"/new", nil, want) },
			"delete": func(want int) { v.call(v.bob, "DELETE", "delete/"+at+"/d", nil, want) },
			"rename": func(want int) { v.call(v.bob, "POST", "rename/"+at+"/f", object{"name": "f2"}, want) },
			"copy": func(want int) {
				v.call(v.bob, "POST", "copy/"+at+"/f", object{"mount": "home", "to": "/mine"}, want)
			},
		}
		order := []string{"read", "list", "copy", "write", "mkdir", "delete", "rename"}
		for i, p := range order {
			for _, later := range order[i:] {
				if i > 0 || later == "mkdir" || later == "write" { // before the first grant nothing is there for bob
					acts[later](map[bool]int{true: 403, false: 404}[i > 0])
				}
			}
			v.grant(v.alice, "home", "/s", v.bob.id, 200, p)
			status := 200
			if p == "mkdir" {
				status = 201
			}
			acts[p](status)
		}
	})},
	{"principals `anonymous`, `authenticated`, a user's UUID", onVFS(func(v *vfs) {
		v.write(v.alice, "home/open/a", "a")
		v.write(v.alice, "home/members/b", "b")
		v.grant(v.alice, "home", "/open", "anonymous", 200, "read")
		v.grant(v.alice, "home", "/members", "authenticated", 200, "read")
		v.expect("a stranger", v.text(v.call(v.nobody, "GET", "read/"+v.alice.id+"/open/a", nil, 200)), "a")
		v.call(v.nobody, "GET", "read/"+v.alice.id+"/members/b", nil, 401)
		v.call(v.nobody, "GET", "read/"+v.alice.id+"/missing", nil, 401)
		v.call(v.nobody, "PUT", "write/"+v.alice.id+"/open/a", "x", 401)
		v.expect("a user", v.text(v.call(v.bob, "GET", "read/"+v.alice.id+"/members/b", nil, 200)), "b")
		v.grant(v.alice, "home", "/open", "someone", 400, "read")
		v.grant(v.alice, "home", "/open", "0194f5b5-0000-7000-8000-000000000000", 404, "read")
		v.grant(v.alice, "home", "/open", v.bob.id, 400, "everything")
	})},
	{"A grant covers descendants; `/shared` does not cover `/shared2`", onVFS(func(v *vfs) {
		v.write(v.alice, "home/shared/deep/er/x", "x")
		v.write(v.alice, "home/shared2/y", "y")
		v.grant(v.alice, "home", "/shared", v.bob.id, 200, "read")
		v.call(v.bob, "GET", "read/"+v.alice.id+"/shared/deep/er/x", nil, 200)
		v.call(v.bob, "GET", "read/"+v.alice.id+"/shared2/y", nil, 404)
	})},
	{"`POST /api/vfs/acl/grant/{mount}` and `/revoke/{mount}` (the owner; an admin for system drives only, else he could grant himself content)", onVFS(func(v *vfs) {
		v.write(v.alice, "home/x", "x")
		v.grant(v.w.admin, v.alice.id, "/", v.w.admin.id, 404, "read")
		v.grant(v.bob, v.alice.id, "/", v.bob.id, 404, "read")
		v.grant(v.alice, "home", "/x", v.bob.id, 200, "read")
		v.grant(v.bob, v.alice.id, "/x", "anonymous", 403, "read")
		v.grant(v.w.admin, "team", "/", v.alice.id, 200, "read")
		v.grant(v.alice, "team", "/", v.alice.id, 403, "write")
		v.call(v.alice, "GET", "acl/team", nil, 403)
		v.call(v.w.admin, "POST", "acl/revoke/team", object{"path": "/", "userId": v.alice.id}, 200)
		v.call(v.alice, "GET", "ls/team", nil, 404)
	})},
	{"GET shows the ACL as `{owner,groups,acl}` and the same JSON (`vfs-settings.json`) can be imported", onVFS(func(v *vfs) {
		v.write(v.alice, "home/a/x", "x")
		v.grant(v.alice, "home", "/a", v.bob.id, 200, "read", "list")
		v.grant(v.alice, "home", "/", "authenticated", 200, "list")
		settings := v.text(v.call(v.alice, "GET", "acl/home", nil, 200))
		var got struct {
			Owner       string
			Groups, ACL []any
		}
		if err := json.Unmarshal([]byte(settings), &got); err != nil || got.Owner != v.alice.id || got.Groups == nil || len(got.ACL) != 2 {
			v.t.Errorf("acl %s: %v", settings, err)
		}
		v.call(v.alice, "POST", "acl/revoke/home", object{"path": "/a", "userId": v.bob.id}, 200)
		v.call(v.alice, "POST", "acl/revoke/home", object{"path": "/", "userId": "authenticated"}, 200)
		v.call(v.bob, "GET", "ls/"+v.alice.id+"/a", nil, 404)
		v.expect("imported", v.text(v.call(v.alice, "POST", "acl/import/home", settings, 200)), settings)
		v.call(v.bob, "GET", "read/"+v.alice.id+"/a/x", nil, 200)
		v.call(v.bob, "POST", "acl/import/"+v.alice.id, settings, 403)
	})},
	{"`GET ls` (`glob=`, `includeSize=true` with a recursive size that is right at once", onVFS(func(v *vfs) {
		v.write(v.alice, "home/d/one.md", "12345")
		v.write(v.alice, "home/d/e/two.txt", "1234567")
		v.write(v.alice, "home/three.md", "1")
		v.expect("glob", v.names(v.alice, "home?glob=*.md"), "three.md")
		v.call(v.alice, "GET", "ls/home?glob=[", nil, 400)
		size := func() int64 { return v.entries(v.alice, "home?includeSize=true&glob=d")[0].Size }
		v.expect("size", size(), int64(12))
		v.write(v.alice, "home/d/e/f/four", "1234")
		v.expect("size at once", size(), int64(16))
		v.call(v.alice, "DELETE", "delete/home/d/one.md", nil, 200)
		v.expect("size after a removal", size(), int64(11))
	})},
	{"`.gitignore` filtering for `local` mounts with a switch", onVFS(func(v *vfs) {
		v.grant(v.w.admin, "code", "/", v.alice.id, 200, "read", "list")
		v.expect("filtered", v.names(v.alice, "code"), ".gitignore a.md inside sub")
		v.expect("a directory's own", v.names(v.alice, "code/sub"), ".gitignore")
		v.expect("unfiltered", v.names(v.alice, "code?gitignore=false"), ".gitignore a.md b.log inside out sub")
		v.write(v.alice, "home/.gitignore", "x")
		v.write(v.alice, "home/x", "x")
		v.expect("not a local mount", v.names(v.alice, "home"), ".gitignore x")
		v.expect("when asked", v.names(v.alice, "home?gitignore=true"), ".gitignore")
	})},
	{"`GET read` text; `GET get` MIME, Range → 206, 416", onVFS(func(v *vfs) {
		v.write(v.alice, "home/a.txt", "grüß dich")
		v.write(v.alice, "home/b.html", "<script>alert(1)</script>")
		v.write(v.alice, "home/c", "\x89PNG\r\n\x1a\n\x00")
		v.expect("read", v.text(v.call(v.alice, "GET", "read/home/a.txt", nil, 200)), "grüß dich")
		v.call(v.alice, "GET", "read/home/c", nil, 400)
		v.call(v.alice, "GET", "read/home/", nil, 409)
		v.call(v.alice, "GET", "get/home/missing", nil, 404)
		for path, want := range map[string]string{"a.txt": "text/plain; charset=utf-8", "b.html": "text/html; charset=utf-8", "c": "image/png"} {
			a := v.call(v.alice, "GET", "get/home/"+path, nil, 200)
			v.expect(path, a.header.Get("Content-Type"), want)
			if inline := strings.HasPrefix(a.header.Get("Content-Disposition"), "inline"); inline != (path != "b.html") {
				v.t.Errorf("%s: %q", path, a.header.Get("Content-Disposition"))
			}
			if !strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") || a.header.Get("X-Content-Type-Options") != "nosniff" {
				v.t.Errorf("%s: %v", path, a.header)
			}
		}
		part := v.alice.send(v.t, "GET", "/api/vfs/get/home/a.txt", object{"Range": "bytes=0-1"}, nil)
		v.expect("range", string(part.body), "gr")
		v.expect("range", part.status, 206)
		none := v.alice.send(v.t, "GET", "/api/vfs/get/home/a.txt", object{"Range": "bytes=99-"}, nil)
		v.expect("no such range", none.status, 416)
	})},
	{"`PUT write`; `POST upload` multipart, streamed; `POST mkdir`, `DELETE delete`, `POST rename`", onVFS(func(v *vfs) {
		v.write(v.alice, "home/a/b/c.txt", "one")
		v.write(v.alice, "home/a/b/c.txt", "two")
		v.expect("written again", v.text(v.call(v.alice, "GET", "read/home/a/b/c.txt", nil, 200)), "two")
		var form bytes.Buffer
		m := multipart.NewWriter(&form)
		for _, name := range []string{"one.txt", "../../two.txt", `C:\dir\three.txt`} {
			part, err := m.CreateFormFile("file", name)
			if err != nil {
				v.t.Fatal(err)
			}
			io.WriteString(part, "content of "+name)
		}
		m.Close()
		a := v.alice.send(v.t, "POST", "/api/vfs/upload/home/up", object{"Content-Type": m.FormDataContentType()}, form.Bytes())
		v.expect("upload", a.status, 200)
		v.expect("uploaded", v.names(v.alice, "home/up"), "one.txt three.txt two.txt")
		v.call(v.alice, "POST", "upload/home/up", "no form", 400)
		v.call(v.alice, "POST", "mkdir/home/x/y", nil, 201)
		v.call(v.alice, "POST", "mkdir/home/x/y", nil, 409)
		v.call(v.alice, "POST", "rename/home/x", object{"name": "z"}, 200)
		v.call(v.alice, "POST", "rename/home/z/y", object{"to": "/y"}, 200)
		v.call(v.alice, "POST", "rename/home/y", object{"name": "a"}, 409)
		v.call(v.alice, "POST", "rename/home/missing", object{"name": "q"}, 404)
		v.expect("moved", v.names(v.alice, "home"), "a up y z")
		v.call(v.alice, "DELETE", "delete/home/a", nil, 200)
		v.call(v.alice, "DELETE", "delete/home/a", nil, 404)
		v.call(v.alice, "GET", "delete/home/y", nil, 405)
	})},
	{"`POST copy` (copies no bytes)", onVFS(func(v *vfs) {
		v.write(v.alice, "home/d/a.txt", strings.Repeat("content ", 1000))
		before := v.stored()
		v.call(v.alice, "POST", "copy/home/d", object{"to": "/e"}, 200)
		v.expect("the copy", len(v.text(v.call(v.alice, "GET", "read/home/e/a.txt", nil, 200))), 8000)
		v.expect("objects in the store", v.stored(), before)
		v.call(v.alice, "POST", "copy/home/d", object{"to": "/e"}, 409)
		v.call(v.alice, "POST", "copy/home/d", object{"to": "/d/in/itself"}, 400)
		v.write(v.alice, "home/d/a.txt", "changed")
		v.expect("the copy stays", len(v.text(v.call(v.alice, "GET", "read/home/e/a.txt", nil, 200))), 8000)
	})},
	{"`GET compress` a streamed ZIP of a folder (zip64, correct names), 3 a minute then 429, anonymous 401", onVFS(func(v *vfs) {
		want := []string{"d/", "d/ünï.txt", "a b.txt", "[x].txt", "100%25.txt"}
		v.write(v.alice, "home/z/a%20b.txt", "one")
		v.write(v.alice, "home/z/d/%C3%BCn%C3%AF.txt", "two")
		v.write(v.alice, "home/z/%5Bx%5D.txt", "three")
		v.write(v.alice, "home/z/100%2525.txt", "four")
		v.grant(v.alice, "home", "/z", "anonymous", 200, "read", "list")
		for range 3 {
			a := v.call(v.alice, "GET", "compress/home/z", nil, 200)
			z, err := zip.NewReader(bytes.NewReader(a.body), int64(len(a.body)))
			if err != nil {
				v.t.Fatal(err)
			}
			var names []string
			for _, f := range z.File {
				names = append(names, f.Name)
			}
			slices.Sort(names)
			slices.Sort(want)
			if !slices.Equal(names, want) {
				v.t.Errorf("the archive has %q", names)
			}
		}
		a := v.call(v.alice, "GET", "compress/home/z", nil, 429)
		if a.header.Get("Retry-After") == "" {
			v.t.Error("429 without Retry-After")
		}
		v.call(v.nobody, "GET", "compress/"+v.alice.id+"/z", nil, 401)
	})},
	{"`GET search` by name and by text content (PostgreSQL full-text search, filled as files arrive); `POST admin/index` (admin) rebuilds it", onVFS(func(v *vfs) {
		v.write(v.alice, "home/notes/fruit.md", "The quick brown fox likes pears.")
		v.write(v.alice, "home/notes/code.go", "package pears // and apples")
		v.write(v.alice, "home/page.html", "<script>pears</script><p>nothing here")
		v.write(v.alice, "home/pears.bin", "\x00\x01")
		finds := func(as *person, path, want string) {
			v.t.Helper()
			got := ""
			for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				var list []vfsEntry
				if err := json.Unmarshal([]byte(v.text(v.call(as, "GET", "search/"+path, nil, 200))), &list); err != nil {
					v.t.Fatal(err)
				}
				var paths []string
				for _, e := range list {
					paths = append(paths, string(e.Path))
				}
				slices.Sort(paths)
				if got = strings.Join(paths, " "); got == want {
					return
				}
			}
			v.t.Errorf("search %s finds %q, want %q", path, got, want)
		}
		finds(v.alice, "home?q=pears", "/notes/code.go /notes/fruit.md /pears.bin")
		finds(v.alice, "home?q=%22quick+brown%22", "/notes/fruit.md")
		finds(v.alice, "home/notes?q=pears+-apples", "/notes/fruit.md")
		finds(v.alice, "home?name=PEARS", "/pears.bin")
		v.write(v.alice, "home/notes/fruit.md", "Only plums.")
		finds(v.alice, "home?q=brown", "")
		finds(v.alice, "home?q=plums", "/notes/fruit.md")
		v.call(v.bob, "GET", "search/"+v.alice.id+"/notes?q=plums", nil, 404)
		v.grant(v.alice, "home", "/notes", v.bob.id, 200, "read", "list")
		finds(v.bob, v.alice.id+"/notes?q=plums", "/notes/fruit.md")
		v.call(v.bob, "GET", "search/"+v.alice.id+"?q=pears", nil, 404)
		finds(v.bob, "home?q=plums", "")
		v.call(v.alice, "GET", "search/home", nil, 400)
		v.call(v.alice, "POST", "admin/index", nil, 403)
		v.call(v.nobody, "POST", "admin/index", nil, 401)
		v.call(v.w.admin, "POST", "admin/index", nil, 202)
		finds(v.alice, "home?q=apples", "/notes/code.go")
	})},
	{"`write|upload|mkdir` clean control characters from a name and return the name they used", onVFS(func(v *vfs) {
		a := v.call(v.alice, "PUT", "write/home/a%0Ab%07.txt", "x", 200)
		if !strings.Contains(string(a.body), `"name":"ab.txt"`) || !strings.Contains(string(a.body), `"path":"/ab.txt"`) {
			v.t.Errorf("write: %s", a.body)
		}
		if a = v.call(v.alice, "POST", "mkdir/home/c%1Bd", nil, 201); !strings.Contains(string(a.body), `"name":"cd"`) {
			v.t.Errorf("mkdir: %s", a.body)
		}
		v.call(v.alice, "PUT", "write/home/%07", "x", 400)
		v.expect("ls", v.names(v.alice, "home"), "ab.txt cd")
	})},
}
