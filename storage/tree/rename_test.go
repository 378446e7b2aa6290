package tree

import (
	"slices"
	"testing"

	"satchel/api"
)

func TestRename(t *testing.T) {
	b := newBench(t)
	a, d, sub := b.file(root, "a", "one"), b.dir(root, "d"), b.dir(root, "sub")
	sub.Parent = d.Node
	b.do(b.laptop, "applied applied applied applied", a, d, sub, rename(a, sub.Node, "b"))
	b.has("d/sub/b", "one")
	if n := b.at("d/sub"); n.Dir.Bytes != 3 || b.at("").Dir.Bytes != 0 {
		t.Errorf("counters of %+v", n)
	}
	for _, test := range []struct {
		name, want string
		m          api.Mutation
	}{
		{"sent again", "applied", rename(a, sub.Node, "b")},
		{"into itself", "refused:invalid", rename(d, d.Node, "x")},
		{"into what is below it", "refused:invalid", rename(d, sub.Node, "x")},
		{"a source that moved", "refused:not_found", rename(a, root, "c")},
		{"a node that never was", "refused:not_found", rename(b.file(root, "q", ""), root, "c")},
		{"into a directory that never was", "refused:not_found", rename(d, b.id(), "c")},
		{"onto its own name", "applied", rename(d, root, "d")},
		{"the root", "refused:invalid", rename(api.Mutation{Node: root, Parent: d.Node, Name: "x"}, d.Node, "y")},
	} {
		seq := b.drive.Seq
		t.Run(test.name, func(t *testing.T) {
			b.do(b.laptop, test.want, test.m)
			if b.drive.Seq != seq {
				t.Error("something changed")
			}
		})
	}
	b.do(b.desktop, "applied", b.dir(root, "gone"))
}

func TestRenameIntoADeletedDirectory(t *testing.T) {
	b := newBench(t)
	f, d := b.file(root, "a", "one"), b.dir(root, "d")
	b.do(b.desktop, "applied applied applied", f, d, rmdir(d))
	b.do(b.laptop, "refused:not_found", rename(f, d.Node, "a"))
	b.has("a", "one")
}

func TestSaveByRename(t *testing.T) {
	b := newBench(t)
	old, tmp := b.file(root, "a.txt", "old"), b.file(root, ".tmp", "new")
	b.do(b.laptop, "applied applied", old, link(old, root, "other"))
	b.do(b.laptop, "applied applied", tmp, over(rename(tmp, root, "a.txt"), old, old.Version))
	n := b.has("a.txt", "new")
	if n.ID != tmp.Node || n.Document != old.Node || n.Created != noon.UnixNano() {
		t.Errorf("the document did not move: %+v", n)
	}
	if o := b.has("other", "old"); o.Document == old.Node || o.Document.IsZero() {
		t.Errorf("the other link has the document %s", o.Document)
	}
	next := b.file(root, ".tmp", "newer")
	b.do(b.laptop, "applied applied", next, over(rename(next, root, "a.txt"), tmp, tmp.Version))
	if n := b.nodes[tmp.Node]; n.Live() || n.Trash != (Trash{}) || !n.Document.IsZero() {
		t.Errorf("the replaced node is %+v", n)
	}
	if b.at("a.txt").Document != old.Node {
		t.Error("the document did not move twice")
	}
	// An old handle of another device writes to what was replaced.
	w := b.write(tmp, tmp.Version, "through an old handle")
	w.Name = "a.txt"
	b.do(b.desktop, "adjusted", w)
	b.has("a.txt", "newer")
	b.has("a (conflict, desktop, 2026-11-23 12.00).txt", "through an old handle")
}

// vim's default: the old file is moved aside, a new one written, the old one removed.
func TestSaveByMovingAside(t *testing.T) {
	b := newBench(t)
	old, anew := b.file(root, "a.txt", "old"), b.file(root, "a.txt", "new")
	b.do(b.laptop, "applied applied applied", old, rename(old, root, "a.txt~"), anew)
	aside := old
	aside.Name = "a.txt~"
	gone := unlink(aside, old.Version)
	gone.Heir = anew.Node
	b.do(b.laptop, "applied", gone)
	if n := b.has("a.txt", "new"); n.Document != old.Node || n.Created != noon.UnixNano() {
		t.Errorf("the document did not move: %+v", n)
	}
}

