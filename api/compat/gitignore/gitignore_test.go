package gitignore

import (
	"strings"
	"testing"
)

func TestExcludes(t *testing.T) {
	var r Rules
	r.Add("", "# comment\n*.log\n!keep.log\n/build\nnode_modules/\ndoc/*.txt\na/**/z\n**/cache\ntmp/**\n\\#literal\ntrailing  \n[!a]x\n")
	r.Add("sub", "!again.log\nlocal\n/top\n")
	for _, test := range []struct {
		path  string
		isDir bool
		want  bool
	}{
		{"x.log", false, true}, {"deep/down/x.log", false, true}, {"keep.log", false, false},
		{"build", true, true}, {"build", false, true}, {"sub/build", true, false},
		{"node_modules", true, true}, {"sub/node_modules", true, true}, {"node_modules", false, false},
		{"doc/a.txt", false, true}, {"doc/b/a.txt", false, false}, {"x/doc/a.txt", false, false},
		{"a/z", false, true}, {"a/b/c/z", false, true}, {"z", false, false},
		{"cache", true, true}, {"x/y/cache", true, true},
		{"tmp", true, false}, {"tmp/x", false, true}, {"tmp/x/y", false, true},
		{"#literal", false, true}, {"comment", false, false}, {"trailing", false, true},
		{"bx", false, true}, {"ax", false, false},
		{"sub/again.log", false, false}, {"again.log", false, true},
		{"sub/local", false, true}, {"sub/x/local", false, true}, {"local", false, false},
		{"sub/top", false, true}, {"sub/x/top", false, false}, {"subway/local", false, false},
	} {
		if got := r.Excludes(test.path, test.isDir); got != test.want {
			t.Errorf("%s: %v", test.path, got)
		}
	}
	if (&Rules{}).Excludes("x", false) {
		t.Error("no rules exclude something")
	}
}

// What many ** could match in many ways is decided in one pass: this would take longer than the universe
// is old if each of them were tried with each.
func TestManyStars(t *testing.T) {
	var r Rules
	r.Add("", strings.Repeat("**/a/", 200)+"b")
	if r.Excludes(strings.Repeat("a/", 400)+"c", false) || !r.Excludes(strings.Repeat("a/", 400)+"b", false) {
		t.Error("a pattern of 200 ** is matched wrongly")
	}
}

// plainly decides by the definition: every way to spread the names over the pattern is tried.
func plainly(pattern, names []string) bool {
	switch {
	case len(pattern) == 0:
		return len(names) == 0
	case pattern[0] == "**" && len(pattern) == 1:
		return len(names) > 0
	case pattern[0] == "**":
		return plainly(pattern[1:], names) && len(names) > 0 || len(names) > 0 && plainly(pattern, names[1:])
	}
	return len(names) > 0 && matchName(pattern[0], names[0]) && plainly(pattern[1:], names[1:])
}

func FuzzExcludes(f *testing.F) {
	for _, s := range []string{"*.log\n!a\n[", "**/a/**/b", "a/**", "/**/", "[!a]/?", "\\ \r\n#", "**/**/x"} {
		f.Add(s, "a/b")
	}
	f.Fuzz(func(t *testing.T, text, p string) {
		var r Rules
		r.Add("", text)
		names := strings.Split(p, "/")
		for _, one := range r.rules {
			if len(one.segments) > 8 || len(names) > 8 {
				continue // the plain way takes too long
			}
			if got, want := matches(one.segments, names), plainly(one.segments, names); got != want {
				t.Errorf("%q matches %q: %v; want %v", one.segments, names, got, want)
			}
		}
		// The last rule that is about a path decides.
		excluded := r.Excludes(p, true)
		r.Add("", "!**")
		if r.Excludes(p, true) {
			t.Errorf("%q with !** behind it excludes %q", text, p)
		}
		r.Add("", "**")
		if !r.Excludes(p, true) {
			t.Errorf("%q with ** behind it does not exclude %q (%v before)", text, p, excluded)
		}
		var below Rules
		below.Add("dir", text)
		if below.Excludes(p, true) && !strings.HasPrefix(p, "dir/") {
			t.Errorf("a file in dir with %q excludes %q", text, p)
		}
	})
}
