package server

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage/postgres/pgtest"
)

// lock asks for a shared lock of a holder.
func (f *fixture) lock(path, holder string) answerData {
	f.t.Helper()
	return f.do(request{method: "LOCK", path: "/dav/" + path, as: alice, body: `<lockinfo xmlns="DAV:"><lockscope><shared/></lockscope>` +
		`<locktype><write/></locktype><owner>` + holder + `</owner></lockinfo>`})
}

// hold adds shared locks of a holder to alice's drive, on each path and below.
func (f *fixture) hold(n int, path func(i int) string, holder string) {
	f.t.Helper()
	paths := make([]string, n)
	for i := range paths {
		paths[i] = path(i)
	}
	pgtest.HoldLocks(f.t, f.admin, alice, holder, paths)
}

// A lock's owner, the locks of one thing and those of a drive have a bound. What is refused makes no file.
func TestDAVLocksAreBounded(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "dir/f", "")
	refused := func(what string, a answerData, status int, says string) {
		t.Helper()
		if a.status != status || !strings.Contains(a.body, says) {
			t.Errorf("%s: %d %.300s", what, a.status, a.body)
		}
		if a := f.dav("HEAD", "new"); a.status != 404 {
			t.Errorf("%s made a file: %d", what, a.status)
		}
	}
	refused("a long owner", f.lock("new", strings.Repeat("x", 1025)), 413, "at most 1024 bytes")
	refused("a long owner of what is there", f.lock("dir/f", strings.Repeat("x", 1025)), 413, "at most 1024 bytes")

	var last answerData
	for i := range 100 {
		if last = f.lock([]string{"dir", "dir/f"}[i%2], strings.Repeat("x", 1024)); last.status != 200 {
			t.Fatalf("lock %d: %d %s", i, last.status, last.body)
		}
	}
	refused("another on the file", f.lock("dir/f", "me"), 507, "100 locks hold for this already")
	refused("another above it", f.lock("", "me"), 507, "100 locks hold for this already")
	refused("an exclusive one", f.do(request{method: "LOCK", path: "/dav/dir/f", as: alice, body: exclusiveLock}), 423, "locked by another")
	token := last.header.Get("Lock-Token")
	if a := f.dav("LOCK", "dir/f", "If", "("+token+")"); a.status != 200 || !strings.Contains(a.body, strings.Repeat("x", 1024)) {
		t.Errorf("LOCK of one's own: %d %.300s", a.status, a.body)
	}

	f.hold(2000, func(i int) string { return fmt.Sprint("long/", i) }, strings.Repeat("x", 1024))
	refused("another beside long ones", f.lock("new", "me"), 507, "has 2100 locks already, and room for no more")
	d, err := f.home(alice)
	if err == nil {
		err = d.RemoveDAVLocks(t.Context(), []api.Name{"long"})
	}
	if err != nil {
		t.Fatal(err)
	}
	f.hold(9900, func(i int) string { return fmt.Sprint("many/", i) }, "me")
	refused("another beside many", f.lock("new", "me"), 507, "has 10000 locks already, and room for no more")
	if a := f.dav("UNLOCK", "dir/f", "Lock-Token", token); a.status != 204 {
		t.Fatalf("UNLOCK: %d %s", a.status, a.body)
	}
	if a := f.lock("new", "me"); a.status != 201 {
		t.Errorf("one for another: %d %s", a.status, a.body)
	}
}

// Locks are told where they are asked for, and cost nothing elsewhere.
func TestDAVLocksAreToldWhereAskedFor(t *testing.T) {
	f := newFixture(t)
	for i := range 20 {
		f.store(alice, fmt.Sprint("dir/", i), "")
	}
	const tags = `<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>`
	f.list(alice, "/dav/dir", "1", tags)
	allocated := func() uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if text, whole := f.list(alice, "/dav/dir", "1", tags); !whole || strings.Count(text, "<D:getetag>\"") != 20 {
			t.Fatalf("%.300s", text)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	without := allocated()
	holder := strings.Repeat("h", 1000)
	f.hold(1000, func(i int) string { return []string{"", "dir"}[i%2] }, holder)
	if with := allocated(); with > 2*without {
		t.Errorf("a list of tags takes %d KiB with locks that nobody asked for, and %d KiB without", with>>10, without>>10)
	}
	for body, want := range map[string]int{
		``: 1000, `<propfind xmlns="DAV:"><allprop/></propfind>`: 1000,
		`<propfind xmlns="DAV:"><prop><lockdiscovery/></prop></propfind>`: 1000,
		`<propfind xmlns="DAV:"><propname/></propfind>`:                   0,
		tags: 0,
	} {
		text, _ := f.list(alice, "/dav/dir/7", "0", body)
		if n := strings.Count(text, "<D:owner>"+holder+"</D:owner>"); n != want {
			t.Errorf("%q: %d locks are told: %.300s", body, n, text)
		}
		if has := strings.Contains(text, "<D:lockdiscovery"); has != (body != tags) {
			t.Errorf("%q names the locks: %t", body, has)
		}
	}
}
