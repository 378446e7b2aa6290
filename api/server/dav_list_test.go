package server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"satchel/api"
	"satchel/storage/postgres/pgtest"
)

// list is the answer to a PROPFIND, as far as it came, and whether all of it did.
func (f *fixture) list(as, path, depth, body string) (text string, whole bool) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), "PROPFIND", f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Depth", depth)
	r.Header.Set("Authorization", "Bearer "+f.token(as))
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if resp.StatusCode != 207 {
		f.t.Fatalf("PROPFIND %s: %d %s", path, resp.StatusCode, b)
	}
	return string(b), err == nil && strings.HasSuffix(strings.TrimSpace(string(b)), "</D:multistatus>")
}

// What is said about a file is bounded, and is told whole in a list of many.
func TestDAVProperties(t *testing.T) {
	f := newFixture(t)
	say := func(path, name string, bytes int) answerData {
		return f.do(request{method: "PROPPATCH", path: "/dav/" + path, as: alice, body: fmt.Sprintf(
			`<propertyupdate xmlns="DAV:"><set><prop><%s xmlns="urn:x">%s</%s></prop></set></propertyupdate>`, name, strings.Repeat("x", bytes), name)})
	}
	for i := range 30 {
		path := fmt.Sprintf("f%02d", i)
		f.store(alice, path, "")
		for j := range 3 {
			if a := say(path, fmt.Sprintf("p%d", j), 60<<10); !strings.Contains(a.body, "200 OK") {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
	}
	f.store(alice, "unsaid", "")
	text, whole := f.list(alice, "/dav/", "1", "")
	if n := strings.Count(text, strings.Repeat("x", 60<<10)); n != 90 || !whole || !strings.Contains(text, "/dav/unsaid<") {
		t.Errorf("%d of 90 properties are told, all of it: %t", n, whole)
	}
	if a := say("f00", "p3", 60<<10); !strings.Contains(a.body, "200 OK") {
		t.Errorf("a fourth: %d %s", a.status, a.body)
	}
	if a := say("f00", "p4", 60<<10); !strings.Contains(a.body, " 507 ") || !strings.Contains(a.body, "at most 262144 bytes together") {
		t.Errorf("a fifth: %d %s", a.status, a.body)
	}
	if text, _ := f.list(alice, "/dav/f00", "0", ""); strings.Contains(text, "p4") {
		t.Error("what was refused is there")
	}
	remove := `<propertyupdate xmlns="DAV:"><remove><prop><p0 xmlns="urn:x"/></prop></remove></propertyupdate>`
	if a := f.do(request{method: "PROPPATCH", path: "/dav/f00", as: alice, body: remove}); !strings.Contains(a.body, "200 OK") {
		t.Errorf("one less: %d %s", a.status, a.body)
	}
	if a := say("f00", "p4", 60<<10); !strings.Contains(a.body, "200 OK") {
		t.Errorf("another for it: %d %s", a.status, a.body)
	}
}

// A request names as many properties as a file may have; one that names more is refused before anything is done.
func TestDAVPropertyNamesAreBounded(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "f", "")
	asks := func(method, before string, n int, after string) answerData {
		var names strings.Builder
		for i := range n {
			fmt.Fprintf(&names, `<x:p%d/>`, i)
		}
		return f.do(request{method: method, path: "/dav/f", as: alice}.with(`<?xml version="1.0"?>`+before+names.String()+after, "Depth", "0"))
	}
	const set, end = `<propertyupdate xmlns="DAV:" xmlns:x="urn:x"><set><prop>`, `</prop></set></propertyupdate>`
	const remove = `<propertyupdate xmlns="DAV:" xmlns:x="urn:x"><remove><prop><x:q/></prop></remove><set><prop>`
	const find, found = `<propfind xmlns="DAV:" xmlns:x="urn:x"><prop>`, `</prop></propfind>`
	for _, tt := range []struct {
		method, before string
		n              int
		after          string
		status         int
	}{
		{"PROPPATCH", set, 1001, end, 413},
		{"PROPPATCH", remove, 1000, end, 413},
		{"PROPFIND", find, 1001, found, 413},
		{"PROPFIND", `<propfind xmlns="DAV:" xmlns:x="urn:x"><allprop/><include>`, 1001, `</include></propfind>`, 413},
		{"PROPFIND", find, 1000, found, 207},
		{"PROPPATCH", set, 1000, end, 207},
	} {
		if tt.status == 207 && tt.method == "PROPFIND" { // nothing was set before
			if text, _ := f.list(alice, "/dav/f", "0", ""); strings.Contains(text, "urn:x") {
				t.Errorf("what was refused is there: %.300s", text)
			}
		}
		a := asks(tt.method, tt.before, tt.n, tt.after)
		if a.status != tt.status || tt.status == 413 && !strings.Contains(a.body, "at most 1000 properties") || tt.method == "PROPPATCH" && strings.Contains(a.body, " 507 ") {
			t.Errorf("%s %s with %d: %d %.300s", tt.method, tt.before, tt.n, a.status, a.body)
		}
	}
	if text, _ := f.list(alice, "/dav/f", "0", ""); strings.Count(text, `xmlns="urn:x"`) != 1000 {
		t.Errorf("not all that was set is there: %.300s", text)
	}
}

// All the way down is not round and round.
func TestDAVDepthInfinity(t *testing.T) {
	f := boundFixture(t)
	d, err := f.home(bob)
	if err != nil {
		t.Fatal(err)
	}
	f.store(bob, "dir/sub/file", "x")
	batch := api.Batch{Incarnation: api.NewID(), Number: 1}
	for _, name := range []api.Name{"a", "b"} {
		batch.Mutations = append(batch.Mutations, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: d.Root(), Name: name, Attr: &api.Attr{Type: api.Symlink, Target: "."}})
	}
	if c, err := d.Commit(t.Context(), batch); err != nil || c.Outcomes[1].Status != api.Applied {
		t.Fatalf("%v %v", c, err)
	}
	for _, path := range []string{"/dav/", "/dav/a/"} {
		text, whole := f.list(bob, path, "infinity", "")
		if !whole {
			t.Fatalf("the list of %s is not whole after %d bytes", path, len(text))
		}
		for name, n := range map[string]int{"": 1, "a/": 1, "b/": 1, "a/a/": 0, "fa/": 1, "fa/sub/": 0, "dir/": 1, "dir/sub/file": 1, "own.txt": 1} {
			if got := strings.Count(text, "<D:href>"+path+name+"</D:href>"); got != n {
				t.Errorf("the list of %s has %q %d times", path, name, got)
			}
		}
	}
	if text, _ := f.list(bob, "/dav/a/", "1", ""); !strings.Contains(text, "<D:href>/dav/a/dir/</D:href>") {
		t.Errorf("what a link leads to, by itself: %s", text)
	}
}

// A list that can't be completed does not look whole.
func TestDAVListBreaksOff(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "dir/damaged", "x")
	pgtest.SpoilAttributes(t, f.admin)
	if text, whole := f.list(alice, "/dav/", "infinity", ""); whole {
		t.Errorf("it is taken for whole: %s", text)
	}
}
