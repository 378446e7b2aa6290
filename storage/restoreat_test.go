package storage

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"satchel/api"
)

// picture is the whole drive as people see it: what each path is.
func (d *drive) picture(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	var walk func(dir api.ID, path string)
	walk = func(dir api.ID, path string) {
		for after, more := api.Name(""), true; more; {
			l, err := d.Children(t.Context(), dir, after, 0)
			if err != nil {
				t.Fatal(err)
			}
			nodes := map[api.ID]api.Node{}
			for _, n := range l.Nodes {
				nodes[n.ID] = n
			}
			for _, e := range l.Entries {
				n, at := nodes[e.Node], path+"/"+string(e.Name)
				after = e.Name
				all[at] = fmt.Sprintf("%s %o %s %s %q", n.Type, n.Mode, n.Document, n.SHA256, n.Target)
				if n.Type == api.Directory {
					walk(n.ID, at)
				} else {
					all[at] += fmt.Sprintf(" nlink %d mtime %d", n.Nlink, n.Mtime)
				}
			}
			more = l.More
		}
	}
	walk(d.Root(), "")
	return all
}

// Whatever happens to a drive, going back to a point of its past makes it what
// it was then, and going back to before that undoes it.
func TestRestoreAt(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		d := w.home(t, w.user(t, "editor"))
		type moment struct {
			seq     int64
			picture map[string]string
		}
		moments := []moment{{0, map[string]string{}}}
		m := &pastMachine{T: rt, t: t, d: d}
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			if len(moments) > 2 && rapid.IntRange(0, 5).Draw(rt, "restore") == 0 {
				at := rapid.SampledFrom(moments).Draw(rt, "moment")
				m.restore(at.seq, at.picture)
			} else {
				m.batch()
			}
			moments = append(moments, moment{d.info(t).Seq, d.picture(t)})
		}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(moments)-1), 1, 4).Draw(rt, "points") {
			m.restore(moments[i].seq, moments[i].picture)
		}
		if err := w.wrong(t.Context(), d.ID()); err != nil {
			rt.Fatal(err)
		}
	})
}

// pastMachine draws what happens to a drive.
type pastMachine struct {
	*rapid.T
	t testing.TB
	d *drive
}

func (m *pastMachine) restore(seq int64, want map[string]string) {
	before, at := m.d.picture(m.t), m.d.info(m.t).Seq
	dry, err := m.d.RestoreAt(m.t.Context(), api.Point{Seq: seq}, true)
	if err != nil || !maps.Equal(m.d.picture(m.t), before) || m.d.info(m.t).Seq != at {
		m.Fatalf("a dry restore at %d: %v; it made\n%s\nof\n%s", seq, err, show(m.d.picture(m.t)), show(before))
	}
	done, err := m.d.RestoreAt(m.t.Context(), api.Point{Seq: seq}, false)
	if err != nil {
		m.Fatalf("restore at %d: %v", seq, err)
	}
	if dry.Changed != done.Changed || dry.Point != done.Point || dry.Seq != at {
		m.Fatalf("a dry restore at %d told of %+v, and it was %+v", seq, dry, done)
	}
	if done.Missing != 0 {
		m.Fatalf("restore at %d: %+v", seq, done)
	}
	if got := m.d.picture(m.t); !maps.Equal(got, want) {
		m.Fatalf("restored at %d:\n%s\nnot\n%s", seq, show(got), show(want))
	}
}

func show(picture map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(picture)) {
		fmt.Fprintf(&b, "%s  %s\n", k, picture[k])
	}
	return b.String()
}

// entryAt is an entry that was drawn.
type entryAt struct {
	parent api.ID
	name   api.Name
	node   api.Node
}

func (m *pastMachine) entries() (all []entryAt, dirs []api.ID) {
	dirs = []api.ID{m.d.Root()}
	for i := 0; i < len(dirs); i++ {
		l, err := m.d.Children(m.t.Context(), dirs[i], "", 0)
		if err != nil {
			m.Fatal(err)
		}
		nodes := map[api.ID]api.Node{}
		for _, n := range l.Nodes {
			nodes[n.ID] = n
		}
		for _, e := range l.Entries {
			all = append(all, entryAt{e.Parent, e.Name, nodes[e.Node]})
			if nodes[e.Node].Type == api.Directory {
				dirs = append(dirs, e.Node)
			}
		}
	}
	return all, dirs
}

