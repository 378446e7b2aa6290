package server

import (
	"strings"
	"testing"

	"satchel/api"
)

// What may be read and not listed is listed nowhere but to devices, whose mounts hide it; what may only be written not even there.
func TestListIsAskedEverywhere(t *testing.T) {
	f := newFixture(t)
	f.store(alice, "in/read/letter.txt", "dear Bob")
	f.store(alice, "in/drop/others.txt", "not his to know")
	f.bind(t, "in/read", "fa", api.PermRead|api.PermWrite|api.PermMkdir)
	hers, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	if err := hers.Grant(t.Context(), api.Grant{Path: "in/drop", UserID: api.Authenticated, Permissions: api.PermWrite}); err != nil {
		t.Fatal(err)
	}
	children := func(path string) string {
		n, err := hers.Lookup(t.Context(), []api.Name{"in", api.Name(path)})
		if err != nil {
			t.Fatal(err)
		}
		return "/v1/drives/" + hers.ID().String() + "/nodes/" + n.ID.String() + "/children"
	}
	for _, c := range []struct {
		r      request
		status int
	}{
		{request{path: children("drop")}, 403},
		{request{path: children("read")}, 200},
		{request{method: "PROPFIND", path: "/dav/fa", header: map[string]string{"Depth": "1"}}, 403},
		{request{method: "PROPFIND", path: "/dav/fa"}, 403},
		{request{method: "PROPFIND", path: "/dav/fa", header: map[string]string{"Depth": "0"}}, 207},
		{request{path: "/dav/fa/letter.txt"}, 200},
		{request{method: "COPY", path: "/dav/fa/letter.txt", header: map[string]string{"Destination": "/dav/fa/copy.txt"}}, 403},
		{request{path: "/api/vfs/ls/home/fa"}, 403},
		{request{path: "/api/vfs/read/home/fa/letter.txt"}, 200},
		{request{method: "PUT", path: "/api/vfs/write/user:" + hers.Owner().String() + "/in/drop/new.txt", body: "from Bob"}, 200},
	} {
		c.r.as = bob
		if a := f.do(c.r); a.status != c.status {
			t.Errorf("%s %s: %d %s", c.r.method, c.r.path, a.status, a.body)
		}
	}
	id := func(path string) string { return strings.Split(children(path), "/")[5] }
	together := f.do(request{method: "POST", path: "/v1/drives/" + hers.ID().String() + "/listings", as: bob, body: `{"dirs":["` + id("drop") + `","` + id("read") + `"]}`, header: asJSON})
	if all := into[[]api.Listed](f, together); len(all) != 2 || all[0].Problem != api.Permission || len(all[0].Entries)+len(all[0].Nodes) != 0 || len(all[1].Entries) != 1 {
		t.Errorf("together: %s", together.body)
	}
	b := f.browser()
	b.signIn(bob)
	for _, path := range []string{"/browse/fa", "/browse/fa?q=letter"} {
		if p := b.get(path); p.status != 403 {
			t.Errorf("the page %s: %d", path, p.status)
		}
	}
	if p := b.post("/do/copy", "from", "fa/letter.txt", "to", "fa/copy.txt"); p.status != 403 {
		t.Errorf("a copy on the page: %d", p.status)
	}
}
