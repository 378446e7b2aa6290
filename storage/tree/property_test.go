package tree

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"satchel/api"
)

// view is a device: what it saw last, and what it makes of it.
type view struct {
	device api.ID
	name   string
	seen   *Memory
}

// machine draws mutations from views that are out of date.
type machine struct {
	*rapid.T
	server *Memory
	clock  int64
	ids    uint32
	chunks map[api.Hash]uint32
}

func (m *machine) id() api.ID {
	m.ids++
	return api.ID{0: 0x01, 12: byte(m.ids >> 24), 13: byte(m.ids >> 16), 14: byte(m.ids >> 8), 15: byte(m.ids)}
}

func (m *machine) version() *api.Version {
	id := m.id()
	h := api.Hash(sha256.Sum256(id[:]))
	size := uint32(rapid.IntRange(1, 100).Draw(m.T, "size"))
	m.chunks[h] = size
	return &api.Version{ID: id, Size: int64(size), SHA256: h, Chunks: []api.Chunk{{Hash: h, Size: size}}}
}

// pick draws one of the nodes that a filter accepts, in an order that does not
// depend on the map's.
func (m *machine) pick(d *Memory, label string, accept func(Inode) bool) (Inode, bool) {
	var ids []api.ID
	for id, n := range d.nodes {
		if accept(n) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return Inode{}, false
	}
	slices.SortFunc(ids, func(a, b api.ID) int { return slices.Compare(a[:], b[:]) })
	return d.nodes[rapid.SampledFrom(ids).Draw(m.T, label)], true
}

func (m *machine) entry(d *Memory, label string) (Entry, bool) {
	keys := slices.SortedFunc(maps.Keys(d.entries), compareKeys)
	if len(keys) == 0 {
		return Entry{}, false
	}
	k := rapid.SampledFrom(keys).Draw(m.T, label)
	return Entry{k, d.entries[k]}, true
}

func (m *machine) name() api.Name {
	return api.Name(rapid.SampledFrom([]string{"a", "b.txt", "c"}).Draw(m.T, "name"))
}

// mutation is what a program on the device could do to what it sees.
func (m *machine) mutation(d *Memory) (api.Mutation, bool) {
	m.clock += int64(rapid.SampledFrom([]int{1, 1e9, 20e9}).Draw(m.T, "pause"))
	mu := api.Mutation{Time: m.clock, Conflict: m.id()}
	dir, _ := m.pick(d, "parent", func(n Inode) bool { return n.Type == api.Directory && n.Live() })
	e, some := m.entry(d, "entry")
	n := d.nodes[e.Node]
	mu.Op = rapid.SampledFrom([]api.Op{
		api.OpCreate, api.OpCreate, api.OpCreate, api.OpLink, api.OpUnlink, api.OpRmdir,
		api.OpRename, api.OpRename, api.OpRename, api.OpExchange, api.OpSetattr, api.OpWrite, api.OpWrite,
	}).Draw(m.T, "op")
	if mu.Op != api.OpCreate && !some {
		return mu, false
	}
	mu.Node, mu.Parent, mu.Name = e.Node, e.Parent, e.Name
	switch mu.Op {
	case api.OpCreate:
		mu.Node, mu.Parent, mu.Name = m.id(), dir.ID, m.name()
		mu.Attr = &api.Attr{Type: rapid.SampledFrom([]api.Type{api.File, api.File, api.Directory, api.Symlink}).Draw(m.T, "type")}
		switch mu.Attr.Type {
		case api.File:
			mu.Version = m.version()
		case api.Symlink:
			mu.Attr.Target = "somewhere"
		}
	case api.OpLink:
		mu.Parent, mu.Name = dir.ID, m.name()
		return mu, n.Type != api.Directory
	case api.OpUnlink:
		mu.Base = n.Version
		return mu, n.Type != api.Directory
	case api.OpRmdir:
		return mu, n.Type == api.Directory
	case api.OpRename:
		mu.ToParent, mu.ToName = dir.ID, m.name()
		mu.Replaces = d.entries[Key{mu.ToParent, mu.ToName}]
		mu.Base = d.nodes[mu.Replaces].Version
	case api.OpExchange:
		other, _ := m.entry(d, "other")
		mu.ToParent, mu.ToName, mu.Replaces = other.Parent, other.Name, other.Node
	case api.OpSetattr:
		mode := uint32(rapid.IntRange(0, 0o777).Draw(m.T, "mode"))
		mu.Attr = &api.Attr{Mode: &mode}
	case api.OpWrite:
		mu.Base, mu.Version = n.Version, m.version()
		return mu, n.Type == api.File
	}
	return mu, true
}

// lost is the content that no name leads to any more.
func lost(before, after *Memory) []api.ID {
	was, is := before.liveVersions(), after.liveVersions()
	var ids []api.ID
	for v := range was {
		if !is[v] {
			ids = append(ids, v)
		}
	}
	return ids
}

