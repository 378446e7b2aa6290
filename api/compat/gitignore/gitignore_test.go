package gitignore

import "testing"

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

func FuzzExcludes(f *testing.F) {
	f.Add("*.log\n!a\n[", "a/b")
	f.Fuzz(func(t *testing.T, text, p string) {
		var r Rules
		r.Add("", text)
		r.Excludes(p, true)
	})
}
