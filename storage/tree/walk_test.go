package tree

import (
	"testing"

	"satchel/api"
)

// A set walks what its mutations made, and what is expected of a drive is loaded once.
func TestWalkAfterMutations(t *testing.T) {
	b := newBench(t)
	docs, old := b.dir(root, "docs"), b.file(root, "old", "one")
	b.do(b.laptop, "applied applied", docs, old)

	sub, made := b.dir(docs.Node, "sub"), b.id()
	file := b.file(sub.Node, "a.txt", "two")
	file.Node = made
	second := b.write(old, old.Version, "three")
	s := NewSet(b.drive, b.Memory, b.laptop)
	before := b.loads
	err := s.Expect(Want{
		Nodes:    []api.ID{root, sub.Node, made, second.Conflict},
		Entries:  []Key{{root, "docs"}, {docs.Node, "sub"}, {sub.Node, "a.txt"}, {root, "old"}},
		Deleted:  []Key{{sub.Node, "a.txt"}},
		Versions: []api.ID{file.Version.ID, second.Version.ID, old.Version.ID},
	})
	if err != nil || b.loads != before+1 {
		t.Fatalf("%v, %d loads", err, b.loads-before)
	}
	walk := func(want int, path ...api.Name) []api.Node {
		t.Helper()
		nodes, err := s.Walk(root, path)
		if err != nil || len(nodes) != want {
			t.Fatalf("%q leads over %+v, not %d nodes: %v", path, nodes, want, err)
		}
		return nodes
	}
	walk(1, "docs", "sub", "a.txt")
	for _, m := range []api.Mutation{sub, file, second} {
		o, err := s.Apply([]api.Mutation{m})
		if err != nil || o[0].Status != api.Applied {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	if nodes := walk(3, "docs", "sub", "a.txt"); nodes[2].ID != made || nodes[2].Version != file.Version.ID {
		t.Errorf("what was made is %+v", nodes)
	}
	if n := walk(1, "old")[0]; n.Version != second.Version.ID {
		t.Errorf("what was written is %+v", n)
	}
	if n, ok := s.Node(made); !ok || n.Size != 3 || n.Nlink != 1 {
		t.Errorf("the node is %+v, %t", n, ok)
	}
	if b.loads != before+1 {
		t.Errorf("it took %d loads", b.loads-before)
	}
	walk(0, "missing", "too")
	if b.loads != before+2 {
		t.Errorf("what was not expected took %d loads", b.loads-before-1)
	}
	if _, ok := s.Node(b.id()); ok {
		t.Error("a node that there is not")
	}
}

// What is settled is of a batch of its own: its difference is told once, and its conflicts are nobody else's.
func TestSettle(t *testing.T) {
	b := newBench(t)
	s := NewSet(b.drive, b.Memory, b.laptop)
	apply := func(want string, all ...api.Mutation) Diff {
		t.Helper()
		o, err := s.Apply(all)
		if err != nil || string(o[len(o)-1].Status) != want || s.Settled() {
			t.Fatalf("%+v, %v", o, err)
		}
		d := s.Settle()
		if !s.Settled() || len(s.Settle().Changes) != 0 {
			t.Error("it is not settled")
		}
		return d
	}
	docs := b.dir(root, "docs")
	file := b.file(docs.Node, "a", "one")
	first := apply("applied", docs, file)
	second := apply("applied", b.write(file, file.Version, "two"))
	if len(first.NewNodes) != 2 || len(first.Changes) != 2 || len(first.Versions) != 1 {
		t.Errorf("the first: %+v", first)
	}
	if len(second.NewNodes)+len(second.NewEntries) != 0 || len(second.Nodes) != 2 || len(second.Changes) != 1 || second.Drive.Seq != first.Drive.Seq+1 {
		t.Errorf("the second: %+v", second)
	}
	again := b.dir(root, "docs")
	if o, err := s.Apply([]api.Mutation{again}); err != nil || o[0].Status != api.Adjusted || s.Settled() {
		t.Fatalf("%+v, %v", o, err)
	}
	s.Settle()
	if o, err := s.Apply([]api.Mutation{b.file(again.Node, "b", "lost")}); err != nil || o[0].Status != api.Refused || !s.Settled() {
		t.Errorf("into the directory that another batch would have made: %+v, %v", o, err)
	}
}
