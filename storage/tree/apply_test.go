package tree

import (
	"slices"
	"testing"
	"time"

	"satchel/api"
)

func TestCreate(t *testing.T) {
	b := newBench(t)
	dir := b.dir(root, "docs")
	file := b.file(dir.Node, "a.txt", "one")
	link := api.Mutation{Op: api.OpCreate, Node: b.id(), Parent: dir.Node, Name: "l", Attr: &api.Attr{Type: api.Symlink, Target: "a.txt"}}
	o := b.do(b.laptop, "applied applied applied", dir, file, link)
	if o[0].Seq != 1 || o[2].Seq != 3 {
		t.Errorf("numbers %+v", o)
	}
	n := b.has("docs/a.txt", "one")
	if n.Document != file.Node || n.Created != noon.UnixNano() || n.Mtime != n.Created || n.Ctime != n.Created || n.Rev != 2 || n.Mode != 0o644 || n.UID != api.Self {
		t.Errorf("file %+v", n)
	}
	if d := b.at("docs"); d.Nlink != 2 || d.Dir.Files != 2 || d.Dir.Bytes != 3 || d.Rev != 3 {
		t.Errorf("directory %+v", d)
	}
	if l := b.at("docs/l"); l.Size != 5 || l.Target != "a.txt" || !l.Document.IsZero() {
		t.Errorf("symlink %+v", l)
	}
	if b.loads != 1 {
		t.Errorf("a batch that names all it needs took %d loads", b.loads)
	}
	b.do(b.laptop, "applied applied applied", dir, file, link) // sent again
	if b.drive.Seq != 3 {
		t.Errorf("sending again changed something: %d", b.drive.Seq)
	}
	b.do(b.laptop, "refused:exists", b.fileWith(file.Node, "other"))
	b.do(b.laptop, "refused:not_found refused:not_a_directory", b.file(b.id(), "x", ""), b.file(file.Node, "x", ""))
}

// The id of a directory that merged with another one means that one for the rest of the batch, and nothing else gets it: two directories
// in each other's place would each be what the other had become.
func TestIDOfWhatMergedIsTaken(t *testing.T) {
	b := newBench(t)
	docs, old := b.dir(root, "docs"), b.file(root, "old", "one")
	b.do(b.desktop, "applied applied", docs, old)
	d := b.dir(root, "docs")
	again := d
	again.Name = "elsewhere"
	late := b.write(old, b.content("never"), "late")
	late.Conflict = d.Node
	b.do(b.laptop, "adjusted applied refused:exists refused:exists adjusted adjusted", d, rmdir(docs), d, again, late, b.file(d.Node, "in it", "x"))
	b.has("docs/in it", "x")
	if n := b.at("docs"); n.ID != docs.Node {
		t.Errorf("the directory is %s, not %s", n.ID, docs.Node)
	}
}

func (b *bench) fileWith(id api.ID, name api.Name) api.Mutation {
	m := b.file(root, name, "")
	m.Node = id
	return m
}

// Several devices give a restored server the same node. Content that is in no version here is not taken for content that was
// sent again, and who gave the node other attributes than it has is told of them.
func TestCreateWhatIsThere(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a", "one")
	b.do(b.laptop, "applied", f)
	other := b.file(root, "a", "two")
	other.Node = f.Node
	b.do(b.desktop, "refused:exists", other)
	if touched := b.last.Touched(); !slices.Contains(touched.Nodes, f.Node) {
		t.Errorf("the answer tells of %+v", touched)
	}
	b.has("a", "one")

	same := b.file(root, "a", "one")
	same.Node = f.Node
	b.do(b.desktop, "applied", same)
	if n := b.has("a", "one"); n.Version != same.Version.ID {
		t.Error("the version of the second is not known")
	}
	b.do(b.laptop, "applied", b.write(f, same.Version, "three"))
	b.do(b.desktop, "adjusted", same) // sent again, and written since
	b.has("a", "three")

	d, mode := b.dir(root, "d"), uint32(0o700)
	b.do(b.laptop, "applied", d)
	d.Attr = &api.Attr{Type: api.Directory, Mode: &mode}
	b.do(b.desktop, "adjusted", d)
	if touched := b.last.Touched(); !slices.Contains(touched.Nodes, d.Node) {
		t.Errorf("the answer tells of %+v", touched)
	}
	b.entriesIn(root, 2)
}

