package server

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

	"satchel/storage"
)

// vfs is a server with two system drives, one of them of a directory.
type vfs struct {
	*fixture
	dir        string // of the mount docs
	alice, bob string // their ids
}

func newVFS(t *testing.T) *vfs {
	v := &vfs{fixture: newFixture(t), dir: t.TempDir()}
	outside := filepath.Join(t.TempDir(), "secret")
	for path, text := range map[string]string{outside: "secret", "a.md": "A", "b.log": "B", "sub/c.md": "C", "sub/.gitignore": "c.*\n", ".gitignore": "*.log\n/out/\n", "out/o": "O"} {
		if !filepath.IsAbs(path) {
			path = filepath.Join(v.dir, path)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"escape": outside, "escapedir": filepath.Dir(outside), "up": "../" + filepath.Base(filepath.Dir(outside)) + "/secret", "inside": "a.md"} {
		if err := os.Symlink(target, filepath.Join(v.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	mounts, err := storage.ParseMounts([]byte(`[{"name":"docs","type":"local","path":"."},{"name":"team"}]`), v.dir)
	if err != nil {
		t.Fatal(err)
	}
	v.drives.UseMounts(mounts)
	v.alice, v.bob = v.id(alice), v.id(bob)
	return v
}

func (v *vfs) id(email string) string {
	var who struct{ User string }
	if err := json.Unmarshal([]byte(v.do(request{path: "/v1/whoami", as: email}).body), &who); err != nil {
		v.t.Fatal(err)
	}
	return who.User
}

// call makes a request under /api/vfs and checks its status.
func (v *vfs) call(as, method, path string, body any, status int) answerData {
	v.t.Helper()
	a := v.do(request{method: method, path: "/api/vfs/" + path, as: as, body: body})
	if a.status != status {
		v.t.Errorf("%s %s as %q: %d %.300s, want %d", method, path, as, a.status, a.body, status)
	}
	if a.status >= 500 {
		v.t.Error(v.log.String())
	}
	if a.status >= 400 {
		var e struct {
			Success *bool
			Error   string
			Message string
		}
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Success == nil || *e.Success || e.Message == "" {
			v.t.Errorf("%s %s: the error is %.300s", method, path, a.body)
		}
	}
	return a
}

// names lists a directory.
func (v *vfs) names(as, path string) string {
	v.t.Helper()
	var names []string
	for _, e := range v.entries(as, path) {
		names = append(names, string(e.Name))
	}
	return strings.Join(names, " ")
}

func (v *vfs) entries(as, path string) []vfsEntry {
	v.t.Helper()
	var list []vfsEntry
	a := v.call(as, "GET", "ls/"+path, nil, 200)
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		v.t.Errorf("ls %s: %.300s", path, a.body)
	}
	return list
}

func (v *vfs) write(as, path, text string) {
	v.t.Helper()
	v.call(as, "PUT", "write/"+path, text, 200)
}

func (v *vfs) grant(as, mount, path, who string, status int, permissions ...string) {
	v.t.Helper()
	v.call(as, "POST", "acl/grant/"+mount, map[string]any{"path": path, "userId": who, "permissions": permissions}, status)
}

func (v *vfs) expect(what string, got, want any) {
	v.t.Helper()
	if got != want {
		v.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestContract has a behaviour of section 4 of the contract in each row; the
// name quotes the line.
func TestContract(t *testing.T) {
	for _, test := range []struct {
		line string
		show func(*vfs)
	}{
		{"named system drives from a config file, each a read-write system drive", func(v *vfs) {
			v.call(alice, "GET", "ls/team", nil, 404)
			v.grant(root, "team", "/", v.alice, 200, "read", "list", "write", "mkdir")
			v.write(alice, "team/plans/a.txt", "by alice")
			v.expect("read", v.call(alice, "GET", "read/team/plans/a.txt", nil, 200).body, "by alice")
			v.call(alice, "GET", "ls/nothing", nil, 404)
			v.call("", "GET", "ls/team", nil, 401)
			v.call("", "GET", "ls/nothing", nil, 401)
		}},
		{"type: local with a path imports that directory on first use and again on request (os.Root, symlinks never leave it)", func(v *vfs) {
			v.grant(root, "docs", "/", "authenticated", 200, "read", "list", "write")
			v.expect("first use", v.names(alice, "docs?gitignore=false"), ".gitignore a.md b.log inside out sub")
			v.expect("a link that stays inside", v.call(alice, "GET", "read/docs/inside", nil, 200).body, "A")
			v.call(alice, "GET", "read/docs/escape", nil, 404)
			v.call(alice, "POST", "admin/import/docs", nil, 403)
			if err := os.WriteFile(filepath.Join(v.dir, "new.md"), []byte("new"), 0o644); err != nil {
				v.t.Fatal(err)
			}
			v.write(alice, "docs/a.md", "changed in the drive")
			v.call(alice, "GET", "read/docs/new.md", nil, 404)
			v.call(root, "POST", "admin/import/docs", nil, 200)
			v.expect("again", v.call(alice, "GET", "read/docs/new.md", nil, 200).body, "new")
			v.expect("what was changed since", v.call(alice, "GET", "read/docs/a.md", nil, 200).body, "changed in the drive")
		}},
		{"home = the caller's drive, made on first use", func(v *vfs) {
			v.expect("an empty one", v.names(alice, "home"), "")
			v.call("", "GET", "ls/home", nil, 401)
			v.call(root, "GET", "ls/home", nil, 403)
		}},
		{"user:{uuid} and bare {uuid} = that user's drive, only as far as its ACL allows", func(v *vfs) {
			v.write(alice, "home/shared/x", "x")
			v.write(alice, "home/private/y", "y")
			for _, mount := range []string{"user:" + v.alice, v.alice} {
				v.call(bob, "GET", "ls/"+mount+"/shared", nil, 404)
				v.expect("one's own", v.names(alice, mount+"/shared"), "x")
			}
			v.grant(alice, "home", "/shared", v.bob, 200, "read", "list")
			for _, mount := range []string{"user:" + v.alice, v.alice} {
				v.expect("shared", v.names(bob, mount+"/shared"), "x")
				v.call(bob, "GET", "ls/"+mount, nil, 404)
				v.call(bob, "GET", "read/"+mount+"/private/y", nil, 404)
				v.call(bob, "GET", "read/"+mount+"/private/missing", nil, 404)
			}
		}},
		{"acl: inherit needs full control of the source by whoever makes the bind", func(v *vfs) {
			v.write(alice, "home/a/x", "x")
			v.grant(alice, "home", "/a", v.bob, 200, "read", "list", "write", "mkdir", "delete", "rename", "copy")
			bind := map[string]any{"source": storage.Place{Mount: v.alice, Path: "/a"}, "target": storage.Place{Mount: "home", Path: "/from alice"}, "acl": "inherit"}
			v.call(bob, "POST", "binds", bind, 403)
			v.grant(root, "team", "/", v.bob, 200, "read", "list")
			bind = map[string]any{"source": storage.Place{Mount: "home", Path: "/a"}, "target": storage.Place{Mount: "home", Path: "/b"}, "acl": "inherit"}
			v.call(alice, "POST", "binds", bind, 201)
			v.call(alice, "POST", "acl/revoke/home", map[string]any{"path": "/a", "userId": v.bob}, 200)
			v.call(bob, "GET", "read/"+v.alice+"/b/x", nil, 404)
			v.grant(alice, "home", "/b", v.bob, 200, "read", "list")
			v.expect("inherited", v.call(bob, "GET", "read/"+v.alice+"/b/x", nil, 200).body, "x")
		}},
		{"a bind shows up in listings, without copying; cycles are refused", func(v *vfs) {
			v.write(alice, "home/a/x", "x")
			v.call(alice, "POST", "binds", map[string]any{"source": storage.Place{Mount: "home", Path: "/a"}, "target": storage.Place{Mount: "home", Path: "/c/bound"}}, 201)
			v.expect("the parent", v.names(alice, "home/c"), "bound")
			v.expect("what is bound", v.names(alice, "home/c/bound"), "x")
			v.write(alice, "home/c/bound/y", "through the bind")
			v.expect("written through it", v.call(alice, "GET", "read/home/a/y", nil, 200).body, "through the bind")
			for _, cycle := range [][2]string{{"/c", "/a/deep"}, {"/", "/c/again"}, {"/a", "/a/b"}, {"/c/bound", "/a/z"}} {
				v.call(alice, "POST", "binds", map[string]any{"source": storage.Place{Mount: "home", Path: cycle[0]}, "target": storage.Place{Mount: "home", Path: cycle[1]}}, 400)
			}
			v.call(alice, "POST", "binds", map[string]any{"source": storage.Place{Mount: "home", Path: "/c"}, "target": storage.Place{Mount: "home", Path: "/a"}}, 409)
			v.expect("nothing is left of those that were refused", v.names(alice, "home/a"), "x y")
		}},
		{"a bind into home is how a folder shared by another user appears", func(v *vfs) {
			v.write(alice, "home/shared/x", "x")
			source := storage.Place{Mount: "user:" + v.alice, Path: "/shared"}
			bind := map[string]any{"source": source, "target": storage.Place{Mount: "home", Path: "/from alice"}, "acl": "source"}
			v.call(bob, "POST", "binds", bind, 404)
			v.grant(alice, "home", "/shared", v.bob, 200, "read", "list")
			v.call(bob, "POST", "binds", bind, 201)
			v.expect("ls", v.names(bob, "home/from%20alice"), "x")
			v.expect("read", v.call(bob, "GET", "read/home/from%20alice/x", nil, 200).body, "x")
			v.call(bob, "PUT", "write/home/from%20alice/x", "y", 403)
			v.call(alice, "POST", "acl/revoke/home", map[string]any{"path": "/shared", "userId": v.bob}, 200)
			v.call(bob, "GET", "read/home/from%20alice/x", nil, 404)
		}},
		{"permissions read list write mkdir delete rename copy", func(v *vfs) {
			v.write(alice, "home/s/f", "f")
			v.write(alice, "home/s/d/g", "g")
			at := v.alice + "/s"
			acts := map[string]func(status int){
				"read":   func(want int) { v.call(bob, "GET", "read/"+at+"/f", nil, want) },
				"list":   func(want int) { v.call(bob, "GET", "ls/"+at, nil, want) },
				"write":  func(want int) { v.call(bob, "PUT", "write/"+at+"/f", "f", want) },
				"mkdir":  func(want int) { v.call(bob, "POST", "mkdir/"+at+"/new", nil, want) },
				"delete": func(want int) { v.call(bob, "DELETE", "delete/"+at+"/d", nil, want) },
				"rename": func(want int) { v.call(bob, "POST", "rename/"+at+"/f", map[string]string{"name": "f2"}, want) },
				"copy": func(want int) {
					v.call(bob, "POST", "copy/"+at+"/f", map[string]string{"mount": "home", "to": "/mine"}, want)
				},
			}
			order := []string{"read", "list", "copy", "write", "mkdir", "delete", "rename"}
			for i, p := range order {
				for _, later := range order[i:] {
					if i > 0 || later == "mkdir" || later == "write" { // before the first grant nothing is there for bob
						acts[later](map[bool]int{true: 403, false: 404}[i > 0])
					}
				}
				v.grant(alice, "home", "/s", v.bob, 200, p)
				status := 200
				if p == "mkdir" {
					status = 201
				}
				acts[p](status)
			}
		}},
		{"principals anonymous, authenticated, a user's UUID", func(v *vfs) {
			v.write(alice, "home/open/a", "a")
			v.write(alice, "home/members/b", "b")
			v.grant(alice, "home", "/open", "anonymous", 200, "read")
			v.grant(alice, "home", "/members", "authenticated", 200, "read")
			v.expect("a stranger", v.call("", "GET", "read/"+v.alice+"/open/a", nil, 200).body, "a")
			v.call("", "GET", "read/"+v.alice+"/members/b", nil, 401)
			v.call("", "GET", "read/"+v.alice+"/missing", nil, 401)
			v.call("", "PUT", "write/"+v.alice+"/open/a", "x", 401)
			v.expect("a user", v.call(bob, "GET", "read/"+v.alice+"/members/b", nil, 200).body, "b")
			v.grant(alice, "home", "/open", "someone", 400, "read")
			v.grant(alice, "home", "/open", "0194f5b5-0000-7000-8000-000000000000", 404, "read")
			v.grant(alice, "home", "/open", v.bob, 400, "everything")
		}},
		{"a grant covers descendants; /shared does not cover /shared2", func(v *vfs) {
			v.write(alice, "home/shared/deep/er/x", "x")
			v.write(alice, "home/shared2/y", "y")
			v.grant(alice, "home", "/shared", v.bob, 200, "read")
			v.call(bob, "GET", "read/"+v.alice+"/shared/deep/er/x", nil, 200)
			v.call(bob, "GET", "read/"+v.alice+"/shared2/y", nil, 404)
		}},
		{"grant and revoke: the owner; an admin for system drives only, else he could grant himself content", func(v *vfs) {
			v.write(alice, "home/x", "x")
			v.grant(root, v.alice, "/", v.id(root), 404, "read")
			v.grant(bob, v.alice, "/", v.bob, 404, "read")
			v.grant(alice, "home", "/x", v.bob, 200, "read")
			v.grant(bob, v.alice, "/x", "anonymous", 403, "read")
			v.grant(root, "team", "/", v.alice, 200, "read")
			v.grant(alice, "team", "/", v.alice, 403, "write")
			v.call(alice, "GET", "acl/team", nil, 403)
			v.call(root, "POST", "acl/revoke/team", map[string]any{"path": "/", "userId": v.alice}, 200)
			v.call(alice, "GET", "ls/team", nil, 404)
		}},
		{"GET shows the ACL as {owner,groups,acl} and the same JSON (vfs-settings.json) can be imported", func(v *vfs) {
			v.write(alice, "home/a/x", "x")
			v.grant(alice, "home", "/a", v.bob, 200, "read", "list")
			v.grant(alice, "home", "/", "authenticated", 200, "list")
			settings := v.call(alice, "GET", "acl/home", nil, 200).body
			var got vfsSettings
			if err := json.Unmarshal([]byte(settings), &got); err != nil || got.Owner != v.alice || got.Groups == nil || len(got.ACL) != 2 {
				v.t.Errorf("acl %s: %v", settings, err)
			}
			v.call(alice, "POST", "acl/revoke/home", map[string]any{"path": "/a", "userId": v.bob}, 200)
			v.call(alice, "POST", "acl/revoke/home", map[string]any{"path": "/", "userId": "authenticated"}, 200)
			v.call(bob, "GET", "ls/"+v.alice+"/a", nil, 404)
			v.expect("imported", v.call(alice, "POST", "acl/import/home", settings, 200).body, settings)
			v.call(bob, "GET", "read/"+v.alice+"/a/x", nil, 200)
			v.call(bob, "POST", "acl/import/"+v.alice, settings, 403)
		}},
		{"GET ls: glob=, includeSize=true with a recursive size that is right at once", func(v *vfs) {
			v.write(alice, "home/d/one.md", "12345")
			v.write(alice, "home/d/e/two.txt", "1234567")
			v.write(alice, "home/three.md", "1")
			v.expect("glob", v.names(alice, "home?glob=*.md"), "three.md")
			v.call(alice, "GET", "ls/home?glob=[", nil, 400)
			size := func() int64 { return v.entries(alice, "home?includeSize=true&glob=d")[0].Size }
			v.expect("size", size(), int64(12))
			v.write(alice, "home/d/e/f/four", "1234")
			v.expect("size at once", size(), int64(16))
			v.call(alice, "DELETE", "delete/home/d/one.md", nil, 200)
			v.expect("size after a removal", size(), int64(11))
		}},
		{".gitignore filtering for local mounts with a switch", func(v *vfs) {
			v.grant(root, "docs", "/", v.alice, 200, "read", "list")
			v.expect("filtered", v.names(alice, "docs"), ".gitignore a.md inside sub")
			v.expect("a directory's own", v.names(alice, "docs/sub"), ".gitignore")
			v.expect("unfiltered", v.names(alice, "docs?gitignore=false"), ".gitignore a.md b.log inside out sub")
			v.write(alice, "home/.gitignore", "x")
			v.write(alice, "home/x", "x")
			v.expect("not a local mount", v.names(alice, "home"), ".gitignore x")
			v.expect("when asked", v.names(alice, "home?gitignore=true"), ".gitignore")
		}},
		{"GET read text; GET get MIME, Range → 206, 416", func(v *vfs) {
			v.write(alice, "home/a.txt", "grüß dich")
			v.write(alice, "home/b.html", "<script>alert(1)</script>")
			v.write(alice, "home/c", "\x89PNG\r\n\x1a\n\x00")
			v.expect("read", v.call(alice, "GET", "read/home/a.txt", nil, 200).body, "grüß dich")
			v.call(alice, "GET", "read/home/c", nil, 400)
			v.call(alice, "GET", "read/home/", nil, 409)
			v.call(alice, "GET", "get/home/missing", nil, 404)
			for path, want := range map[string]string{"a.txt": "text/plain; charset=utf-8", "b.html": "text/html; charset=utf-8", "c": "image/png"} {
				a := v.call(alice, "GET", "get/home/"+path, nil, 200)
				v.expect(path, a.header.Get("Content-Type"), want)
				if inline := strings.HasPrefix(a.header.Get("Content-Disposition"), "inline"); inline != (path != "b.html") {
					v.t.Errorf("%s: %q", path, a.header.Get("Content-Disposition"))
				}
				if !strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") || a.header.Get("X-Content-Type-Options") != "nosniff" {
					v.t.Errorf("%s: %v", path, a.header)
				}
			}
			part := v.do(request{path: "/api/vfs/get/home/a.txt", as: alice, header: map[string]string{"Range": "bytes=0-1"}})
			v.expect("range", part.body, "gr")
			v.expect("range", part.status, 206)
			none := v.do(request{path: "/api/vfs/get/home/a.txt", as: alice, header: map[string]string{"Range": "bytes=99-"}})
			v.expect("no such range", none.status, 416)
		}},
		{"PUT write; POST upload multipart, streamed; POST mkdir, DELETE delete, POST rename", func(v *vfs) {
			v.write(alice, "home/a/b/c.txt", "one")
			v.write(alice, "home/a/b/c.txt", "two")
			v.expect("written again", v.call(alice, "GET", "read/home/a/b/c.txt", nil, 200).body, "two")
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
			a := v.do(request{method: "POST", path: "/api/vfs/upload/home/up", as: alice, body: form.Bytes(), header: map[string]string{"Content-Type": m.FormDataContentType()}})
			v.expect("upload", a.status, 200)
			v.expect("uploaded", v.names(alice, "home/up"), "one.txt three.txt two.txt")
			v.call(alice, "POST", "upload/home/up", "no form", 400)
			v.call(alice, "POST", "mkdir/home/x/y", nil, 201)
			v.call(alice, "POST", "mkdir/home/x/y", nil, 409)
			v.call(alice, "POST", "rename/home/x", map[string]string{"name": "z"}, 200)
			v.call(alice, "POST", "rename/home/z/y", map[string]string{"to": "/y"}, 200)
			v.call(alice, "POST", "rename/home/y", map[string]string{"name": "a"}, 409)
			v.call(alice, "POST", "rename/home/missing", map[string]string{"name": "q"}, 404)
			v.expect("moved", v.names(alice, "home"), "a up y z")
			v.call(alice, "DELETE", "delete/home/a", nil, 200)
			v.call(alice, "DELETE", "delete/home/a", nil, 404)
			v.call(alice, "GET", "delete/home/y", nil, 405)
		}},
		{"POST copy (copies no bytes)", func(v *vfs) {
			v.write(alice, "home/d/a.txt", strings.Repeat("content ", 1000))
			before := v.stored()
			v.call(alice, "POST", "copy/home/d", map[string]string{"to": "/e"}, 200)
			v.expect("the copy", len(v.call(alice, "GET", "read/home/e/a.txt", nil, 200).body), 8000)
			v.expect("objects in the store", v.stored(), before)
			v.call(alice, "POST", "copy/home/d", map[string]string{"to": "/e"}, 409)
			v.call(alice, "POST", "copy/home/d", map[string]string{"to": "/d/in/itself"}, 400)
			v.write(alice, "home/d/a.txt", "changed")
			v.expect("the copy stays", len(v.call(alice, "GET", "read/home/e/a.txt", nil, 200).body), 8000)
		}},
		{"GET compress a streamed ZIP of a folder (zip64, correct names), 3 a minute then 429, anonymous 401", func(v *vfs) {
			want := []string{"d/", "d/ünï.txt", "a b.txt", "[x].txt", "100%25.txt"}
			v.write(alice, "home/z/a%20b.txt", "one")
			v.write(alice, "home/z/d/%C3%BCn%C3%AF.txt", "two")
			v.write(alice, "home/z/%5Bx%5D.txt", "three")
			v.write(alice, "home/z/100%2525.txt", "four")
			v.grant(alice, "home", "/z", "anonymous", 200, "read", "list")
			for range 3 {
				a := v.call(alice, "GET", "compress/home/z", nil, 200)
				z, err := zip.NewReader(strings.NewReader(a.body), int64(len(a.body)))
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
			a := v.call(alice, "GET", "compress/home/z", nil, 429)
			if a.header.Get("Retry-After") == "" {
				v.t.Error("429 without Retry-After")
			}
			v.call("", "GET", "compress/"+v.alice+"/z", nil, 401)
		}},
		{"GET search by name and by text content (PostgreSQL full-text search, filled as files arrive); POST admin/index (admin) rebuilds it", func(v *vfs) {
			v.write(alice, "home/notes/fruit.md", "The quick brown fox likes pears.")
			v.write(alice, "home/notes/code.go", "package pears // and apples")
			v.write(alice, "home/page.html", "<script>pears</script><p>nothing here")
			v.write(alice, "home/pears.bin", "\x00\x01")
			finds := func(as, path, want string) {
				v.t.Helper()
				got := ""
				for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
					var list []vfsEntry
					if err := json.Unmarshal([]byte(v.call(as, "GET", "search/"+path, nil, 200).body), &list); err != nil {
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
			finds(alice, "home?q=pears", "/notes/code.go /notes/fruit.md /pears.bin")
			finds(alice, "home?q=%22quick+brown%22", "/notes/fruit.md")
			finds(alice, "home/notes?q=pears+-apples", "/notes/fruit.md")
			finds(alice, "home?name=PEARS", "/pears.bin")
			v.write(alice, "home/notes/fruit.md", "Only plums.")
			finds(alice, "home?q=brown", "")
			finds(alice, "home?q=plums", "/notes/fruit.md")
			v.call(bob, "GET", "search/"+v.alice+"/notes?q=plums", nil, 404)
			v.grant(alice, "home", "/notes", v.bob, 200, "read", "list")
			finds(bob, v.alice+"/notes?q=plums", "/notes/fruit.md")
			v.call(bob, "GET", "search/"+v.alice+"?q=pears", nil, 404)
			finds(bob, "home?q=plums", "")
			v.call(alice, "GET", "search/home", nil, 400)
			v.call(alice, "POST", "admin/index", nil, 403)
			v.call("", "POST", "admin/index", nil, 401)
			v.call(root, "POST", "admin/index", nil, 202)
			finds(alice, "home?q=apples", "/notes/code.go")
		}},
		{"write|upload|mkdir clean control characters from a name and return the name they used", func(v *vfs) {
			a := v.call(alice, "PUT", "write/home/a%0Ab%07.txt", "x", 200)
			if !strings.Contains(a.body, `"name":"ab.txt"`) || !strings.Contains(a.body, `"path":"/ab.txt"`) {
				v.t.Errorf("write: %s", a.body)
			}
			if a = v.call(alice, "POST", "mkdir/home/c%1Bd", nil, 201); !strings.Contains(a.body, `"name":"cd"`) {
				v.t.Errorf("mkdir: %s", a.body)
			}
			v.call(alice, "PUT", "write/home/%07", "x", 400)
			v.expect("ls", v.names(alice, "home"), "ab.txt cd")
		}},
	} {
		t.Run(test.line, func(t *testing.T) { test.show(newVFS(t)) })
	}
}

// stored counts the objects of the blob store.
func (v *vfs) stored() int {
	v.t.Helper()
	n := 0
	err := filepath.WalkDir(v.blobs, func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		v.t.Fatal(err)
	}
	return n
}
