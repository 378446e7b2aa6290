package tree

import (
	"testing"

	"satchel/api"
)

// recovered brings nodes back from the trash, as their owner who asks for it.
func (b *bench) recovered(ids ...api.ID) Key {
	b.Helper()
	env := b.laptop
	env.Bare, env.NewID = true, b.newID
	s := NewSet(b.drive, b.Memory, env)
	key, err := s.Recover(ids, b.clock.UnixNano())
	if err == nil {
		err = b.Memory.write(s.Diff())
	}
	if err != nil {
		b.Fatal(err)
	}
	return key
}

// bind shows another directory in one, or no longer.
func (b *bench) bind(dir api.ID, bound bool) {
	n := b.nodes[dir]
	n.Bound = bound
	b.nodes[dir] = n
}

// Nothing comes back from the trash to where a bind hides it, neither by the directory that it was in, nor by one above that, nor
// by one of its own name.
func TestRecoverBesideABind(t *testing.T) {
	b := newBench(t)
	docs := b.dir(root, "docs")
	sub := b.dir(docs.Node, "sub")
	f, g := b.file(sub.Node, "f", "one"), b.file(sub.Node, "g", "two")
	b.do(b.laptop, "applied applied applied applied", docs, sub, f, g)
	b.do(b.laptop, "applied applied applied applied", unlink(f, f.Version), unlink(g, g.Version), rmdir(sub), rmdir(docs))

	shown := b.dir(root, "docs")
	b.do(b.desktop, "applied", shown)
	b.bind(shown.Node, true)
	if key := b.recovered(docs.Node, sub.Node, f.Node); key.Parent != root || key.Name == "docs" {
		t.Errorf("the directory of the bind's name is at %v", key)
	}
	if n := b.nodes[f.Node]; !n.Live() || b.nodes[sub.Node].Dir.Parent != docs.Node || b.nodes[docs.Node].Nlink == 0 {
		t.Errorf("what was in it: %+v", n)
	}
	b.entriesIn(shown.Node, 0)

	b.do(b.laptop, "applied", unlink(f, f.Version))
	b.do(b.laptop, "applied", rmdir(sub))
	b.bind(docs.Node, true)
	if key := b.recovered(g.Node); key != (Key{sub.Node, "g"}) || b.nodes[sub.Node].Dir.Parent != root {
		t.Errorf("the file is at %v, and its directory %+v", key, b.nodes[sub.Node])
	}
	b.has("sub/g", "two")
	b.entriesIn(docs.Node, 0)
}

// A directory that shows another by a bind merges with no other one: then the bind would be gone.
func TestRecoverABind(t *testing.T) {
	b := newBench(t)
	shown, other := b.dir(root, "docs"), b.dir(root, "docs")
	b.do(b.laptop, "applied", shown)
	b.bind(shown.Node, true)
	b.do(b.laptop, "applied", rmdir(shown))
	b.do(b.laptop, "applied", other)
	if key := b.recovered(shown.Node); key.Name == "docs" || b.nodes[shown.Node].Nlink == 0 {
		t.Errorf("the bind is at %v: %+v", key, b.nodes[shown.Node])
	}
}

// What a device does in a directory that it does not know to be a bind's stays there.
func TestDevicesEditBehindABind(t *testing.T) {
	b := newBench(t)
	docs := b.dir(root, "docs")
	sub := b.dir(docs.Node, "sub")
	b.do(b.laptop, "applied applied", docs, sub)
	b.do(b.desktop, "applied", rmdir(sub))
	b.bind(docs.Node, true)
	b.do(b.laptop, "adjusted", b.file(sub.Node, "f", "one"))
	b.has("docs/sub/f", "one")
}

// What was in a directory that is gone for good comes back in the root, with those between that are not.
func TestRecoverWithoutADirectoryAbove(t *testing.T) {
	b := newBench(t)
	docs := b.dir(root, "docs")
	sub := b.dir(docs.Node, "sub")
	f := b.file(sub.Node, "f", "one")
	b.do(b.laptop, "applied applied applied", docs, sub, f)
	b.do(b.laptop, "applied applied applied", unlink(f, f.Version), rmdir(sub), rmdir(docs))
	delete(b.nodes, docs.Node)
	if key := b.recovered(f.Node); key != (Key{sub.Node, "f"}) {
		t.Errorf("it is at %v", key)
	}
	b.has("sub/f", "one")
	if key := b.recovered(f.Node); key != (Key{}) {
		t.Errorf("what is there came back at %v", key)
	}
}

// A file whose directory its author does not see, so that he can't name it, is written to where it is.
func TestWriteWithoutADirectory(t *testing.T) {
	b := newBench(t)
	dir := b.dir(root, "docs")
	f := b.file(dir.Node, "f", "one")
	b.do(b.laptop, "applied applied", dir, f)
	w := b.write(f, f.Version, "two")
	w.Parent = api.ID{}
	b.do(b.desktop, "applied", w)
	b.has("docs/f", "two")
	if c := b.last.changes[0]; c.From != (Key{dir.Node, "f"}) {
		t.Errorf("the change is of %v", c.From)
	}
	b.do(b.laptop, "applied", unlink(f, w.Version))
	w.Base, w.Version = w.Version.ID, b.content("three")
	b.do(b.desktop, "refused:invalid", w)
}
