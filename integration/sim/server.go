// Package sim is a server without a database and a network: the real rules of package
// storage/tree on a drive in memory, with the change feed, the packs and the answers to batches around them as
// package storage has them. The simulation of sync runs whole lives of devices against it in
// milliseconds; TestServersAgree holds it to what a real server answers.
package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage/tree"
)

// Server is one drive. It is safe for concurrent use, and never waits with its lock held.
type Server struct {
	mu     sync.Mutex
	now    past
	epochs byte          // how often it was restored
	woken  chan struct{} // closed at the next change
}

// past is all that a server keeps.
type past struct {
	drive     *tree.Memory
	chunks    map[api.Hash][]byte
	answers   map[life]answer
	changes   []change
	forgotten int64
	former    []api.Former
}

// life is one life of a device's cache.
type life struct{ device, incarnation api.ID }

type answer struct {
	number   uint64
	outcomes []api.Outcome
	touched  tree.Touched
}

type change struct {
	tree.Change
	life api.ID // whose own feed leaves it out; zero: nobody's
}

// New is a server with an empty drive.
func New(root api.ID) *Server {
	s := &Server{woken: make(chan struct{})}
	s.now = past{drive: tree.NewMemory(root), chunks: map[api.Hash][]byte{}, answers: map[life]answer{}}
	s.now.drive.Renew(api.ID{0: 0xe0, 15: 1})
	return s
}

func (p past) clone() past {
	p.drive, p.chunks, p.answers, p.changes, p.former = p.drive.Clone(), maps.Clone(p.chunks), maps.Clone(p.answers), slices.Clone(p.changes), slices.Clone(p.former)
	return p
}

// Forget makes a gap in the feed: all changes so far are forgotten.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.forgotten, s.now.changes = s.now.drive.Drive().Seq, nil
}

// Backup is the drive as it is now; restore makes it that again, with another epoch.
func (s *Server) Backup() (restore func()) {
	return s.kept(func() {
		s.epochs++
		epoch, seq := s.point()
		s.now.former = append(s.now.former, api.Former{Epoch: epoch, Seq: seq})
		s.now.drive.Renew(api.ID{0: 0xe0, 14: s.epochs, 15: 1})
	})
}

// Aside is the server as it is now; back puts it in its place again, after another one was there.
func (s *Server) Aside() (back func()) { return s.kept(func() {}) }

// kept is the server as it is now; back makes it that again, and calls then before anybody hears of it.
func (s *Server) kept(then func()) (back func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.now.clone()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now = was.clone()
		then()
		s.wake()
	}
}

func (s *Server) wake() {
	close(s.woken)
	s.woken = make(chan struct{})
}

// commit applies a batch of a device as storage.Drive.Commit does.
func (s *Server) commit(device api.ID, name string, b api.Batch) (c api.Committed, err error) {
	if b.Incarnation.IsZero() || b.Number == 0 {
		return c, api.Errorf(api.Invalid, "a batch needs an incarnation and a number from 1")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := life{device, b.Incarnation}
	last := s.now.answers[key]
	switch {
	case b.Number > last.number:
		own := b.Incarnation
		if b.Echo {
			own = api.ID{}
		}
		if last, err = s.apply(device, name, own, b.Mutations); err != nil {
			return c, err
		}
		last.number = b.Number
		s.now.answers[key] = last
	case b.Number < last.number || len(last.outcomes) != len(b.Mutations):
		return c, api.Errorf(api.Invalid, "batch %d is not the last one, %d, sent again", b.Number, last.number)
	}
	c.Outcomes = slices.Clone(last.outcomes)
	if len(last.touched.Nodes) > 0 {
		c.State = s.state(last.touched)
	}
	c.Epoch, c.Seq = s.point()
	return c, nil
}

// apply applies mutations; own is whose feed leaves them out.
func (s *Server) apply(device api.ID, name string, own api.ID, batch []api.Mutation) (answer, error) {
	lengths := map[api.Hash]uint32{}
	for h, b := range s.now.chunks {
		lengths[h] = uint32(len(b))
	}
	seq := s.now.drive.Drive().Seq
	outcomes, set, err := s.now.drive.Commit(tree.Env{Device: device, DeviceName: name, Chunks: lengths}, batch...)
	if err != nil {
		return answer{}, err
	}
	for _, c := range set.Diff().Changes {
		s.now.changes = append(s.now.changes, change{c, own})
	}
	if s.now.drive.Drive().Seq > seq {
		s.wake()
	}
	return answer{outcomes: outcomes, touched: set.Touched()}, nil
}

func (s *Server) point() (epoch api.ID, seq int64) {
	d := s.now.drive.Drive()
	return d.Epoch, d.Seq
}

// state is how nodes and entries are now.
func (s *Server) state(t tree.Touched) (state api.State) {
	state.Epoch, state.Seq = s.point()
	wanted := map[api.ID]bool{}
	for _, id := range t.Nodes {
		wanted[id] = true
	}
	for _, k := range t.Entries {
		e := api.EntryState{Parent: k.Parent, Name: k.Name, Node: s.now.drive.Entry(k)}
		state.Entries = append(state.Entries, e)
		if !e.Node.IsZero() {
			wanted[e.Node] = true
		}
	}
	for id := range wanted {
		if n, ok := s.now.drive.Node(id); ok && n.Live() {
			state.Nodes = append(state.Nodes, n.Node)
		} else {
			state.Gone = append(state.Gone, id)
		}
	}
	return state
}

// changesAfter is a page of the feed of a life; a nil channel means that it is not empty.
func (s *Server) changesAfter(life, epoch api.ID, after int64) (c api.Changes, woken <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, seq := s.point()
	if epoch != now || after < s.now.forgotten || after > seq {
		return c, nil, api.Errorf(api.Resync, "the drive has no such point in its history: list it again")
	}
	var t tree.Touched
	for _, l := range s.now.changes {
		if l.Seq > after && (l.life != life || l.life.IsZero()) {
			t.Nodes = append(t.Nodes, l.Node, l.From.Parent, l.To.Parent, l.Other)
			t.Entries = append(t.Entries, l.From, l.To)
		}
	}
	if t = t.Unique(); len(t.Nodes) == 0 {
		c.Epoch, c.Seq = now, seq
		return c, s.woken, nil
	}
	c.State = s.state(t)
	return c, nil, nil
}

// content is the bytes of a version of a file.
func (s *Server) content(node, version api.ID) (api.Version, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.now.drive.Node(node)
	if version.IsZero() {
		version = n.Version
	}
	v, known := s.now.drive.Version(version)
	if !ok || !known || version != n.Version && v.Document != n.Document && v.Node != node {
		return api.Version{}, nil, api.Errorf(api.NotFound, "there is no such content")
	}
	var b []byte
	for _, c := range v.Chunks {
		b = append(b, s.now.chunks[c.Hash]...)
	}
	return v.Version, b, nil
}

// change applies mutations of the HTTP API, which every device hears of: all or none.
func (s *Server) change(build func() []api.Mutation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := build()
	for i := range batch {
		batch[i].Time = time.Now().UnixNano()
	}
	was := s.now.clone()
	done, err := s.apply(api.ID{}, "", api.ID{}, batch)
	for _, o := range done.outcomes {
		if o.Status != api.Applied {
			s.now, err = was, api.Errorf(api.Conflict, "%s: %s", o.Status, o.Message)
		}
	}
	return err
}

// walk is the directory of a path and its last name.
func (s *Server) walk(path string) (dir api.ID, name api.Name, missing []api.Mutation) {
	names, err := api.ParsePath(path)
	if err != nil || len(names) == 0 {
		panic("no path: " + path)
	}
	dir = s.now.drive.Drive().Root
	for _, n := range names[:len(names)-1] {
		next := s.now.drive.Entry(tree.Key{Parent: dir, Name: n})
		if len(missing) > 0 || next.IsZero() {
			m := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: dir, Name: n, Attr: &api.Attr{Type: api.Directory}}
			missing, next = append(missing, m), m.Node
		}
		dir = next
	}
	return dir, names[len(names)-1], missing
}

