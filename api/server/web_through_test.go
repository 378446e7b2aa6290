package server

import (
	"regexp"
	"strings"
	"testing"

	"satchel/api"
)

// What is moved among another's files comes there as it is, or stays.
func TestWebMoveAcross(t *testing.T) {
	f := newFixture(t)
	b, c := f.browser(), f.browser()
	b.signIn(alice)
	c.signIn(bob)
	b.upload("team/", "minutes.txt", "we met")
	b.post("/do/share", "path", "team", "email", bob, "may", "all")
	m := regexp.MustCompile(`name="drive" value="([^"]+)"><input type="hidden" name="node" value="([^"]+)"`).FindStringSubmatch(c.get("/shared").body)
	c.post("/do/bind", "drive", m[1], "node", m[2]).want(t, "among his files", "/browse/team", "minutes.txt")
	hers, err := f.home(alice)
	if err != nil {
		t.Fatal(err)
	}
	his, err := f.home(bob)
	if err != nil {
		t.Fatal(err)
	}

	c.upload("plan/", "run.sh", "#!/bin/sh")
	mode := uint32(0o750)
	run := []api.Name{"plan", "run.sh"}
	attr := api.Attr{Mode: &mode, Xattrs: map[string][]byte{"user.kind": []byte("script")}}
	if err := his.SetAttr(t.Context(), run, attr); err != nil {
		t.Fatal(err)
	}
	plan, err := his.Lookup(t.Context(), run[:1])
	if err != nil {
		t.Fatal(err)
	}
	link := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: plan.ID, Name: "latest", Attr: &api.Attr{Type: api.Symlink, Target: "run.sh"}, Time: 1}
	if _, err := his.Commit(t.Context(), api.Batch{Incarnation: api.NewID(), Number: 1, Mutations: []api.Mutation{link}}); err != nil {
		t.Fatal(err)
	}
	if p := c.post("/do/move", "from", "plan", "to", "team/plan"); p.status != 400 || !strings.Contains(p.body, "<p>“latest” is a link") {
		t.Errorf("with a link in it: %d %s", p.status, p.body)
	}
	if _, err := hers.Lookup(t.Context(), []api.Name{"team", "plan"}); api.KindOf(err) != api.NotFound {
		t.Errorf("a part was moved: %v", err)
	}
	if _, err := his.Lookup(t.Context(), []api.Name{"plan", "latest"}); err != nil {
		t.Errorf("the link: %v", err)
	}

	c.post("/do/delete", "path", "plan/latest")
	c.post("/do/move", "from", "plan", "to", "team/plan").want(t, "without it", "/browse/team", "plan")
	n, err := hers.Lookup(t.Context(), []api.Name{"team", "plan", "run.sh"})
	if err != nil || n.Mode != mode || string(n.Xattrs["user.kind"]) != "script" {
		t.Errorf("what was moved: %+v %v", n, err)
	}
	if _, err := his.Lookup(t.Context(), []api.Name{"plan"}); api.KindOf(err) != api.NotFound {
		t.Errorf("it is still there: %v", err)
	}
}
