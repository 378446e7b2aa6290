package tree

import (
	"strings"
	"testing"
	"unicode/utf8"

	"satchel/api"
)

// A mutation that can't be is refused, changes nothing, and keeps no other from being applied.
func TestForeignNonsenseIsRefused(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a", "one")
	b.do(b.laptop, "applied", f)
	long, bad, far := api.Name(strings.Repeat("x", 256)), uint32(0o10000), int64(1<<32)
	create := func(change func(*api.Mutation)) api.Mutation {
		m := b.file(root, "new", "one")
		change(&m)
		return m
	}
	for _, test := range []struct {
		name string
		kind api.Kind
		m    api.Mutation
	}{
		{"nothing", api.Invalid, api.Mutation{}},
		{"an unknown operation", api.Invalid, api.Mutation{Op: "explode", Node: f.Node, Parent: root, Name: "a"}},
		{"no node", api.Invalid, create(func(m *api.Mutation) { m.Node = api.ID{} })},
		{"no parent", api.Invalid, create(func(m *api.Mutation) { m.Parent = api.ID{} })},
		{"an empty name", api.Invalid, create(func(m *api.Mutation) { m.Name = "" })},
		{"two dots", api.Invalid, create(func(m *api.Mutation) { m.Name = ".." })},
		{"a slash", api.Invalid, create(func(m *api.Mutation) { m.Name = "a/b" })},
		{"a NUL", api.Invalid, create(func(m *api.Mutation) { m.Name = "a\x00b" })},
		{"a long name", api.NameTooLong, create(func(m *api.Mutation) { m.Name = long })},
		{"no attributes", api.Invalid, create(func(m *api.Mutation) { m.Attr = nil })},
		{"an unknown type", api.Invalid, create(func(m *api.Mutation) { m.Attr.Type = "z"; m.Version = nil })},
		{"a file without a version", api.Invalid, create(func(m *api.Mutation) { m.Version = nil })},
		{"a directory with a version", api.Invalid, create(func(m *api.Mutation) { m.Attr.Type = api.Directory })},
		{"a symlink without a target", api.Invalid, create(func(m *api.Mutation) { m.Attr.Type, m.Version = api.Symlink, nil })},
		{"a long target", api.NameTooLong, create(func(m *api.Mutation) {
			m.Attr.Type, m.Version, m.Attr.Target = api.Symlink, nil, api.Name(strings.Repeat("x", 4096))
		})},
		{"a NUL in a target", api.Invalid, create(func(m *api.Mutation) { m.Attr.Type, m.Version, m.Attr.Target = api.Symlink, nil, "a\x00" })},
		{"a mode with type bits", api.Invalid, create(func(m *api.Mutation) { m.Attr.Mode = &bad })},
		{"a user id out of range", api.Invalid, create(func(m *api.Mutation) { m.Attr.UID = &far })},
		{"an attribute without a name", api.Invalid, create(func(m *api.Mutation) { m.Attr.Xattrs = map[string][]byte{"": nil} })},
		{"an attribute's name that is not text", api.Invalid, create(func(m *api.Mutation) { m.Attr.Xattrs = map[string][]byte{"\xff": {1}} })},
		{"a large attribute", api.TooLarge, create(func(m *api.Mutation) { m.Attr.Xattrs = map[string][]byte{"user.a": make([]byte, 65<<10)} })},
		{"a version without an id", api.Invalid, create(func(m *api.Mutation) { m.Version.ID = api.ID{} })},
		{"a version without a sum", api.Invalid, create(func(m *api.Mutation) { m.Version.SHA256 = api.Hash{} })},
		{"a sum that is not its only chunk's", api.Invalid, create(func(m *api.Mutation) { m.Version.SHA256[0]++ })},
		{"chunks that do not add up", api.Invalid, create(func(m *api.Mutation) { m.Version.Size++ })},
		{"a chunk of another length", api.Invalid, create(func(m *api.Mutation) { m.Version.Chunks[0].Size, m.Version.Size = 4, 4 })},
		{"a version that exists with other content", api.Invalid, create(func(m *api.Mutation) { m.Version = b.content("x"); m.Version.ID = f.Version.ID })},
		{"a negative size", api.Invalid, create(func(m *api.Mutation) { m.Version = b.content(""); m.Version.Size = -1 })},
		{"a rename without a target", api.Invalid, api.Mutation{Op: api.OpRename, Node: f.Node, Parent: root, Name: "a"}},
		{"an exchange with nothing", api.Invalid, api.Mutation{Op: api.OpExchange, Node: f.Node, Parent: root, Name: "a", ToParent: root, ToName: "b"}},
		{"setattr of nothing", api.Invalid, api.Mutation{Op: api.OpSetattr, Node: f.Node}},
		{"a write without a version", api.Invalid, api.Mutation{Op: api.OpWrite, Node: f.Node, Parent: root, Name: "a"}},
		{"the removal of the root", api.Invalid, api.Mutation{Op: api.OpRmdir, Node: root, Parent: root, Name: "a"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := b.Clone()
			b.do(b.laptop, "refused:"+string(test.kind), test.m)
			before.loads = b.loads
			if !b.equal(before) {
				t.Error("something changed")
			}
		})
	}
	b.do(b.laptop, "refused:invalid applied", api.Mutation{}, b.dir(root, "after"))
}

