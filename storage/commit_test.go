package storage

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"satchel/api"
)

func TestCommit(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	dir := createDir(d.Root(), "docs")
	file := d.createFile(t, dir.Node, "letter \xff.txt", "Dear Sir")
	file.Attr.Xattrs = map[string][]byte{"user.note": {0, 1, 2}, "user.empty": {}}
	link := createDir(dir.Node, "link")
	link.Attr = &api.Attr{Type: api.Symlink, Target: "letter \xff.txt"}
	c := d.commit(t, dir, file, link)
	if got := fmt.Sprint(statuses(c)); got != "[applied applied applied]" || c.Seq != 3 || c.Epoch.IsZero() {
		t.Fatalf("committed %+v", c)
	}
	if got := d.read(t, "docs/letter \xff.txt"); got != "Dear Sir" {
		t.Errorf("read %q", got)
	}
	n, err := d.Node(t.Context(), file.Node)
	if err != nil {
		t.Fatal(err)
	}
	want := api.Node{
		ID: file.Node, Type: api.File, Mode: 0o644, UID: api.Self, GID: api.Self, Nlink: 1, Size: 8,
		Mtime: file.Time, Ctime: file.Time, Btime: file.Time, Xattrs: file.Attr.Xattrs,
		Version: file.Version.ID, SHA256: file.Version.SHA256, Document: file.Node, Rev: 2,
	}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("the node is %+v, not %+v", n, want)
	}
	if n, err := d.Lookup(t.Context(), []api.Name{"docs", "link"}); err != nil || n.Target != link.Attr.Target || n.Size != 12 {
		t.Errorf("the symlink is %+v, %v", n, err)
	}
	move := api.Mutation{Op: api.OpRename, Node: file.Node, Parent: dir.Node, Name: file.Name, ToParent: d.Root(), ToName: "b", Time: 1}
	d.commit(t, move, api.Mutation{Op: api.OpWrite, Node: file.Node, Parent: d.Root(), Name: "b", Base: file.Version.ID, Version: d.content(t, ""), Time: 2})
	if got := d.read(t, "b"); got != "" {
		t.Errorf("read %q", got)
	}
	c = d.commit(t,
		api.Mutation{Op: api.OpUnlink, Node: link.Node, Parent: dir.Node, Name: "link", Time: 3},
		api.Mutation{Op: api.OpRmdir, Node: dir.Node, Parent: d.Root(), Name: "docs", Time: 4})
	if _, err := d.Node(t.Context(), dir.Node); api.KindOf(err) != api.NotFound {
		t.Errorf("a deleted directory: %v", err)
	}
	again := d.createFile(t, dir.Node, "late", "brings it back")
	if c = d.commit(t, again); c.Outcomes[0].Status != api.Adjusted || len(c.Nodes) < 3 {
		t.Errorf("committed %+v", c)
	}
	d.read(t, "docs/late")
	w.verify(t, d.ID())
}

