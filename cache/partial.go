package cache

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/cache/locks"
)

// wholeSize is up to which size a cold file is fetched whole when it is opened, bytes. A
// larger one is readable at once.
const wholeSize = 4 << 20

// A partial is the content of one version of a cold file while only parts of it are on this
// machine: a sparse content file, and the map of what is in it. Reads go through the daemon and wait for
// what they need (readahead.go, ranges.go). When all is there and the version's hash is proven, the
// content file becomes the node's own, as if it had been fetched whole.
//
// Drive.mu comes before mu and is never taken under it.
type partial struct {
	d       *Drive
	node    api.ID
	version api.ID
	size    int64
	sha     api.Hash
	slot    uint64

	c *content // nil until it is first used; guarded by Drive.mu, constant while it is in use
	// Guarded by Drive.mu
	open     bool  // its node has open handles that read it
	wanted   int   // 1 for open, and calls that wait for the whole
	uses     int   // how often it came to be wanted
	adopted  bool  // the content file is the node's own now
	coming   int64 // bytes for which room was found, until they are here
	mapped   bool  // the replica may have its map,
	unmapped bool  // and is not to have one while it is read: see readThrough
	// Nobody may find it any more: its version is not the node's, or it turned out to be damaged. It
	// is discarded once it is out of use.
	doomed bool

	mu      locks.Mutex
	users   int // wanted, requests, and the hashing: the content file stays as long as there are any
	have    blockMap
	asked   blockMap // in a request, or about to be
	streams []*stream
	queue   []span  // asked for ahead of the reads
	working []*span // requests under way: from where on each has begun on nothing yet, and its end
	all     int     // calls that wait for the whole,
	pins    int     // of which for a pin
	stop    chan struct{}
	waiters []*waiter
	till    time.Time       // since something arrived, whoever waits is patient till then
	begun   map[int64]int64 // blocks that are not whole, and up to which byte something came
	fails   int             // failed requests
	failure error           // of the last one
	unsaved int64           // bytes that arrived since the map was saved

	fast      bool // content comes faster than it could be hashed beside all else
	clocked   time.Time
	clockRest int64

	holes     []api.Hole      // what the server said about it, in order
	holesTold bool            // it has
	holesAsk  chan struct{}   // it is being asked, until this is closed,
	holesSoon <-chan struct{} // and closed when attributes wait for that no longer; changes under Drive.mu too

	through bool     // what was read goes to make room: see through.go. Changes under Drive.mu too
	share   int64    // how much of it may be here then, bytes
	hand    int64    // the block from which on something goes next
	marks   []uint32 // of the blocks that went so far, nil: none did
	reads   []*span  // blocks that stay, since somebody reads them

	hashing bool
	hash    chunk.Whole
	hashed  int64 // bytes from the start that went into hash
	proven  bool  // all is here and has the version's hash
	damaged error // all is here and has not
}

// saveEvery is how many bytes may arrive before the map is saved.
const saveEvery = 64 << 20

func partialKey(node api.ID) []byte { return append([]byte{keyPartial}, node[:]...) }

// piecemeal tells whether a file is to be fetched in parts; locked.
func piecemeal(n *node) bool { return n.slot == 0 && n.size > wholeSize && !n.version.IsZero() }

// partOf finds or begins the partial content of a cold large file; locked.
func (d *Drive) partOf(n *node) (*partial, error) {
	if n.part != nil {
		return n.part, nil
	}
	p := d.parts[n.id]
	if p != nil && (p.version != n.version || p.size != n.size || p.open) {
		t := d.begin()
		d.doom(t, p)
		if err := t.commit(); err != nil {
			return nil, err
		}
		p = nil
	}
	if p == nil {
		c, err := d.slots.take(d)
		if err == nil {
			if err = os.Truncate(d.slotPath(c.slot), n.size); err != nil { // the file system may have none as large
				d.slots.later(func() { d.slots.recycle(d, c) })
			}
		}
		if err != nil {
			return nil, api.Errorf(kindOf(err), "make a content file: %w", err)
		}
		p = &partial{d: d, node: n.id, version: n.version, size: n.size, sha: n.sha, slot: c.slot, c: c,
			have: newBlockMap(n.size), asked: newBlockMap(n.size), begun: map[int64]int64{}}
		d.parts[n.id] = p
		d.slots.held[p.slot] = &holding{node: n.id}
	}
	if p.c == nil {
		c, err := d.openSlot(p.slot, 0)
		if err != nil {
			return nil, fmt.Errorf("content file %x: %w", p.slot, err)
		}
		p.c = c
	}
	n.part = p
	return p, nil
}