func TestConflictName(t *testing.T) {
	at := noon.UnixNano()
	for _, test := range []struct {
		name   api.Name
		typ    api.Type
		device string
		count  int
		want   api.Name
	}{
		{"a.txt", api.File, "laptop", 1, "a (conflict, laptop, 2026-11-23 12.00).txt"},
		{"a.txt", api.File, "laptop", 3, "a (conflict, laptop, 2026-11-23 12.00, 3).txt"},
		{"a.tar.gz", api.File, "x", 1, "a.tar (conflict, x, 2026-11-23 12.00).gz"},
		{".profile", api.File, "x", 1, ".profile (conflict, x, 2026-11-23 12.00)"},
		{"ends in a dot.", api.File, "x", 1, "ends in a dot. (conflict, x, 2026-11-23 12.00)"},
		{"v1.2", api.Directory, "x", 1, "v1.2 (conflict, x, 2026-11-23 12.00)"},
		{"a", api.File, "../../etc\x00\n", 1, "a (conflict, ....etc, 2026-11-23 12.00)"},
		{"a", api.File, " \t", 1, "a (conflict, device, 2026-11-23 12.00)"},
		{"a", api.File, "\xff\xfe", 1, "a (conflict, device, 2026-11-23 12.00)"},
		{"a." + api.Name(strings.Repeat("e", 100)), api.File, "x", 1, "a." + api.Name(strings.Repeat("e", 100)) + " (conflict, x, 2026-11-23 12.00)"},
	} {
		if got := conflictName(test.name, test.typ, test.device, at, test.count); got != test.want {
			t.Errorf("%q of %q became %q, not %q", test.name, test.device, got, test.want)
		}
	}
}

func TestConflictNameFits(t *testing.T) {
	for _, name := range []string{strings.Repeat("ä", 127) + "b", strings.Repeat("x", 250) + ".docx", strings.Repeat("\xff", 255), "😀" + strings.Repeat("😀", 62) + ".py"} {
		for _, device := range []string{"x", strings.Repeat("ö", 100)} {
			got := conflictName(api.Name(name), api.File, device, noon.UnixNano(), 12)
			if err := got.Check(); err != nil {
				t.Errorf("%q: %v", got, err)
			}
			if utf8.ValidString(name) && !utf8.ValidString(string(got)) {
				t.Errorf("%q is cut within a rune", got)
			}
			if len(got) < len(name)-utf8.UTFMax {
				t.Errorf("%q is cut more than needed", got)
			}
		}
	}
}
