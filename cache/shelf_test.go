package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/api/pace"
)

// A shelf is the server of a test: a drive whose files are there from the start, and which takes what one
// device sends. It counts what is asked of it.
type shelf struct {
	info api.DriveInfo

	mu       sync.Mutex
	nodes    map[api.ID]api.Node
	entries  map[api.ID][]api.EntryState // by directory
	content  map[api.ID][]byte           // by version
	holes    map[api.ID][]api.Hole       // the same
	chunks   map[api.Hash][]byte
	seq      int64
	fetched  int64 // bytes of content sent
	requests int   // for content, of one file or many
	listings int   // directories that were listed
	asks     int   // requests for them
	packs    []int // sizes in bytes
	replaced []replaced
	news     chan struct{} // closed when something is replaced

	// before, if set, is called before a range is answered, and may fail it.
	before func(off, n int64) error
	// dress, if set, is what a range's body becomes.
	dress func(io.ReadCloser) io.ReadCloser
	// putting, if set, is called before a pack is taken, and may refuse it.
	putting func(pack []byte) error
	// listing, if set, is called before a directory is listed.
	listing func()
}

// A replaced is a node as another device left it, and the change that did it.
type replaced struct {
	seq  int64
	node api.Node
}

func newShelf() *shelf {
	s := &shelf{info: api.DriveInfo{ID: api.NewID(), Root: api.NewID(), Epoch: api.NewID(), Seq: 1}, seq: 1,
		nodes: map[api.ID]api.Node{}, entries: map[api.ID][]api.EntryState{}, content: map[api.ID][]byte{}, holes: map[api.ID][]api.Hole{}, chunks: map[api.Hash][]byte{},
		news: make(chan struct{})}
	s.nodes[s.info.Root] = api.Node{ID: s.info.Root, Type: api.Directory, Mode: 0o755, UID: api.Self, GID: api.Self, Nlink: 2}
	return s
}

// add puts a file in a directory (zero: the root).
func (s *shelf) add(dir api.ID, name api.Name, data []byte) api.Node {
	n := api.Node{ID: api.NewID(), Type: api.File, Mode: 0o644, UID: api.Self, GID: api.Self, Nlink: 1,
		Size: int64(len(data)), Version: api.NewID(), SHA256: sha256.Sum256(data), Mtime: 1e18}
	s.content[n.Version] = data
	s.put(dir, name, n)
	return n
}

func (s *shelf) mkdir(dir api.ID, name api.Name) api.ID {
	n := api.Node{ID: api.NewID(), Type: api.Directory, Mode: 0o755, UID: api.Self, GID: api.Self, Nlink: 2}
	s.put(dir, name, n)
	return n.ID
}

func (s *shelf) put(dir api.ID, name api.Name, n api.Node) {
	if dir.IsZero() {
		dir = s.info.Root
	}
	s.nodes[n.ID] = n
	s.entries[dir] = append(s.entries[dir], api.EntryState{Parent: dir, Name: name, Node: n.ID})
}

// replace gives a file another version, and tells the device.
func (s *shelf) replace(id api.ID, data []byte) api.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[id]
	n.Size, n.Version, n.SHA256 = int64(len(data)), api.NewID(), sha256.Sum256(data)
	s.content[n.Version] = data
	s.nodes[id] = n
	s.seq++
	s.replaced = append(s.replaced, replaced{s.seq, n})
	close(s.news)
	s.news = make(chan struct{})
	return n
}

func (s *shelf) Info(context.Context) (api.DriveInfo, error) { return s.info, nil }
func (s *shelf) Node(_ context.Context, id api.ID) (api.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[id], nil
}