func TestCreateOnATakenName(t *testing.T) {
	b := newBench(t)
	theirs, mine := b.file(root, "a.txt", "theirs"), b.file(root, "a.txt", "mine")
	b.do(b.desktop, "applied", theirs)
	o := b.do(b.laptop, "adjusted", mine)
	const name = "a (conflict, laptop, 2026-11-23 12.00).txt"
	if o[0].Conflict != mine.Node || o[0].Name != name || o[0].Seq == 0 {
		t.Errorf("outcome %+v", o[0])
	}
	b.has("a.txt", "theirs")
	if n := b.has(name, "mine"); n.Document != mine.Node {
		t.Errorf("the copy's document is %s", n.Document)
	}
	again := b.file(root, "a.txt", "more")
	again.Time = mine.Time
	if o := b.do(b.laptop, "adjusted", again); o[0].Name != "a (conflict, laptop, 2026-11-23 12.00, 2).txt" {
		t.Errorf("the second conflict is called %s", o[0].Name)
	}
}

func TestLaterMutationsFollowAConflictName(t *testing.T) {
	b := newBench(t)
	old, theirs := b.file(root, "a.txt", "old"), b.file(root, ".tmp", "theirs")
	b.do(b.desktop, "applied applied", old, theirs)
	mine := b.file(root, ".tmp", "mine")
	b.do(b.laptop, "adjusted adjusted adjusted", mine, link(mine, root, ".tmp"), over(rename(mine, root, "a.txt"), old, old.Version))
	b.has("a.txt", "mine")
	b.has(".tmp", "theirs")
	other := b.file(root, ".tmp", "other")
	b.do(b.laptop, "adjusted adjusted", other, unlink(other, other.Version))
	if n := b.nodes[other.Node]; n.Live() {
		t.Error("the file with the conflict name was not deleted")
	}
}

func TestDirectoriesMerge(t *testing.T) {
	b := newBench(t)
	theirs := b.dir(root, "photos")
	b.do(b.desktop, "applied applied", theirs, b.file(theirs.Node, "1", "one"))
	mine := b.dir(root, "photos")
	sub := b.dir(mine.Node, "new")
	o := b.do(b.laptop, "adjusted adjusted adjusted adjusted dropped",
		mine, b.file(mine.Node, "2", "two"), sub, b.file(mine.Node, "1", "uno"), rmdir(mine))
	if o[0].Conflict != theirs.Node || o[0].Name != "photos" || o[0].Seq != 0 {
		t.Errorf("outcome %+v", o[0])
	}
	b.has("photos/1", "one")
	b.has("photos/2", "two")
	b.has("photos/1 (conflict, laptop, 2026-11-23 12.00)", "uno")
	b.at("photos/new")
	if _, ok := b.nodes[mine.Node]; ok {
		t.Error("the merged directory has a node of its own")
	}
	b.do(b.laptop, "adjusted", b.file(root, "photos", "a file")) // no merging with a file
	b.entriesIn(root, 2)
}

func TestWrite(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a", "one")
	w := b.write(f, f.Version, "second")
	b.do(b.laptop, "applied applied", f, w)
	n := b.has("a", "second")
	if n.Version != w.Version.ID || n.Size != 6 || n.Document != f.Node || b.at("").Dir.Bytes != 6 {
		t.Errorf("file %+v", n)
	}
	b.do(b.laptop, "applied", w) // sent again
	if b.drive.Seq != 2 {
		t.Error("sending again changed something")
	}
	b.do(b.laptop, "refused:invalid", b.write(b.dirAt("d"), f.Version, "x"))
}

func TestTheSameWrittenTwiceIsNoConflict(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a", "one")
	b.do(b.laptop, "applied applied", f, b.write(f, f.Version, "second"))
	w := b.write(f, f.Version, "second")
	b.do(b.desktop, "applied applied", w, b.write(f, w.Version, "third"))
	b.has("a", "third")
	b.do(b.laptop, "adjusted", b.write(f, f.Version, "thirD"))
	b.entriesIn(root, 2)
}

