package sim

import (
	"bytes"
	"context"
	"io"
	"time"

	"satchel/api"
	"satchel/api/chunk"
)

// Remote is the drive as one device has it: a cache.Remote.
type Remote struct {
	s      *Server
	device api.ID
	name   string
}

// Device is the drive for a device.
func (s *Server) Device(id api.ID, name string) *Remote { return &Remote{s, id, name} }

// Info describes the drive.
func (r *Remote) Info(context.Context) (api.DriveInfo, error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	d := r.s.now.drive.Drive()
	return api.DriveInfo{ID: d.ID, Name: "home", Root: d.Root, Epoch: d.Epoch, Seq: d.Seq, Used: d.Bytes, Files: d.Files, Stored: d.Stored, Former: r.s.now.former}, nil
}

// Node is a live node.
func (r *Remote) Node(_ context.Context, id api.ID) (api.Node, error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.live(id)
}

func (s *Server) live(id api.ID) (api.Node, error) {
	n, ok := s.now.drive.Node(id)
	if !ok || !n.Live() {
		return api.Node{}, api.Errorf(api.NotFound, "there is no such file or directory")
	}
	return n.Node, nil
}

// Children is a page of a directory.
func (r *Remote) Children(_ context.Context, dir api.ID, after api.Name, limit int, _ func(api.Name)) (l api.Listing, err error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.page(dir, after, limit)
}

// Listings is the first pages of many directories.
func (r *Remote) Listings(_ context.Context, dirs []api.ID, limit int) (all []api.Listed, err error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for left := limit; left > 0 && len(all) < len(dirs); {
		l, err := r.s.page(dirs[len(all)], "", left)
		if err != nil {
			l.Epoch, l.Seq = r.s.point()
		}
		all = append(all, api.Listed{Listing: l, Problem: api.KindOf(err)})
		left -= len(l.Entries)
	}
	return all, nil
}

func (s *Server) page(dir api.ID, after api.Name, limit int) (l api.Listing, err error) {
	self, err := s.live(dir)
	if err != nil {
		return l, err
	}
	if self.Type != api.Directory {
		return l, api.Errorf(api.NotDirectory, "this is not a directory")
	}
	l.Epoch, l.Seq = s.point()
	l.Nodes = []api.Node{self}
	seen := map[api.ID]bool{}
	for _, e := range s.now.drive.Entries(dir) {
		if e.Name <= after {
			continue
		}
		if len(l.Entries) == limit {
			l.More = true
			break
		}
		l.Entries = append(l.Entries, api.EntryState{Parent: dir, Name: e.Name, Node: e.Node})
		if n, err := s.live(e.Node); err == nil && !seen[e.Node] {
			seen[e.Node] = true
			l.Nodes = append(l.Nodes, n)
		}
	}
	return l, nil
}

// Commit applies a batch, once.
func (r *Remote) Commit(_ context.Context, b api.Batch) (api.Committed, error) {
	return r.s.commit(r.device, r.name, b)
}

// Missing is the chunks that the server lacks.
func (r *Remote) Missing(_ context.Context, hashes []api.Hash) ([]api.Hash, error) {
	return r.s.missing(hashes), nil
}

// PutPack takes the chunks of a pack.
func (r *Remote) PutPack(_ context.Context, pack []byte) error { return r.s.putPack(pack) }

// Content reads a part of a version.
func (r *Remote) Content(_ context.Context, node, version api.ID, off, n int64) (io.ReadCloser, error) {
	_, b, err := r.s.content(node, version)
	if err != nil {
		return nil, err
	}
	b = b[min(off, int64(len(b))):]
	if n >= 0 {
		b = b[:min(n, int64(len(b)))]
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Holes are not known here.
func (r *Remote) Holes(context.Context, api.ID, api.ID) ([]api.Hole, error) { return nil, nil }

// Contents reads many contents, by way of the stream that the network carries.
func (r *Remote) Contents(_ context.Context, files []api.ContentRef, fn func(index int, v api.Version, body io.Reader) error) error {
	var stream bytes.Buffer
	w := chunk.NewContentsWriter(&stream)
	for i, f := range files {
		v, b, err := r.s.content(f.Node, f.Version)
		if err != nil {
			w.Failed(i, api.KindOf(err), err.Error())
			continue
		}
		w.Content(i, v)
		for len(b) > 0 {
			part := b[:min(len(b), chunk.MaxSize)]
			w.Part(part)
			b = b[len(part):]
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return chunk.ReadContents(&stream, len(files), fn)
}

// Changes waits for changes of others.
func (r *Remote) Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		c, woken, err := r.s.changesAfter(life, epoch, after)
		if err != nil || woken == nil || wait <= 0 {
			return c, err
		}
		after = c.Seq // all up to there is the device's own
		select {
		case <-woken:
		case <-timeout.C:
			return c, nil
		case <-ctx.Done():
			return api.Changes{}, ctx.Err()
		}
	}
}

// Reconnect has no connections to give up.
func (r *Remote) Reconnect() {}