func (s *shelf) Children(_ context.Context, dir api.ID, _ api.Name, _ int, _ func(api.Name)) (api.Listing, error) {
	if s.listing != nil {
		s.listing()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks++
	return s.list(dir), nil
}

func (s *shelf) list(dir api.ID) api.Listing {
	s.listings++
	l := api.Listing{State: api.State{Epoch: s.info.Epoch, Seq: s.seq, Nodes: []api.Node{s.nodes[dir]}, Entries: s.entries[dir]}}
	for _, e := range s.entries[dir] {
		l.Nodes = append(l.Nodes, s.nodes[e.Node])
	}
	return l
}

func (s *shelf) Listings(_ context.Context, dirs []api.ID, _ int) (all []api.Listed, _ error) {
	if s.listing != nil {
		s.listing()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks++
	for _, dir := range dirs {
		all = append(all, api.Listed{Listing: s.list(dir)})
	}
	return all, nil
}

func (s *shelf) Content(ctx context.Context, _, version api.ID, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	s.requests++
	data, before := s.content[version], s.before
	s.mu.Unlock()
	if n < 0 {
		n = int64(len(data)) - off
	}
	if before != nil {
		if err := before(off, n); err != nil {
			return nil, err
		}
	}
	has := int64(len(data)) // a test may have cut it
	body := io.NopCloser(s.count(ctx, data[min(off, has):min(off+n, has)]))
	if s.dress != nil {
		body = s.dress(body)
	}
	return body, nil
}

// count reads data, counts it and tells the clock of it.
func (s *shelf) count(ctx context.Context, data []byte) io.Reader {
	return io.TeeReader(bytes.NewReader(data), counting(func(n int) {
		pace.Of(ctx).Moved(n)
		s.mu.Lock()
		s.fetched += int64(n)
		s.mu.Unlock()
	}))
}

type counting func(int)

func (c counting) Write(p []byte) (int, error) {
	c(len(p))
	return len(p), nil
}

func (s *shelf) Holes(_ context.Context, _, version api.ID) ([]api.Hole, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holes[version], nil
}

func (s *shelf) Contents(ctx context.Context, files []api.ContentRef, fn func(int, api.Version, io.Reader) error) error {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	for i, f := range files {
		s.mu.Lock()
		n, data := s.nodes[f.Node], s.content[f.Version]
		s.mu.Unlock()
		if err := fn(i, api.Version{ID: f.Version, Size: int64(len(data)), SHA256: n.SHA256}, s.count(ctx, data)); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Missing(_ context.Context, hashes []api.Hash) (missing []api.Hash, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range hashes {
		if s.chunks[h] == nil {
			missing = append(missing, h)
		}
	}
	return missing, nil
}

func (s *shelf) PutPack(_ context.Context, pack []byte) error {
	if s.putting != nil {
		if err := s.putting(pack); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs = append(s.packs, len(pack))
	return chunk.ReadPack(bytes.NewReader(pack), func(h api.Hash, _ int64, data []byte) error {
		s.chunks[h] = bytes.Clone(data)
		return nil
	})
}

func (s *shelf) Commit(_ context.Context, b api.Batch) (c api.Committed, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range b.Mutations {
		s.seq++
		if m.Version != nil {
			var all []byte
			for _, k := range m.Version.Chunks {
				all = append(all, s.chunks[k.Hash]...)
			}
			s.content[m.Version.ID] = all
			n := s.nodes[m.Node]
			n.ID, n.Version, n.SHA256, n.Size = m.Node, m.Version.ID, m.Version.SHA256, m.Version.Size
			s.nodes[m.Node] = n
		}
		c.Outcomes = append(c.Outcomes, api.Outcome{Status: api.Applied, Seq: s.seq})
	}
	c.Epoch, c.Seq = s.info.Epoch, s.seq
	return c, nil
}

func (s *shelf) Changes(ctx context.Context, _, _ api.ID, after int64, wait time.Duration) (api.Changes, error) {
	timeout := time.After(wait)
	for {
		s.mu.Lock()
		c := api.Changes{State: api.State{Epoch: s.info.Epoch, Seq: after}}
		for _, r := range s.replaced {
			if r.seq > after {
				c.Seq, c.Nodes = s.seq, append(c.Nodes, r.node)
			}
		}
		news := s.news
		s.mu.Unlock()
		if len(c.Nodes) > 0 {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return api.Changes{}, ctx.Err()
		case <-news:
		case <-timeout:
			return c, nil
		}
	}
}

func (s *shelf) Reconnect() {}

// counts is what was asked so far.
func (s *shelf) counts() (requests, listings int, fetched int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, s.listings, s.fetched
}

// sent is how many bytes of packs came.
func (s *shelf) sent() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.packs {
		n += p
	}
	return n
}

// openShelf opens a device's cache of a shelf, without a mount.
func openShelf(t *testing.T, s *shelf, dir string, limit int64) *Drive {
	t.Helper()
	d, err := Open(Config{Dir: dir, Remote: s, DeviceName: "test", Limit: limit, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	d.Start(noKernel{})
	t.Cleanup(func() {
		if d.ctx.Err() == nil { // the test did not close it
			d.Close()
		}
	})
	soon(t, func() bool { return d.connected.Load() })
	return d
}

// soon waits until something is true.
func soon(t *testing.T, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !fn(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute")
		}
	}
}
