package tree

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"satchel/api"
)

// root is the id of every test's root directory.
var root = api.ID{15: 1}

// noon is the time of the first mutation of every test.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// bench is a drive with two devices that act in turn.
type bench struct {
	*testing.T
	*Memory
	laptop, desktop Env
	clock           time.Time
	last            *Set
	next            byte
}

func newBench(t *testing.T) *bench {
	chunks := map[api.Hash]uint32{}
	return &bench{
		T: t, Memory: NewMemory(root), clock: noon,
		laptop:  Env{Device: api.ID{0xd1}, DeviceName: "laptop", Chunks: chunks},
		desktop: Env{Device: api.ID{0xd2}, DeviceName: "desktop", Chunks: chunks},
	}
}

func (b *bench) id() api.ID {
	b.next++
	return api.ID{0: 0xaa, 15: b.next}
}

// content is a version whose content is the text.
func (b *bench) content(text string) *api.Version {
	h := api.Hash(sha256.Sum256([]byte(text)))
	v := &api.Version{ID: b.id(), Size: int64(len(text)), SHA256: h}
	if text != "" {
		v.Chunks = []api.Chunk{{Hash: h, Size: uint32(len(text))}}
		b.laptop.Chunks[h] = uint32(len(text))
	}
	return v
}

func (b *bench) file(parent api.ID, name api.Name, text string) api.Mutation {
	return api.Mutation{Op: api.OpCreate, Node: b.id(), Parent: parent, Name: name, Attr: &api.Attr{Type: api.File}, Version: b.content(text)}
}

func (b *bench) dir(parent api.ID, name api.Name) api.Mutation {
	return api.Mutation{Op: api.OpCreate, Node: b.id(), Parent: parent, Name: name, Attr: &api.Attr{Type: api.Directory}}
}

func (b *bench) write(of api.Mutation, base *api.Version, text string) api.Mutation {
	return api.Mutation{Op: api.OpWrite, Node: of.Node, Parent: of.Parent, Name: of.Name, Base: base.ID, Version: b.content(text), Conflict: b.id()}
}

func unlink(of api.Mutation, base *api.Version) api.Mutation {
	return api.Mutation{Op: api.OpUnlink, Node: of.Node, Parent: of.Parent, Name: of.Name, Base: base.ID}
}

func rmdir(of api.Mutation) api.Mutation {
	return api.Mutation{Op: api.OpRmdir, Node: of.Node, Parent: of.Parent, Name: of.Name}
}

func rename(of api.Mutation, to api.ID, name api.Name) api.Mutation {
	return api.Mutation{Op: api.OpRename, Node: of.Node, Parent: of.Parent, Name: of.Name, ToParent: to, ToName: name}
}

func over(m api.Mutation, target api.Mutation, base *api.Version) api.Mutation {
	m.Replaces, m.Base = target.Node, base.ID
	return m
}

func link(of api.Mutation, to api.ID, name api.Name) api.Mutation {
	return api.Mutation{Op: api.OpLink, Node: of.Node, Parent: to, Name: name}
}

// do commits a batch, at which a second passes, and wants these statuses.
func (b *bench) do(env Env, want string, batch ...api.Mutation) []api.Outcome {
	b.Helper()
	for i := range batch {
		if batch[i].Time == 0 {
			batch[i].Time = b.clock.UnixNano()
		}
	}
	b.clock = b.clock.Add(time.Second)
	outcomes, set, err := b.Commit(env, batch...)
	if err != nil {
		b.Fatal(err)
	}
	b.last = set
	got := make([]string, len(outcomes))
	for i, o := range outcomes {
		got[i] = string(o.Status)
		if o.Kind != "" {
			got[i] += ":" + string(o.Kind)
		}
	}
	if s := strings.Join(got, " "); s != want {
		b.Fatalf("the batch became %q, not %q: %+v", s, want, outcomes)
	}
	return outcomes
}

// at is the live node at a path, or a fatal error.
func (b *bench) at(path string) Inode {
	b.Helper()
	names, _ := api.ParsePath(path)
	id := root
	for _, n := range names {
		id = b.entries[Key{id, n}]
	}
	n, ok := b.nodes[id]
	if !ok {
		b.Fatalf("%s is missing in\n%s", path, dump(b.Memory))
	}
	return n
}

// has wants a file with this content at a path.
func (b *bench) has(path, text string) Inode {
	b.Helper()
	n := b.at(path)
	if n.SHA256 != api.Hash(sha256.Sum256([]byte(text))) {
		b.Fatalf("%s does not have the content %q", path, text)
	}
	return n
}

// entriesIn wants so many names in a directory.
func (b *bench) entriesIn(dir api.ID, want int) {
	b.Helper()
	got := 0
	for k := range b.entries {
		if k.Parent == dir {
			got++
		}
	}
	if got != want {
		b.Fatalf("%d entries, not %d:\n%s", got, want, dump(b.Memory))
	}
}
