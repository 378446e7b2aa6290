package server

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"satchel/api"
)

// choose is the fields of a form that names things.
func choose(paths ...string) url.Values { return url.Values{"path": paths} }

// TestWebChoosesMany: a form may name more things than there may be fields in any other, and has a limit of its own.
func TestWebChoosesMany(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	for _, name := range []string{"a", "b", "c", "d"} {
		b.upload("old/", name, "in "+name)
	}
	long := func(fields url.Values) url.Values { // in fields and in bytes
		fields["of no meaning"] = slices.Repeat([]string{"and so on"}, 12_000)
		return fields
	}
	move := long(choose("old/a", "old/b"))
	move.Set("to", "new")
	b.pressed("/do/move-to", nil, move).want(t, "two are moved", "/browse/new", ">a</a>", ">b</a>")
	b.pressed("/do/delete-these", nil, long(choose("old/c", "old/none"))).want(t, "one is deleted", "/browse/old", ">d</a>").lacks(t, "one is deleted", ">c</a>")
	if p := b.pressed("/do/zip", nil, long(choose("new", "old/d"))); p.status != 200 || !strings.HasPrefix(p.body, "PK") {
		t.Errorf("the ZIP: %d %.40q", p.status, p.body)
	}
	for path, fields := range map[string]url.Values{
		"/do/move-to":      choose(slices.Repeat([]string{"none"}, maxChosen+1)...),
		"/do/delete-these": choose(strings.Repeat("x", maxChosenBytes)),
	} {
		if p := b.pressed(path, nil, fields); p.status != 413 {
			t.Errorf("too much for %s: %d", path, p.status)
		}
	}
	for form, want := range map[string]int{"path=%zz": 400, "": 400, "path=": 400} {
		if a := f.do(request{method: "POST", path: "/do/delete-these", as: alice, body: form, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}); a.status != want {
			t.Errorf("the form %q: %d %s", form, a.status, a.body)
		}
	}
}

// TestWebSomeStay: with what can't be moved the others are, and the page names it and says how many they were.
func TestWebSomeStay(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.signIn(alice)
	for _, name := range []string{"a.txt", "b.txt", "c.txt", "d.txt"} {
		b.upload("", name, "in "+name)
	}
	for _, taken := range []string{"b.txt", "d.txt"} {
		b.upload("box/", taken, "in the box")
	}
	fields := choose("a.txt", "b.txt", "c.txt", "d.txt")
	fields.Set("to", "box")
	if p := b.pressed("/do/move-to", nil, fields); p.status != 409 || !strings.Contains(p.body, "<p>2 of 4 things were moved; “b.txt”: the path is taken.</p>") {
		t.Errorf("two of four: %d %s", p.status, p.body)
	}
	for path, want := range map[string]string{"box/a.txt": "in a.txt", "box/b.txt": "in the box", "box/c.txt": "in c.txt", "box/d.txt": "in the box", "b.txt": "in b.txt", "d.txt": "in d.txt"} {
		b.get("/open/"+path).bodyIs(t, path, want)
	}
	fields = choose("b.txt")
	fields.Set("to", "box")
	if p := b.pressed("/do/move-to", nil, fields); p.status != 409 || !strings.Contains(p.body, "<p>The path is taken.</p>") {
		t.Errorf("one alone: %d %s", p.status, p.body)
	}
}

// TestEachOfAChoice: what is wrong with one thing keeps no other from being done; what is wrong with the server ends it.
func TestEachOfAChoice(t *testing.T) {
	c := choice{paths: [][]api.Name{{"in", "a"}, {"in", "b"}, {"in", "c"}, {"in", "d"}}}
	for _, at := range []struct {
		wrong map[string]api.Kind
		done  string
		kind  api.Kind
		says  string
	}{
		{nil, "abcd", "", ""},
		{map[string]api.Kind{"b": api.Exists}, "acd", api.Exists, "3 of 4 things were moved; “b”: no b"},
		{map[string]api.Kind{"a": api.Permission, "d": api.Exists}, "bc", api.Permission, "2 of 4 things were moved; “a”: no a"},
		{map[string]api.Kind{"b": api.Exists, "c": api.Quota}, "a", api.Quota, "1 of 4 things were moved; “c”: no c"},
		{map[string]api.Kind{"a": api.Unavailable}, "", api.Unavailable, "0 of 4 things were moved; “a”: no a"},
	} {
		done := ""
		err := c.each("moved", func(path []api.Name) error {
			name := string(path[1])
			if kind := at.wrong[name]; kind != "" {
				return api.Errorf(kind, "no %s", name)
			}
			done += name
			return nil
		})
		if done != at.done || api.KindOf(err) != at.kind || err != nil && err.Error() != at.says {
			t.Errorf("%v: %q, %s", at.wrong, done, fmt.Sprint(err))
		}
	}
}
