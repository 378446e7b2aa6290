package server

import (
	"encoding/json"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage"
)

// boundFixture is a server on which bob sees, as fa in his drive, the folder
// "in/shared" of alice's, in which he may do everything.
func boundFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.store(alice, "in/shared/sub/c.txt", "sea")
	f.store(bob, "own.txt", "his")
	f.bind(t, "in/shared", "fa", api.AllPermissions)
	return f
}

// bind shows a folder of alice's drive in bob's.
func (f *fixture) bind(t *testing.T, source, target string, p api.Permissions) {
	t.Helper()
	hers, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	his, err := f.home(bob)
	if err != nil {
		t.Fatal(err)
	}
	if err := hers.Grant(t.Context(), api.Grant{Path: source, UserID: his.Owner().String(), Permissions: p}); err != nil {
		t.Fatal(err)
	}
	_, err = f.drives.AddBind(t.Context(), storage.Caller{User: his.Owner()}, storage.Bind{
		Source: storage.Place{Mount: "user:" + hers.Owner().String(), Path: source}, Target: storage.Place{Mount: "home", Path: target},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// entry is what the answers under /api/vfs say of a path.
type entry struct{ Name, Path string }

// did is the answer to a change by bob.
func (f *fixture) did(method, path string, body any) (e entry) {
	f.t.Helper()
	a := f.do(request{method: method, path: "/api/vfs/" + path, as: bob, body: body})
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.status/100 != 2 {
		f.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return e
}

// listed is the paths in a list.
func (f *fixture) listed(path string) string {
	f.t.Helper()
	a := f.do(request{path: "/api/vfs/" + path, as: bob})
	var all []entry
	if err := json.Unmarshal([]byte(a.body), &all); err != nil || a.status != 200 {
		f.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	paths := make([]string, len(all))
	for i, e := range all {
		paths[i] = e.Path
	}
	return strings.Join(paths, " ")
}

// What is answered through a bind has paths in the mount that was asked.
func TestVFSPathsThroughBinds(t *testing.T) {
	f := boundFixture(t)
	for _, path := range []string{"ls/home/fa", "search/home/fa?name=sub"} {
		if got := f.listed(path); got != "/fa/sub" {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, path := range []string{"ls/home/fa/sub", "search/home/fa?name=c.txt", "search/home/fa/sub?name=c.txt"} {
		if got := f.listed(path); got != "/fa/sub/c.txt" {
			t.Errorf("%s: %s", path, got)
		}
	}
	form := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"up.txt\"\r\n\r\nup\r\n--x--\r\n"
	a := f.do(request{method: "POST", path: "/api/vfs/upload/home/fa", as: bob, body: form, header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}})
	if a.status != 200 || !strings.Contains(a.body, `"path":"/fa/up.txt"`) {
		t.Errorf("upload: %d %s", a.status, a.body)
	}
	for _, do := range []struct {
		method, path string
		body         any
		want         entry
	}{
		{"PUT", "write/home/fa/w.txt", "w", entry{"w.txt", "/fa/w.txt"}},
		{"POST", "mkdir/home/fa/d", nil, entry{"d", "/fa/d"}},
		{"POST", "rename/home/fa/w.txt", map[string]any{"name": "v.txt"}, entry{"v.txt", "/fa/v.txt"}},
		{"POST", "rename/home/fa/v.txt", map[string]any{"to": "/fa/d/v.txt"}, entry{"v.txt", "/fa/d/v.txt"}},
		{"POST", "copy/home/own.txt", map[string]any{"to": "/fa/own.txt"}, entry{"own.txt", "/fa/own.txt"}},
		{"POST", "copy/home/fa/d", map[string]any{"to": "/mine"}, entry{"mine", "/mine"}},
		{"POST", "copy/home/fa/sub/c.txt", map[string]any{"name": "d.txt"}, entry{"d.txt", "/fa/sub/d.txt"}},
		{"DELETE", "delete/home/fa/own.txt", nil, entry{"own.txt", "/fa/own.txt"}},
	} {
		if got := f.did(do.method, do.path, do.body); got != do.want {
			t.Errorf("%s %s: %v, want %v", do.method, do.path, got, do.want)
		}
	}
	if got := f.stored(t, alice, "in/shared/d/v.txt"); got != "w" {
		t.Errorf("she has %q", got)
	}
	if got := f.stored(t, bob, "mine/v.txt"); got != "w" {
		t.Errorf("he has %q", got)
	}
	a = f.do(request{path: "/api/vfs/compress/home/fa", as: bob})
	if h := a.header.Get("Content-Disposition"); a.status != 200 || !strings.Contains(h, "fa.zip") {
		t.Errorf("the archive is called %s (%d)", h, a.status)
	}
}

// A copy into what is shown through a bind, and is below what is copied, does not go into itself.
func TestVFSCopyBelowItself(t *testing.T) {
	f := boundFixture(t)
	f.store(alice, "in/shared/top/sub/c.txt", "sea")
	f.bind(t, "in/shared/top/sub", "fs", api.AllPermissions)
	if got := f.did("POST", "copy/home/fa/top", map[string]any{"to": "/fs/all"}); got != (entry{"all", "/fs/all"}) {
		t.Errorf("copied: %v", got)
	}
	if got := f.stored(t, alice, "in/shared/top/sub/all/sub/c.txt"); got != "sea" {
		t.Errorf("the copy has %q", got)
	}
	if a := f.do(request{path: "/api/vfs/ls/home/fs/all/sub", as: bob}); a.status != 200 || strings.Contains(a.body, `"all"`) {
		t.Errorf("it has itself: %d %s", a.status, a.body)
	}
}

// A bind's directory is an entry of its drive: it is renamed, copied from and
// removed by its name, and what is bound stays where it is.
func TestVFSBindIsAnEntry(t *testing.T) {
	f := boundFixture(t)
	if got := f.did("POST", "rename/home/fa", map[string]any{"name": "fb"}); got != (entry{"fb", "/fb"}) {
		t.Errorf("renamed: %v", got)
	}
	f.did("POST", "mkdir/home/in", nil)
	if got := f.did("POST", "rename/home/fb", map[string]any{"to": "/in/fc"}); got != (entry{"fc", "/in/fc"}) {
		t.Errorf("moved: %v", got)
	}
	if got := f.listed("ls/home/in/fc/sub"); got != "/in/fc/sub/c.txt" {
		t.Errorf("the bind went along to %s", got)
	}
	if got := f.did("POST", "copy/home/in/fc", map[string]any{"name": "copied"}); got != (entry{"copied", "/in/copied"}) {
		t.Errorf("copied: %v", got)
	}
	if got := f.stored(t, bob, "in/copied/sub/c.txt"); got != "sea" {
		t.Errorf("the copy has %q", got)
	}
	if a := f.do(request{method: "POST", path: "/api/vfs/copy/home/own.txt", as: bob, body: map[string]any{"to": "/in/fc"}}); a.status != 409 {
		t.Errorf("over it: %d %s", a.status, a.body)
	}
	if got := f.did("DELETE", "delete/home/in/fc", nil); got != (entry{"fc", "/in/fc"}) {
		t.Errorf("removed: %v", got)
	}
	if got := f.listed("ls/home/in"); got != "/in/copied" {
		t.Errorf("left: %s", got)
	}
	if got := f.stored(t, alice, "in/shared/sub/c.txt"); got != "sea" {
		t.Errorf("she has %q", got)
	}
}

// The APIs that go by paths lead through binds, as far as the source's owner lets the caller.
func TestRPCThroughBinds(t *testing.T) {
	f := boundFixture(t)
	f.store(bob, "fa/st.txt", "stored")
	if got := f.stored(t, alice, "in/shared/st.txt"); got != "stored" {
		t.Errorf("she has %q", got)
	}
	for _, path := range []string{"/rpc/retrieve_file?p_file_path=fa/st.txt", "/rpc/get_file?p_bucket_path=fa&p_file_name=st.txt"} {
		if a := f.do(request{path: path, as: bob}); a.status != 200 || a.body != "stored" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := f.do(request{path: "/rpc/get_metadata?p_bucket_path=fa/sub&p_file_name=c.txt", as: bob}); a.status != 200 || !strings.Contains(a.body, `"bucket_path":"fa/sub"`) {
		t.Errorf("metadata: %d %s", a.status, a.body)
	}
	public := map[string]any{"p_bucket_path": "fa", "p_file_name": "st.txt", "p_public": true}
	f.fails(f.do(request{method: "POST", path: "/rpc/set_public", as: bob, body: public}), 403, "owner")
	described := map[string]string{"File-Path": "fa/st.txt", "Description": "his"}
	f.fails(f.do(request{method: "POST", path: "/rpc/store_file", as: bob, body: "x", header: described}), 403, "owner")

	f.fails(f.do(request{method: "PATCH", path: "/files?file_path=eq.own.txt", as: bob, body: map[string]string{"file_path": "fa/gone.txt"}}), 403, "another directory is shown")
	if got := f.paths(f.do(request{path: "/files", as: bob})); got != "own.txt" {
		t.Errorf("his own files: %s", got)
	}

	f.store(alice, "look/only.txt", "see")
	f.bind(t, "look", "fl", api.PermRead|api.PermList)
	if a := f.do(request{path: "/rpc/retrieve_file?p_file_path=fl/only.txt", as: bob}); a.body != "see" {
		t.Errorf("what he may only read: %d %s", a.status, a.body)
	}
	f.fails(f.do(request{method: "POST", path: "/rpc/store_file", as: bob, body: "x", header: map[string]string{"File-Path": "fl/new.txt"}}), 403, "")
}

// An upload cleans the names in a form, as every way to write does.
func TestVFSUploadCleansNames(t *testing.T) {
	f := newFixture(t)
	form := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\x01b\u0085\t.txt\"\r\n\r\n\x01\r\n--x--\r\n"
	a := f.do(request{method: "POST", path: "/api/vfs/upload/home", as: bob, body: form, header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}})
	if a.status != 200 || !strings.Contains(a.body, `"path":"/ab.txt"`) {
		t.Fatalf("upload: %d %s", a.status, a.body)
	}
	if got := f.stored(t, bob, "ab.txt"); got != "\x01" {
		t.Errorf("stored is %q", got)
	}
}

// What a symlink leads to is not replaced by what is moved or copied onto it.
func TestReplacesTheLinkItself(t *testing.T) {
	f := newFixture(t)
	d, err := f.home(bob)
	if err != nil {
		t.Fatal(err)
	}
	link := func() {
		t.Helper()
		batch := api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{
			{Op: api.OpCreate, Node: api.NewID(), Parent: d.Root(), Name: "latest", Attr: &api.Attr{Type: api.Symlink, Target: "2026"}},
		}}
		if c, err := d.Commit(t.Context(), batch); err != nil || c.Outcomes[0].Status != api.Applied {
			t.Fatalf("%v %v", c, err)
		}
	}
	f.store(bob, "2026/letter", "dear")
	for _, r := range []request{
		{method: "POST", path: "/api/vfs/rename/home/a.txt", body: map[string]any{"to": "/latest", "overwrite": true}},
		{method: "POST", path: "/api/vfs/copy/home/a.txt", body: map[string]any{"to": "/latest", "overwrite": true}},
		{method: "MOVE", path: "/dav/a.txt", header: map[string]string{"Destination": "/dav/latest"}},
		{method: "COPY", path: "/dav/a.txt", header: map[string]string{"Destination": "/dav/latest"}},
	} {
		f.store(bob, "a.txt", "new")
		link()
		r.as = bob
		if a := f.do(r); a.status/100 != 2 {
			t.Fatalf("%s %s: %d %s", r.method, r.path, a.status, a.body)
		}
		if got := f.stored(t, bob, "latest"); got != "new" {
			t.Errorf("%s %s: the name has %q", r.method, r.path, got)
		}
		if got := f.stored(t, bob, "2026/letter"); got != "dear" {
			t.Errorf("%s %s: what the link led to has %q", r.method, r.path, got)
		}
		f.did("DELETE", "delete/home/latest", nil)
	}
}