// Store puts content at a path and makes the directories on the way.
func (s *Server) Store(path, content string) error {
	hash := api.Hash(sha256.Sum256([]byte(content)))
	return s.change(func() []api.Mutation {
		dir, name, batch := s.walk(path)
		s.now.chunks[hash] = []byte(content)
		m := api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: dir, Name: name, Attr: &api.Attr{Type: api.File},
			Version: &api.Version{ID: api.NewID(), Size: int64(len(content)), SHA256: hash, Chunks: []api.Chunk{{Hash: hash, Size: uint32(len(content))}}}}
		if n, ok := s.now.drive.Node(s.now.drive.Entry(tree.Key{Parent: dir, Name: name})); ok {
			m.Op, m.Node, m.Base, m.Attr = api.OpWrite, n.ID, n.Version, nil
		}
		return append(batch, m)
	})
}

// Delete removes the file at a path. That there is none is no error.
func (s *Server) Delete(path string) error {
	return s.change(func() []api.Mutation {
		dir, name, missing := s.walk(path)
		n, ok := s.now.drive.Node(s.now.drive.Entry(tree.Key{Parent: dir, Name: name}))
		if len(missing) > 0 || !ok || n.Type == api.Directory {
			return nil
		}
		return []api.Mutation{{Op: api.OpUnlink, Node: n.ID, Parent: dir, Name: name, Base: n.Version}}
	})
}

// Move gives what is at a path another one, which must be free.
func (s *Server) Move(from, to string) error {
	return s.change(func() []api.Mutation {
		dir, name, missing := s.walk(from)
		n, ok := s.now.drive.Node(s.now.drive.Entry(tree.Key{Parent: dir, Name: name}))
		if len(missing) > 0 || !ok {
			return nil
		}
		target, newName, batch := s.walk(to)
		return append(batch, api.Mutation{Op: api.OpRename, Node: n.ID, Parent: dir, Name: name, ToParent: target, ToName: newName})
	})
}

// Kept is the SHA-256, in hexadecimal, of every version that the history of the
// files and the trash have.
func (s *Server) Kept() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := map[string]bool{}
	for _, v := range s.now.drive.Kept() {
		kept[hex.EncodeToString(v.SHA256[:])] = true
	}
	return kept
}

// putPack takes the chunks of a pack, all or none.
func (s *Server) putPack(pack []byte) error {
	chunks := map[api.Hash][]byte{}
	err := chunk.ReadPack(bytes.NewReader(pack), func(h api.Hash, _ int64, data []byte) error {
		chunks[h] = slices.Clone(data)
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.now.chunks, chunks)
	return nil
}

func (s *Server) missing(hashes []api.Hash) (missing []api.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range hashes {
		if _, ok := s.now.chunks[h]; !ok {
			missing = append(missing, h)
		}
	}
	return missing
}