func (b *bench) dirAt(name api.Name) api.Mutation {
	d := b.dir(root, name)
	b.do(b.desktop, "applied", d)
	return d
}

func TestWriteWithAnOldBase(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a.txt", "one")
	b.do(b.desktop, "applied applied applied", f, link(f, root, "b.txt"), b.write(f, f.Version, "theirs"))
	mine := b.write(f, f.Version, "mine")
	next := b.write(f, mine.Version, "mine, edited again")
	o := b.do(b.laptop, "adjusted adjusted", mine, next)
	const name = "a (conflict, laptop, 2026-11-23 12.00).txt"
	if o[0].Conflict != mine.Conflict || o[0].Name != name || o[1].Conflict != mine.Conflict {
		t.Errorf("outcomes %+v", o)
	}
	b.has("a.txt", "theirs")
	b.has("b.txt", "theirs")
	if n := b.has(name, "mine, edited again"); n.ID != mine.Conflict || n.Document != mine.Conflict {
		t.Errorf("copy %+v", n)
	}
	b.entriesIn(root, 3)
	b.do(b.laptop, "adjusted", next) // sent again in another batch
	b.entriesIn(root, 3)
}

// What a device gave its version of a file (cp -p, chmod) stays with that, and leaves the other one's alone.
func TestAttributesGoWithTheConflictCopy(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a.txt", "one")
	b.do(b.desktop, "applied applied", f, b.write(f, f.Version, "theirs"))
	theirs := b.has("a.txt", "theirs")
	mine, mode, mtime := b.write(f, f.Version, "mine"), uint32(0o600), int64(1)
	b.do(b.laptop, "adjusted applied", mine, api.Mutation{Op: api.OpSetattr, Node: f.Node, Attr: &api.Attr{Mode: &mode, Mtime: &mtime}, Time: 2})
	if n := b.has("a.txt", "theirs"); n.Mode != theirs.Mode || n.Mtime != theirs.Mtime {
		t.Errorf("theirs has mode %o and time %d", n.Mode, n.Mtime)
	}
	if n := b.nodes[mine.Conflict]; n.Mode != mode || n.Mtime != mtime {
		t.Errorf("mine has mode %o and time %d", n.Mode, n.Mtime)
	}
}

func TestDeleteIsDropped(t *testing.T) {
	b := newBench(t)
	f, d := b.file(root, "a", "one"), b.dir(root, "d")
	b.do(b.desktop, "applied applied applied applied", f, b.write(f, f.Version, "newer"), d, b.file(d.Node, "x", ""))
	o := b.do(b.laptop, "dropped dropped", unlink(f, f.Version), rmdir(d))
	if o[0].Seq != 0 {
		t.Errorf("a dropped delete has the number %d", o[0].Seq)
	}
	b.has("a", "newer")
	if touched := b.last.Touched(); len(touched.Nodes) < 3 || len(touched.Entries) < 2 {
		t.Errorf("the answer tells of %+v", touched)
	}
	b.do(b.desktop, "applied", rename(f, root, "elsewhere"))
	b.do(b.desktop, "applied", b.file(root, "a", "another"))
	b.do(b.laptop, "dropped", unlink(f, f.Version))
	b.do(b.laptop, "refused:is_a_directory refused:not_a_directory", unlink(d, &api.Version{}), rmdir(api.Mutation{Node: f.Node, Parent: root, Name: "elsewhere"}))
}

func TestDeleteTwice(t *testing.T) {
	b := newBench(t)
	f, d := b.file(root, "a", "one"), b.dir(root, "d")
	b.do(b.laptop, "applied applied applied applied", f, d, unlink(f, f.Version), rmdir(d))
	b.do(b.desktop, "applied applied", unlink(f, f.Version), rmdir(d))
	b.entriesIn(root, 0)
	n := b.nodes[f.Node]
	if n.Trash.Key != (Key{root, "a"}) || n.Trash.Device != b.laptop.Device || n.Trash.Seq != 3 || n.Document != f.Node {
		t.Errorf("in the trash is %+v", n)
	}
}