// want notes one more who needs it; locked.
func (p *partial) want() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users++
	if p.wanted++; p.wanted == 1 {
		p.uses++
		p.stop = make(chan struct{})
		p.askHoles()
	}
	if p.have.left == 0 { // the daemon ended before it was proven
		p.follow()
	}
}

// passOver is for who found a partial and does not use it; locked.
func (d *Drive) passOver(n *node) {
	if p := n.part; p != nil && p.wanted == 0 {
		n.part = nil
		d.slots.later(func() { d.restPartial(p) })
	}
}

// leavePart ends a use of what is here of n's content; locked.
func (d *Drive) leavePart(n *node) {
	p := n.part
	if p.wanted == 1 {
		n.part = nil
	}
	d.unwant(p)
}

// unwant takes that back; locked. With the last one requests end.
func (d *Drive) unwant(p *partial) {
	if p.wanted--; p.wanted == 0 {
		p.mu.Lock()
		close(p.stop)
		p.queue, p.streams = nil, nil
		p.mu.Unlock()
	}
	d.unuse(p)
}

// unuse notes that a user is done with it; locked. With the last one the map is saved and the file closed.
func (d *Drive) unuse(p *partial) {
	p.mu.Lock()
	p.users--
	idle := p.users == 0
	p.mu.Unlock()
	switch {
	case !idle || p.adopted:
	case p.doomed:
		d.slots.discard(d, p.c)
	default:
		d.slots.later(func() { d.restPartial(p) })
	}
}

// restPartial saves the map of a partial that nobody uses and closes its file. Where it is used again while it is synced, it is left to the
// next one: the map has blocks by then that this sync may not have made durable.
func (d *Drive) restPartial(p *partial) {
	d.mu.Lock()
	fd, uses := -1, p.uses
	if !p.busy() && p.c != nil && d.ctx.Err() == nil { // when the drive closes there is no time to sync
		fd, _ = unix.Dup(p.c.fd)
	}
	d.mu.Unlock()
	synced := fd >= 0 && d.cfg.seam.sync(fd, true) == nil
	if fd >= 0 {
		unix.Close(fd)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parts[p.node] != p || p.busy() || p.c == nil || p.uses != uses {
		return
	}
	p.mu.Lock()
	p.through = false
	p.mu.Unlock()
	p.unmapped = false
	d.savePartial(p, synced)
	c := p.c
	p.c = nil
	d.slots.later(func() { d.closeContent(c) })
}

func (p *partial) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.users > 0
}

// account brings what it takes of the cache up to date; locked.
func (d *Drive) account(p *partial) {
	h := d.slots.held[p.slot]
	if h == nil {
		return
	}
	var st unix.Stat_t
	if unix.Stat(d.slotPath(p.slot), &st) != nil {
		return
	}
	bytes := min(512*st.Blocks, p.size)
	d.slots.bytes += bytes - h.bytes
	h.bytes, h.used = bytes, now()
	if d.slots.bytes > d.cfg.Limit {
		d.wakeEvict()
	}
}

// doom takes a partial out of reach; locked. Whoever reads it goes on.
func (d *Drive) doom(t *tx, p *partial) {
	if p.doomed || p.adopted {
		return
	}
	p.doomed = true
	if d.parts[p.node] == p {
		delete(d.parts, p.node)
		t.b.Delete(partialKey(p.node), nil)
	}
	d.unhold(p.slot)
	switch {
	case p.busy(): // the last one discards it
	case p.c != nil:
		d.slots.discard(d, p.c)
	default:
		if c, err := d.openSlot(p.slot, 0); err == nil {
			d.slots.discard(d, c)
		}
	}
}

// dropPart gives up what is here of a cold file; locked.
func (d *Drive) dropPart(t *tx, n *node) {
	if p := n.part; p != nil {
		d.doom(t, p)
	}
	if p := d.parts[n.id]; p != nil && !n.stale {
		d.doom(t, p)
	}
}