func TestABatchIsAppliedOnce(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	d, other := w.home(t, me), w.home(t, me.device("desktop"))
	other.commit(t, createDir(d.Root(), "taken"))
	batch := api.Batch{Incarnation: d.incarnation, Number: 1, Mutations: []api.Mutation{
		d.createFile(t, d.Root(), "taken", "mine"), d.createFile(t, d.Root(), "free", "mine too"),
	}}
	first, err := d.Commit(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	copied := first.Outcomes[0].Conflict
	other.commit(t, api.Mutation{Op: api.OpUnlink, Node: copied, Parent: d.Root(), Name: first.Outcomes[0].Name, Time: 1})
	second, err := d.Commit(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(first.Outcomes, second.Outcomes) {
		t.Errorf("answered %+v, then %+v", first.Outcomes, second.Outcomes)
	}
	if second.Seq != first.Seq+1 || !contains(first.Nodes, copied) || contains(second.Nodes, copied) {
		t.Errorf("the state sent again is not that of now: %+v", second.State)
	}
	batch.Number, batch.Mutations = 2, nil
	if _, err := d.Commit(t.Context(), batch); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
	for _, bad := range []api.Batch{
		{Incarnation: d.incarnation, Number: 1, Mutations: nil},
		{Incarnation: d.incarnation, Number: 2, Mutations: []api.Mutation{{}}},
		{Incarnation: d.incarnation, Number: 0},
		{Number: 3},
		{Incarnation: d.incarnation, Number: 3, Mutations: make([]api.Mutation, api.MaxBatch+1)},
	} {
		if _, err := d.Commit(t.Context(), bad); api.KindOf(err) != api.Invalid {
			t.Errorf("batch %d of %d: %v", bad.Number, len(bad.Mutations), err)
		}
	}
	w.verify(t, d.ID())
}

func contains(nodes []api.Node, id api.ID) bool {
	for _, n := range nodes {
		if n.ID == id {
			return true
		}
	}
	return false
}

func TestMissingChunksFailTheBatch(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	theirs := w.home(t, w.user(t, "editor"))
	file := theirs.createFile(t, d.Root(), "secret", "somebody else's chunk")
	_, err := d.Commit(t.Context(), api.Batch{Incarnation: d.incarnation, Number: 1, Mutations: []api.Mutation{createDir(d.Root(), "a"), file}})
	if api.KindOf(err) != api.MissingChunks {
		t.Errorf("error %v", err)
	}
	if _, err := d.Lookup(t.Context(), []api.Name{"a"}); api.KindOf(err) != api.NotFound {
		t.Errorf("a part of the batch was applied: %v", err)
	}
	if info, _ := d.Info(t.Context()); info.Seq != 0 {
		t.Errorf("the drive is at %d", info.Seq)
	}
}

// A mutation with text that PostgreSQL can't hold must not spoil its batch.
func TestForeignNonsenseDoesNotSpoilTheBatch(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	bad := createDir(d.Root(), "a\x00b")
	worse := createDir(d.Root(), "target")
	worse.Attr = &api.Attr{Type: api.Symlink, Target: "\x00"}
	c := d.commit(t, bad, worse, createDir(d.Root(), api.Name(strings.Repeat("x", 256))), api.Mutation{Op: "?"}, createDir(d.Root(), "good"))
	if got := fmt.Sprint(statuses(c)); got != "[refused refused refused refused applied]" {
		t.Errorf("committed %s", got)
	}
	// A node of another drive is none of this one.
	other := w.home(t, w.user(t, "editor"))
	file := other.createFile(t, other.Root(), "theirs", "x")
	other.commit(t, file)
	c = d.commit(t, api.Mutation{Op: api.OpLink, Node: file.Node, Parent: d.Root(), Name: "mine"},
		api.Mutation{Op: api.OpUnlink, Node: file.Node, Parent: other.Root(), Name: "theirs", Base: file.Version.ID})
	if c.Outcomes[0].Kind != api.NotFound {
		t.Errorf("another drive's node: %+v", c.Outcomes)
	}
	other.read(t, "theirs")
	// The same id in two drives is two nodes.
	file.Parent, file.Version = d.Root(), d.content(t, "x")
	if c = d.commit(t, file); c.Outcomes[0].Status != api.Applied {
		t.Errorf("an id that another drive has: %+v", c.Outcomes)
	}
	w.verify(t, d.ID())
}

func TestDevicesCommitAtOnce(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	const devices, batches, size = 4, 10, 20
	drives := make([]*drive, devices)
	for i := range drives {
		drives[i] = w.home(t, me.device(fmt.Sprint("device ", i)))
	}
	var all sync.WaitGroup
	for i, d := range drives {
		all.Go(func() {
			for b := range batches {
				var batch []api.Mutation
				for j := range size {
					batch = append(batch, createDir(d.Root(), api.Name(fmt.Sprintf("%d.%d.%d", i, b, j))))
				}
				batch = append(batch, createDir(d.Root(), "shared"))
				d.number++
				if _, err := d.Commit(t.Context(), api.Batch{Incarnation: d.incarnation, Number: d.number, Mutations: batch}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	info, err := drives[0].Info(t.Context())
	if want := int64(devices*batches*size + 1); err != nil || info.Seq != want {
		t.Errorf("the drive is at %d, not %d: %v", info.Seq, want, err)
	}
	w.verify(t, drives[0].ID())
}

func TestHomeIsMadeOnce(t *testing.T) {
	w := newWorld(t)
	me := w.user(t, "editor")
	ids := make([]api.ID, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			info, err := w.EnsureHome(t.Context(), me.User)
			if err != nil {
				t.Error(err)
			}
			ids[i] = info.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || id.IsZero() {
			t.Errorf("homes %v", ids)
		}
	}
	if drives, err := w.Drives(t.Context(), me); err != nil || len(drives) != 1 {
		t.Errorf("drives %v, %v", drives, err)
	}
	if _, err := w.Home(t.Context(), w.user(t, "admin")); api.KindOf(err) != api.Permission {
		t.Errorf("an admin's home: %v", err)
	}
	if _, err := w.Drive(t.Context(), w.user(t, "editor"), ids[0]); api.KindOf(err) != api.NotFound {
		t.Errorf("another one's drive: %v", err)
	}
	if _, err := w.Drive(t.Context(), w.user(t, "admin"), ids[0]); api.KindOf(err) != api.NotFound {
		t.Errorf("a drive, for an admin: %v", err)
	}
}

// Random batches of two devices that don't know of each other leave the rows whole.
func TestRandomBatchesLeaveTheRowsWhole(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		me := w.user(t, "editor")
		devices := []*drive{w.home(t, me), w.home(t, me.device("desktop"))}
		nodes := map[api.ID]api.Mutation{} // by the mutation that made them
		dirs, files := []api.ID{devices[0].Root()}, []api.ID(nil)
		versions := []*api.Version{devices[0].content(t, "one"), devices[0].content(t, "a second"), devices[0].content(t, "")}
		version := func() *api.Version {
			v := *rapid.SampledFrom(versions).Draw(rt, "content")
			v.ID = api.NewID()
			return &v
		}
		now := time.Now().UnixNano()
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			d := rapid.SampledFrom(devices).Draw(rt, "device")
			var batch []api.Mutation
			for range rapid.IntRange(1, 8).Draw(rt, "mutations") {
				now += 1e9
				name := api.Name(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name"))
				to := rapid.SampledFrom(dirs).Draw(rt, "directory")
				m := createDir(to, name)
				switch op := rapid.IntRange(0, 8).Draw(rt, "op"); {
				case op < 2:
					nodes[m.Node], dirs = m, append(dirs, m.Node)
				case op < 4 || len(files) == 0:
					m.Attr, m.Version = &api.Attr{Type: api.File}, version()
					nodes[m.Node], files = m, append(files, m.Node)
				default:
					m = nodes[rapid.SampledFrom(append(files, dirs[1:]...)).Draw(rt, "node")]
					old := m.Version
					m.Version, m.Attr = nil, nil
					if old != nil {
						m.Base = old.ID
					}
					switch op {
					case 4:
						m.Op, m.Version = api.OpWrite, version()
					case 5:
						m.Op = api.OpUnlink
						if old == nil {
							m.Op = api.OpRmdir
						}
					case 6:
						m.Op, m.Parent, m.Name = api.OpLink, to, name
					default:
						m.Op, m.ToParent, m.ToName = api.OpRename, to, name
						m.Replaces, m.Base = rapid.SampledFrom(append(files, dirs...)).Draw(rt, "replaces"), api.ID{}
						at := nodes[m.Node]
						at.Parent, at.Name = to, name
						nodes[m.Node] = at
					}
				}
				m.Time = now
				batch = append(batch, m)
			}
			d.commit(t, batch...)
		}
		if err := w.wrong(t.Context(), devices[0].ID()); err != nil {
			rt.Fatal(err)
		}
	})
}