func TestWriteBringsBackWhatWasDeleted(t *testing.T) {
	b := newBench(t)
	top, sub := b.dir(root, "top"), b.dir(root, "sub")
	sub.Parent = top.Node
	f := b.file(sub.Node, "a", "one")
	b.do(b.desktop, "applied applied applied applied applied applied", top, sub, f, unlink(f, f.Version), rmdir(sub), rmdir(top))
	o := b.do(b.laptop, "adjusted", b.write(f, f.Version, "edited"))
	n := b.has("top/sub/a", "edited")
	if n.ID != f.Node || n.Document != f.Node || o[0].Conflict != f.Node || o[0].Name != "a" {
		t.Errorf("outcome %+v of %+v", o[0], n)
	}
	if touched := b.last.Touched(); len(touched.Nodes) != 4+1 { // and the id that a copy would have had
		t.Errorf("the answer tells of %d nodes", len(touched.Nodes))
	}
}

// Who links what another device deleted is told that the old name is gone, or would count one too many.
func TestLinkBringsBackWhatWasDeleted(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a", "one")
	b.do(b.desktop, "applied applied", f, unlink(f, f.Version))
	b.do(b.laptop, "adjusted", link(f, root, "b"))
	b.has("b", "one")
	if touched := b.last.Touched(); !slices.Contains(touched.Entries, Key{root, "a"}) || !slices.Contains(touched.Entries, Key{root, "b"}) {
		t.Errorf("the answer tells of %+v", touched)
	}
}

func TestCreateBringsBackItsDirectory(t *testing.T) {
	b := newBench(t)
	d := b.dir(root, "d")
	b.do(b.desktop, "applied applied", d, rmdir(d))
	b.do(b.laptop, "adjusted applied", b.file(d.Node, "a", "one"), b.file(d.Node, "b", "two"))
	b.has("d/a", "one")
	if b.at("d").ID != d.Node {
		t.Error("another directory came back")
	}
	b.do(b.desktop, "applied", rename(d, root, "moved"))
	b.has("moved/b", "two")
}

func TestComingBackToATakenName(t *testing.T) {
	b := newBench(t)
	d, e := b.dir(root, "d"), b.dir(root, "e")
	b.do(b.desktop, "applied applied applied applied", d, rmdir(d), e, rmdir(e))
	d2 := b.dir(root, "d")
	b.do(b.desktop, "applied applied", d2, b.file(root, "e", "a file now"))
	b.do(b.laptop, "adjusted adjusted", b.file(d.Node, "a", "one"), b.file(e.Node, "b", "two"))
	b.has("d/a", "one")
	if b.at("d").ID != d2.Node {
		t.Error("the directories did not merge")
	}
	b.has("e", "a file now")
	b.has("e (conflict, laptop, 2026-11-23 12.00)/b", "two")

	f := b.file(root, "f", "one")
	b.do(b.desktop, "applied applied", f, unlink(f, f.Version))
	b.clock = b.clock.Add(time.Minute)
	b.do(b.desktop, "applied", b.file(root, "f", "another"))
	b.do(b.laptop, "adjusted", b.write(f, f.Version, "edited"))
	b.has("f", "another")
	b.has("f (conflict, laptop, 2026-11-23 12.01)", "edited")
}

func TestSaveByUnlinkAndCreate(t *testing.T) {
	for _, test := range []struct {
		name  string
		pause time.Duration
		other bool // another device creates
		keeps bool
	}{
		{"at once", 0, false, true},
		{"within ten seconds", 9 * time.Second, false, true},
		{"later", 11 * time.Second, false, false},
		{"by another device", 0, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			old, fresh := b.file(root, "a", "old"), b.file(root, "a", "new")
			b.do(b.laptop, "applied applied", old, unlink(old, old.Version))
			b.clock = b.clock.Add(test.pause - time.Second)
			env := b.laptop
			if test.other {
				env = b.desktop
			}
			b.do(env, "applied", fresh)
			n := b.has("a", "new")
			if keeps := n.Document == old.Node; keeps != test.keeps || n.ID != fresh.Node {
				t.Errorf("document %s of %s", n.Document, n.ID)
			}
			if trashed := b.nodes[old.Node].Trash != (Trash{}); trashed == test.keeps {
				t.Errorf("in the trash: %v", trashed)
			}
		})
	}
	b := newBench(t) // in one batch
	old, fresh := b.file(root, "a", "old"), b.file(root, "a", "new")
	b.do(b.laptop, "applied applied applied", old, unlink(old, old.Version), fresh)
	if b.at("a").Document != old.Node {
		t.Error("in one batch the document did not move")
	}
}