// Whatever two devices with stale views do, the drive stays a tree whose
// counters are right, content disappears only if its author knew it, and a
// batch does what its mutations do one by one.
func TestTwoDevices(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{T: rt, server: NewMemory(root), chunks: map[api.Hash]uint32{}}
		views := []*view{
			{device: api.ID{0xd1}, name: "laptop", seen: m.server.Clone()},
			{device: api.ID{0xd2}, name: "desk/top\n", seen: m.server.Clone()},
		}
		for range rapid.IntRange(1, 25).Draw(rt, "batches") {
			v := rapid.SampledFrom(views).Draw(rt, "device")
			env := Env{Device: v.device, DeviceName: v.name, Chunks: m.chunks}
			local := v.seen.Clone() // the batch is made on the device's own view
			var batch []api.Mutation
			for range rapid.IntRange(1, 5).Draw(rt, "mutations") {
				mu, ok := m.mutation(local)
				if !ok {
					continue
				}
				if outcomes, _, err := local.Commit(env, mu); err != nil {
					rt.Fatalf("on the device: %v", err)
				} else if outcomes[0].Status == api.Applied {
					batch = append(batch, mu)
				}
			}
			m.run(env, batch)
			if rapid.Bool().Draw(rt, "syncs") {
				v.seen = m.server.Clone()
			}
		}
	})
}

// run commits a batch whole and, on a copy, one by one.
func (m *machine) run(env Env, batch []api.Mutation) {
	single, before := m.server.Clone(), m.server.Clone()
	outcomes, set, err := m.server.Commit(env, batch...)
	if err != nil {
		m.Fatalf("%v\nbatch %+v", err, batch)
	}
	asAsked := true
	known := map[api.ID]bool{}
	for i, mu := range batch {
		m.Logf("%+v → %+v", mu, outcomes[i])
		asAsked = asAsked && outcomes[i].Status == api.Applied
		known[mu.Base] = true
		if outcomes[i].Status == api.Refused && outcomes[i].Kind == api.Internal {
			m.Fatalf("refused for a fault of ours: %s", outcomes[i].Message)
		}
	}
	for _, id := range lost(before, m.server) {
		if !known[id] {
			m.Fatalf("the content %s is lost", id)
		}
	}
	m.covers(before, outcomes, set, batch)
	for _, mu := range batch {
		step := single.Clone()
		if _, _, err := single.Commit(env, mu); err != nil {
			m.Fatalf("one by one: %v", err)
		}
		for _, id := range lost(step, single) {
			if id != mu.Base {
				m.Fatalf("the content %s is lost by %+v", id, mu)
			}
		}
	}
	if asAsked && !single.equal(m.server) {
		m.Fatalf("the batch and its mutations one by one differ:\n%s\n%s", dump(m.server), dump(single))
	}
}

// covers: what changed otherwise than asked is in the answer, and every new
// version that was not refused can be read.
func (m *machine) covers(before *Memory, outcomes []api.Outcome, set *Set, batch []api.Mutation) {
	if len(batch) != 1 {
		return
	}
	o := outcomes[0]
	if v := batch[0].Version; v != nil && (o.Status == api.Applied || o.Status == api.Adjusted) && !m.server.liveVersions()[v.ID] {
		m.Fatalf("the content that was written is nowhere: %+v", o)
	}
	if o.Status == api.Refused || o.Status == api.Dropped {
		if o.Seq != 0 || !m.server.equal(before) {
			m.Fatalf("%s, but something changed", o.Status)
		}
	}
	if o.Status != api.Adjusted {
		return
	}
	touched := set.Touched()
	for id, n := range m.server.nodes {
		if old, ok := before.nodes[id]; (!ok || old.Rev != n.Rev) && !slices.Contains(touched.Nodes, id) {
			m.Fatalf("the node %s changed and is not in the answer", id)
		}
	}
	for k, id := range m.server.entries {
		if before.entries[k] != id && !slices.Contains(touched.Entries, k) {
			m.Fatalf("the entry %v changed and is not in the answer", k)
		}
	}
}

func dump(d *Memory) string {
	s := fmt.Sprintf("%+v\n", d.drive)
	for _, k := range slices.SortedFunc(maps.Keys(d.entries), compareKeys) {
		s += fmt.Sprintf("%v → %+v\n", k, d.nodes[d.entries[k]])
	}
	return s
}

func (d *Memory) equal(o *Memory) bool {
	return d.drive == o.drive && maps.Equal(d.entries, o.entries) && reflect.DeepEqual(d.nodes, o.nodes)
}

// liveVersions is the content that can be read under some name.
func (d *Memory) liveVersions() map[api.ID]bool {
	live := map[api.ID]bool{}
	for _, n := range d.nodes {
		if n.Type == api.File && n.Live() {
			live[n.Version] = true
		}
	}
	return live
}