func TestRenameOverNewerContent(t *testing.T) {
	b := newBench(t)
	old, tmp := b.file(root, "a.txt", "old"), b.file(root, ".tmp", "mine")
	b.do(b.laptop, "applied", old)
	b.do(b.desktop, "applied", b.write(old, old.Version, "theirs"))
	m := over(rename(tmp, root, "a.txt"), old, old.Version)
	m.Conflict = b.id()
	o := b.do(b.laptop, "applied adjusted", tmp, m)
	if n := b.has("a.txt", "mine"); n.Document != old.Node {
		t.Errorf("the document is %s", n.Document)
	}
	if n := b.has(string(o[1].Name), "theirs"); n.ID != m.Conflict || n.Document != m.Conflict || o[1].Conflict != m.Conflict {
		t.Errorf("the copy is %+v", n)
	}
}

func TestRenameOntoWhatAnotherDevicePutThere(t *testing.T) {
	b := newBench(t)
	old, mine, theirs := b.file(root, "a", "old"), b.file(root, ".mine", "mine"), b.file(root, ".theirs", "theirs")
	b.do(b.desktop, "applied applied applied", old, theirs, over(rename(theirs, root, "a"), old, old.Version))
	o := b.do(b.laptop, "applied adjusted", mine, over(rename(mine, root, "a"), old, old.Version))
	b.has("a", "theirs")
	if n := b.has(string(o[1].Name), "mine"); n.Document != mine.Node || o[1].Conflict != mine.Node {
		t.Errorf("the copy is %+v", n)
	}
}

func TestRenameOverWhatAnotherDeviceDeleted(t *testing.T) {
	b := newBench(t)
	old, tmp := b.file(root, "a", "old"), b.file(root, ".tmp", "mine")
	b.do(b.desktop, "applied applied", old, unlink(old, old.Version))
	b.do(b.laptop, "applied applied", tmp, over(rename(tmp, root, "a"), old, old.Version))
	if n := b.has("a", "mine"); n.Document != old.Node {
		t.Errorf("the document is %s", n.Document)
	}
	if n := b.nodes[old.Node]; n.Trash != (Trash{}) {
		t.Error("what was replaced is in the trash")
	}
}

func TestRenameDirectoryOverDirectory(t *testing.T) {
	b := newBench(t)
	from, to := b.dir(root, "from"), b.dir(root, "to")
	m := rename(from, root, "to")
	m.Replaces = to.Node
	b.do(b.laptop, "applied applied applied applied", from, b.file(from.Node, "x", "x"), to, m)
	b.has("to/x", "x")
	b.do(b.desktop, "adjusted", b.file(to.Node, "late", "late")) // merges with what replaced it
	b.has("to/late", "late")
	other := b.dir(root, "other")
	m = rename(other, root, "to")
	m.Replaces = from.Node
	b.do(b.laptop, "applied adjusted", other, m) // not empty any more
	b.at("to (conflict, laptop, 2026-11-23 12.00)")
}

func TestExchange(t *testing.T) {
	b := newBench(t)
	f, d := b.file(root, "f", "one"), b.dir(root, "d")
	g := b.file(d.Node, "g", "second")
	m := rename(f, d.Node, "g")
	m.Op, m.Replaces = api.OpExchange, g.Node
	b.do(b.laptop, "applied applied applied applied", f, d, g, m)
	b.has("d/g", "one")
	b.has("f", "second")
	b.do(b.laptop, "applied", m) // sent again
	b.has("f", "second")
	m = rename(d, d.Node, "g")
	m.Op, m.Replaces = api.OpExchange, f.Node
	b.do(b.laptop, "refused:invalid", m)
	m = rename(f, root, "nothing")
	m.Op, m.Replaces = api.OpExchange, d.Node
	b.do(b.laptop, "refused:not_found", m)
}

// Who renames a file onto a name that another device made a link to it is told how many names it has.
func TestRenameOntoALinkOfTheSame(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a", "one")
	b.do(b.desktop, "applied applied", f, link(f, root, "b"))
	b.do(b.laptop, "adjusted", rename(f, root, "b"))
	if n := b.has("b", "one"); n.Nlink != 1 {
		t.Errorf("it has %d names", n.Nlink)
	}
	b.entriesIn(root, 1)
	if touched := b.last.Touched(); !slices.Contains(touched.Nodes, f.Node) {
		t.Errorf("the answer tells of %+v", touched)
	}
}
