package cache

import (
	"crypto/sha256"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/api/pace"
)

// A cold small file comes with small ones that are likely to be read after it, in one request: first those beside
// it; when programs go on opening cold files, ever more of what follows in the tree, and the next request starts
// before it is needed. So `grep -r` on a new device does not pay a round trip for each file.
const (
	siblingSize = 256 << 10 // bytes; larger files are fetched only when they are opened
	firstBatch  = 1 << 20   // bytes of siblings with the first cold file,
	fullBatch   = 8 << 20   // and with later ones, growing fourfold
	batchFiles  = 500
	batchScan   = 2000 // entries looked at for one batch

	walking   = 2 * time.Second // without a cold file opened for so long, nobody goes through the tree
	maxUnused = 32 << 20        // bytes fetched ahead and not opened yet
)

// readers is what is known of programs that read their way through cold files. Guarded by Drive.mu.
type readers struct {
	last    time.Time // when a cold file, or one fetched ahead, was opened
	bytes   int64     // of siblings with the next batch
	unused  int64     // bytes fetched ahead and not opened yet
	at      api.ID    // the last file asked for
	running bool      // batches follow each other
}

// fetchSmall begins to fetch a cold small file, with others; locked.
func (d *Drive) fetchSmall(n *node) *fetch {
	if n.fetch != nil {
		return n.fetch
	}
	r := &d.readers
	now := time.Now()
	if now.Sub(r.last) > walking {
		r.bytes, r.unused = firstBatch, 0
	} else {
		r.bytes = min(4*r.bytes, fullBatch)
	}
	r.last = now
	group := []*node{n}
	n.fetch = &fetch{done: make(chan struct{}), freed: d.slots.freed.Load()}
	more := d.roomAhead()
	if more {
		group = append(group, d.following(n, r.bytes > firstBatch)...)
	}
	f := n.fetch
	chase := more && r.bytes > firstBatch && !r.running
	r.running = r.running || chase
	r.at = group[len(group)-1].id
	d.wg.Go(func() {
		d.fetchGroup(group)
		if chase {
			d.chase()
		}
	})
	return f
}

// roomAhead tells whether there is room for the next batch, for which nothing else is to go; locked.
func (d *Drive) roomAhead() bool {
	return d.slots.bytes+d.slots.coming+d.readers.bytes < d.ceiling() && !d.full.Load()
}

// chase fetches on while programs go on reading, as long as anything comes: what can't be had may be met again, by another name.
func (d *Drive) chase() {
	for came := true; ; {
		d.mu.Lock()
		r := &d.readers
		n := d.byID[r.at]
		var group []*node
		if came && n != nil && time.Since(r.last) < walking && r.unused < maxUnused && d.roomAhead() && d.ctx.Err() == nil {
			group = d.following(n, true)
		}
		if len(group) == 0 {
			r.running = false
			d.mu.Unlock()
			return
		}
		r.at = group[len(group)-1].id
		d.mu.Unlock()
		came = d.fetchGroup(group)
	}
}

// opened notes that a file that was fetched ahead was opened; locked.
func (d *Drive) opened(n *node) {
	n.ahead = false
	r := &d.readers
	r.last = time.Now()
	r.unused = max(r.unused-n.size, 0)
	if !r.running && r.unused < maxUnused/2 && r.bytes > firstBatch {
		r.running = true
		d.wg.Go(d.chase)
	}
}

// following is the cold small files that come after n in the order in which programs go through a tree,
// as far as directories are listed already, each with a fetch begun; with climb beyond its directory, without it those before it too. Locked.
func (d *Drive) following(n *node, climb bool) []*node {
	w := &walker{d: d, bytes: d.readers.bytes, files: batchFiles, scan: batchScan}
	dir := d.byID[n.up]
	name := n.name
	for dir != nil && dir.flags&flagComplete != 0 && !dir.dead {
		l, err := d.dir(dir, nil)
		if err != nil {
			break
		}
		seq := uint64(0)
		if k := l.byName[name]; k != nil {
			seq = k.seq
		}
		more := w.kids(l.after(seq), climb)
		if !climb {
			if more {
				w.kids(l.order, false)
			}
			break
		}
		if !more || dir == d.root {
			break
		}
		name = dir.name
		up := dir.up
		if dir, err = d.load(up); err != nil {
			break
		}
	}
	return w.found
}

// A walker gathers cold small files.
type walker struct {
	d           *Drive
	bytes       int64
	files, scan int
	found       []*node
}