// adoptPart makes a proven whole content the node's own; not locked.
func (d *Drive) adoptPart(p *partial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.load(p.node)
	if err != nil || n == nil || n.version != p.version || n.slot != 0 || n.dead || d.parts[p.node] != p {
		return // overtaken; who has it open reads on
	}
	t := d.begin()
	delete(d.parts, p.node)
	t.b.Delete(partialKey(p.node), nil)
	n.slot, n.c, n.part = p.slot, p.c, nil
	p.adopted = true
	n.c.look()
	n.taken = n.c.taken()
	// Without a ctime the content counts as doubtful after a crash. A sparse file shows
	// its size and times before its bytes have reached the disk.
	n.c.rec = slotRecord{node: n.id, version: p.version}
	t.slot(n.c)
	t.node(n)
	d.hold(n)
	if n.opens == 0 {
		d.park(n)
	}
	d.wakeEvict()
	if err := t.commit(); err != nil {
		d.log.Error("keep fetched content", "name", n.name, "err", err)
	}
	d.slots.later(func() { d.markFetched(n, p.version) })
}

// markFetched syncs content that was fetched in parts, and then marks it clean.
func (d *Drive) markFetched(n *node, version api.ID) {
	d.mu.Lock()
	c := n.c
	fd := -1
	if c != nil && d.ctx.Err() == nil {
		fd, _ = unix.Dup(c.fd)
	}
	d.mu.Unlock()
	if fd < 0 {
		return
	}
	err := d.cfg.seam.sync(fd, true)
	unix.Close(fd)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || n.c != c || n.hot != nil || n.dead || n.stale || c.rec.dirty || c.rec.version != version {
		return
	}
	t := d.begin()
	t.behind = true
	c.rec.ctime = c.ctime()
	t.slot(c)
	t.commit()
}

// spoil reports content that is not what the server said, or can't be read back, and gives it up; not locked. Who has the file open
// is told so until he closes it; the name gets a node that fetches anew.
func (d *Drive) spoil(p *partial, why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.begin()
	d.doom(t, p)
	if n := d.byID[p.node]; n != nil && n.part == p {
		d.log.Error("fetched content is given up", "name", n.name, "version", p.version, "err", why)
		d.notes.inode(n, true)                     // what the kernel keeps of it goes too
		if n.opens > 0 && !n.dead && n.slot == 0 { // else it has another content by now
			d.touchPin(n.id)
			fresh := d.split(t, n, n.id)
			t.node(fresh)
			d.letGo(fresh)
		}
	}
	t.commit()
}

// savePartial writes down what is here; locked. synced says that the content is durable.
func (d *Drive) savePartial(p *partial, synced bool) {
	if d.parts[p.node] != p || p.unmapped {
		return
	}
	d.account(p)
	p.mapped = true
	t := d.begin()
	t.behind = true
	t.b.Set(partialKey(p.node), p.record(d.era, synced), nil)
	if err := t.commit(); err != nil {
		d.log.Error("save what is here of a file", "err", err)
	}
}

// record is what is kept in Pebble: a map that was not synced holds only in its era.
func (p *partial) record(era string, synced bool) []byte {
	if synced {
		era = ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsaved = 0
	b := append([]byte(nil), p.version[:]...)
	b = append(b, p.sha[:]...)
	b = binary.AppendUvarint(b, p.slot)
	b = binary.AppendVarint(b, p.size)
	b = appendString(b, era)
	return appendString(b, string(p.have.bits))
}

// loadPartials reads what is here of cold files after a start, and adds their content files
// to used; locked.
func (d *Drive) loadPartials(t *tx, used map[uint64]bool) error {
	return d.st.scan([]byte{keyPartial}, func(k, v []byte) error {
		id := api.ID(k[1:17])
		r := reader{b: v}
		p := &partial{d: d, node: id, version: r.id(), sha: r.hash(), slot: r.uvarint(), size: r.varint()}
		era := r.string()
		stored := []byte(r.string())
		n, err := d.load(id)
		if err != nil {
			return err
		}
		var ok bool
		if !r.bad && p.size > 0 && strings.HasPrefix(d.era, era) && n != nil && n.slot == 0 && n.version == p.version && n.size == p.size && !used[p.slot] {
			if p.have, ok = blockMapOf(p.size, stored); ok {
				var st unix.Stat_t
				ok = unix.Stat(d.slotPath(p.slot), &st) == nil && st.Size == p.size
			}
		}
		if n != nil {
			d.letGo(n)
		}
		if !ok {
			t.b.Delete(partialKey(id), nil) // sweep removes its content
			return nil
		}
		p.asked, p.begun, p.mapped = newBlockMap(p.size), map[int64]int64{}, true
		d.parts[id] = p
		used[p.slot] = true
		d.slots.held[p.slot] = &holding{node: id}
		d.account(p)
		d.slots.held[p.slot].used = 0
		return nil
	})
}