// batch does one to three things that programs do.
func (m *pastMachine) batch() {
	var batch []api.Mutation
	all, dirs := m.entries()
	for range rapid.IntRange(1, 3).Draw(m.T, "mutations") {
		dir := rapid.SampledFrom(dirs).Draw(m.T, "dir")
		name := api.Name(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.T, "name"))
		mu := api.Mutation{Parent: dir, Name: name, Time: time.Now().UnixNano()}
		kind := rapid.IntRange(0, 9).Draw(m.T, "what")
		if len(all) == 0 {
			kind %= 3
		}
		if kind < 3 {
			switch mu = m.d.createFile(m.t, dir, name, rapid.SampledFrom([]string{"", "x", "yy"}).Draw(m.T, "content")); kind {
			case 1:
				mu = createDir(dir, name)
			case 2:
				mu = createDir(dir, name)
				mu.Attr = &api.Attr{Type: api.Symlink, Target: "somewhere"}
			}
			batch = append(batch, mu)
			continue
		}
		e := rapid.SampledFrom(all).Draw(m.T, "entry")
		other := rapid.SampledFrom(all).Draw(m.T, "other")
		mu.Node, mu.Parent, mu.Name = e.node.ID, e.parent, e.name
		switch kind {
		case 3:
			mu.Op, mu.Parent, mu.Name = api.OpLink, dir, name
		case 4, 5:
			mu.Op, mu.Base = api.OpUnlink, e.node.Version
			if e.node.Type == api.Directory {
				mu.Op = api.OpRmdir
			}
		case 6, 7:
			mu.Op, mu.ToParent, mu.ToName = api.OpRename, dir, name
			for _, o := range all {
				if o.parent == dir && o.name == name {
					mu.Replaces, mu.Base = o.node.ID, o.node.Version
				}
			}
		case 8:
			mu.Op, mu.ToParent, mu.ToName, mu.Replaces = api.OpExchange, other.parent, other.name, other.node.ID
		case 9:
			mode := uint32(rapid.SampledFrom([]int{0o600, 0o755}).Draw(m.T, "mode"))
			mu.Op, mu.Attr = api.OpSetattr, &api.Attr{Mode: &mode}
			if e.node.Type == api.File {
				mu.Op, mu.Base, mu.Version = api.OpWrite, e.node.Version, m.d.content(m.t, rapid.SampledFrom([]string{"", "zzz"}).Draw(m.T, "content"))
			}
		}
		batch = append(batch, mu)
	}
	m.d.commit(m.t, batch...)
}

// What was emptied out of the trash stays gone, and the rest comes back.
func TestRestoreAtWithoutWhatIsGone(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	for _, p := range []string{"top/sub/gone", "top/sub/moved", "stays"} {
		d.store(t, p, p)
	}
	seq := d.info(t).Seq
	moved, sub := d.lookup(t, "top/sub/moved"), d.lookup(t, "top/sub")
	d.commit(t, api.Mutation{Op: api.OpRename, Node: moved.ID, Parent: sub.ID, Name: "moved", ToParent: d.Root(), ToName: "elsewhere", Time: 1})
	for _, p := range []string{"top/sub/gone", "top/sub", "top"} {
		d.unlink(t, p)
	}
	if _, err := d.EmptyTrash(t.Context()); err != nil {
		t.Fatal(err)
	}
	done, err := d.RestoreAt(t.Context(), api.Point{Seq: seq}, false)
	if err != nil || done.Missing != 1 {
		t.Fatalf("restored %+v, %v", done, err)
	}
	if got := show(d.picture(t)); strings.Count(got, "\n") != 4 || d.read(t, "top/sub/moved") != "top/sub/moved" {
		t.Errorf("restored\n%s", got)
	}
	w.verify(t, d.ID())
	for _, bad := range []api.Point{{Seq: done.Seq + 1}, {Seq: -1}, {Time: time.Now().Add(time.Hour)}} {
		if _, err := d.RestoreAt(t.Context(), bad, false); api.KindOf(err) != api.Invalid {
			t.Errorf("restore at %+v: %v", bad, err)
		}
	}
	if done, err := d.RestoreAt(t.Context(), api.Point{Time: time.Now()}, false); err != nil || done.Changed != 0 {
		t.Errorf("restore at now: %+v, %v", done, err)
	}
}

// What a restore takes away is in the trash as what somebody deleted: a directory with all that was in it.
func TestRestoreAtLeavesWholeDirectories(t *testing.T) {
	w := newWorld(t)
	d := w.home(t, w.user(t, "editor"))
	d.store(t, "stays", "0")
	seq := d.info(t).Seq
	for _, p := range []string{"top/a", "top/sub/b", "top/sub/below/c", "other/d"} {
		d.store(t, p, p)
	}
	if _, err := d.RestoreAt(t.Context(), api.Point{Seq: seq}, false); err != nil {
		t.Fatal(err)
	}
	page, err := d.Trash(t.Context(), 0, 0)
	if err != nil || len(page.Items) != 2 {
		t.Fatalf("in the trash %+v, %v", page, err)
	}
	for _, gone := range page.Items {
		if _, err := d.RestoreTrash(t.Context(), gone.Node); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"top/a", "top/sub/b", "top/sub/below/c", "other/d"} {
		if got := d.read(t, p); got != p {
			t.Errorf("%s: %q", p, got)
		}
	}
	w.verify(t, d.ID())
	if _, err := d.RestoreAt(t.Context(), api.Point{Time: time.Now().AddDate(-20, 0, 0)}, false); api.KindOf(err) != api.Invalid {
		t.Errorf("restore at a time before the drive was there: %v", err)
	}
}