// kids goes through entries, and with deep through the directories among them; false when it has enough.
func (w *walker) kids(kids []*kid, deep bool) bool {
	for _, k := range kids {
		if w.scan--; w.scan < 0 || len(w.found) == w.files {
			return false
		}
		if k.name == "" || k.typ != 'f' && (k.typ != 'd' || !deep) {
			continue
		}
		n, err := w.d.load(k.id)
		if err != nil || n == nil || n.dead {
			continue
		}
		if n.isDir() {
			more := true
			if n.flags&flagComplete != 0 {
				if l, err := w.d.dir(n, nil); err == nil {
					more = w.kids(l.order, true)
				}
			}
			w.d.letGo(n)
			if !more {
				return false
			}
			continue
		}
		if n.slot != 0 || n.fetch != nil || n.size == 0 || n.size > siblingSize || n.version.IsZero() || n.stale {
			w.d.letGo(n)
			continue
		}
		if n.size > w.bytes {
			w.d.letGo(n)
			return false
		}
		w.bytes -= n.size
		n.fetch, n.ahead = &fetch{done: make(chan struct{}), freed: w.d.slots.freed.Load()}, true
		w.found = append(w.found, n)
	}
	return true
}

// fetchGroup fetches small files in one request. Each is there as soon as it has arrived; false when none has.
func (d *Drive) fetchGroup(group []*node) (came bool) {
	d.mu.Lock()
	refs := make([]api.ContentRef, len(group))
	for i, n := range group {
		refs[i] = api.ContentRef{Node: n.id, Version: n.version}
		if n.ahead {
			d.readers.unused += n.size
		}
	}
	d.mu.Unlock()
	ctx, clock := pace.With(d.ctx, patience) // the answer must begin within it, and go on
	defer clock.End()
	done := make([]bool, len(group))
	err := d.cfg.Remote.Contents(ctx, refs, func(i int, v api.Version, body io.Reader) error {
		err := d.store(group[i], refs[i].Version, v, body)
		done[i], came = true, came || err == nil
		d.fetched(group[i], offline(ctx, err))
		return nil
	})
	if err == nil {
		err = api.Errorf(api.Unavailable, "the server did not answer for the file")
	}
	err = offline(ctx, err)
	for i, n := range group {
		if !done[i] {
			d.fetched(n, err)
		}
	}
	d.mu.Lock()
	d.wakeEvict()
	d.mu.Unlock()
	return came
}

// fetched ends the fetch of a file.
func (d *Drive) fetched(n *node, err error) {
	d.mu.Lock()
	f := n.fetch
	n.fetch = nil
	d.letGo(n)
	d.mu.Unlock()
	f.err = err
	close(f.done)
}

// store makes what arrived of a small file its content, if it has the hash that it should.
func (d *Drive) store(n *node, version api.ID, v api.Version, body io.Reader) error {
	buf := contents.Get().(*[]byte)
	defer contents.Put(buf)
	if int64(cap(*buf)) < v.Size && v.Size <= wholeSize {
		*buf = make([]byte, v.Size, max(v.Size, 64<<10))
	}
	if v.Size > wholeSize {
		return api.Errorf(api.Internal, "download: the content is larger than the server said before")
	}
	data := (*buf)[:v.Size]
	if v.ID.IsZero() { // it can't be had; reading says why
		_, err := body.Read(make([]byte, 1))
		return err
	}
	if _, err := io.ReadFull(body, data); err != nil {
		return api.Errorf(orKind(err), "download: %w", err)
	}
	d.mu.Lock()
	sha, size := n.sha, n.size
	wanted := n.version == version && n.slot == 0 && !n.dead
	d.mu.Unlock()
	if !wanted {
		return nil // overtaken: whoever waits looks again
	}
	if size != v.Size || !sha.IsZero() && api.Hash(sha256.Sum256(data)) != sha {
		return api.Errorf(api.Internal, "download: the content does not have the hash that the server said")
	}
	d.mu.Lock()
	c, err := d.slots.take(d)
	d.mu.Unlock()
	if err != nil {
		return api.Errorf(kindOf(err), "make a content file: %w", err)
	}
	err = fill(d.slotPath(c.slot), data)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || n.version != version || n.slot != 0 || n.dead {
		d.slots.later(func() { d.slots.recycle(d, c) })
		return err
	}
	t := d.begin()
	t.behind = true
	c.look()
	c.rec = slotRecord{node: n.id, version: version, ctime: c.ctime()}
	n.slot, n.c = c.slot, c
	t.slot(c)
	t.node(n)
	d.hold(n)
	d.park(n)
	return t.commit()
}

var contents = sync.Pool{New: func() any { return new([]byte) }}

// fill writes an empty content file, which stays empty when the content does not fit.
func fill(path string, data []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil {
			unix.Ftruncate(fd, 0) // the journal may need the room at once
			return api.Errorf(kindOf(err), "keep fetched content: %w", err)
		}
		data = data[n:]
	}
	return nil
}