func TestLink(t *testing.T) {
	b := newBench(t)
	f, d := b.file(root, "a", "one"), b.dir(root, "d")
	b.do(b.laptop, "applied applied applied applied", f, d, link(f, d.Node, "b"), link(f, d.Node, "b"))
	if n := b.at("d/b"); n.Nlink != 2 || n.ID != f.Node || b.drive.Files != 1 || b.drive.Bytes != 3 {
		t.Errorf("linked %+v, drive %+v", n, b.drive)
	}
	b.do(b.laptop, "refused:is_a_directory refused:not_found", link(d, root, "x"), link(b.file(root, "q", ""), root, "x"))
	b.do(b.desktop, "applied applied", unlink(f, f.Version), unlink(api.Mutation{Node: f.Node, Parent: d.Node, Name: "b"}, f.Version))
	b.do(b.laptop, "adjusted", link(f, root, "c")) // the other device deleted it
	if n := b.has("c", "one"); n.Nlink != 1 || n.Trash != (Trash{}) {
		t.Errorf("came back as %+v", n)
	}
}

func TestSetattr(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a", "one")
	f.Attr.Xattrs = map[string][]byte{"user.a": []byte("1"), "user.b": []byte("2")}
	mode, uid, mtime := uint32(0o600), int64(33), int64(5)
	set := api.Mutation{Op: api.OpSetattr, Node: f.Node, Attr: &api.Attr{Mode: &mode, UID: &uid, Mtime: &mtime,
		Xattrs: map[string][]byte{"user.a": nil, "user.c": {}}}}
	b.do(b.laptop, "applied applied", f, set)
	n := b.at("a")
	if n.Mode != mode || n.UID != uid || n.GID != api.Self || n.Mtime != mtime || n.Ctime != noon.UnixNano() {
		t.Errorf("node %+v", n)
	}
	if len(n.Xattrs) != 2 || string(n.Xattrs["user.b"]) != "2" || n.Xattrs["user.c"] == nil {
		t.Errorf("extended attributes %v", n.Xattrs)
	}
	big := map[string][]byte{}
	for _, k := range []string{"user.1", "user.2", "user.3"} {
		big[k] = make([]byte, 60<<10)
	}
	more := map[string][]byte{"user.4": make([]byte, 60<<10), "user.5": make([]byte, 60<<10)}
	b.do(b.laptop, "applied refused:too_large",
		api.Mutation{Op: api.OpSetattr, Node: f.Node, Attr: &api.Attr{Xattrs: big}},
		api.Mutation{Op: api.OpSetattr, Node: f.Node, Attr: &api.Attr{Xattrs: more}})
	b.do(b.desktop, "applied", unlink(f, f.Version))
	b.do(b.laptop, "dropped refused:not_found", set, api.Mutation{Op: api.OpSetattr, Node: b.id(), Attr: &api.Attr{Mode: &mode}})
}

func TestQuota(t *testing.T) {
	b := newBench(t)
	b.drive.Quota = 10
	a, c := b.file(root, "a", "12345678"), b.file(root, "c", "123")
	b.do(b.laptop, "applied refused:quota", a, c)
	b.do(b.laptop, "refused:quota applied", b.write(a, a.Version, "12345678901"), b.write(a, a.Version, "12345"))
	b.do(b.laptop, "applied", c)
	b.do(b.laptop, "refused:quota", b.write(a, a.Version, "a copy of an old base")) // would be a conflict copy
}

func TestMissingChunksFailTheBatch(t *testing.T) {
	b := newBench(t)
	f := b.file(root, "a", "one")
	delete(b.laptop.Chunks, f.Version.SHA256)
	if _, _, err := b.Commit(b.laptop, b.dir(root, "d"), f); api.KindOf(err) != api.MissingChunks {
		t.Errorf("error %v", err)
	}
	if len(b.entries) != 0 {
		t.Error("a part of the batch was applied")
	}
	if _, _, err := b.Commit(b.laptop, make([]api.Mutation, api.MaxBatch+1)...); api.KindOf(err) != api.Invalid {
		t.Errorf("too many mutations: %v", err)
	}
}
