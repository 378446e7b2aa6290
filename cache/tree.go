package cache

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"satchel/api"
)

// Interrupt is closed when the program gives up its call (FUSE INTERRUPT).
type Interrupt = <-chan struct{}

// patience is how long a call waits for the server, when it must.
const patience = 5 * time.Second

// adopt brings a node into memory; locked.
func (d *Drive) adopt(id api.ID, r record) *node {
	d.lastFID++
	n := &node{record: r, id: id, fid: d.lastFID, ino: id.Hash64(), rw: -1}
	d.byID[id] = n
	d.byFID[n.fid] = n
	return n
}

// load returns a node from memory or Pebble, nil when there is none; locked.
func (d *Drive) load(id api.ID) (*node, error) {
	if n := d.byID[id]; n != nil {
		return n, nil
	}
	v, c, err := d.st.Get(nodeKey(id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := decodeRecord(v)
	c.Close()
	if err != nil {
		return nil, err
	}
	return d.adopt(id, r), nil
}

// loadAtOnce is how many nodes of a directory are brought into memory together: about as many as one READDIRPLUS of a page tells of.
const loadAtOnce = 32

// loadKids brings the nodes of the first few of these entries into memory, where they are not, and returns them; locked.
func (d *Drive) loadKids(kids []*kid) (loaded []*node, err error) {
	var keys [][]byte
	for _, k := range kids[:min(len(kids), loadAtOnce)] {
		if k.name != "" && d.byID[k.id] == nil {
			keys = append(keys, nodeKey(k.id))
		}
	}
	slices.SortFunc(keys, bytes.Compare)
	return d.loadKeys(slices.CompactFunc(keys, bytes.Equal))
}

// loadKeys brings nodes into memory that are not, as far as there are such, and returns them; locked. keys are sorted.
func (d *Drive) loadKeys(keys [][]byte) (loaded []*node, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	err = d.st.read(keys, func(k, v []byte) error {
		r, err := decodeRecord(v)
		if err == nil {
			loaded = append(loaded, d.adopt(api.ID(k[1:]), r))
		}
		return err
	})
	return loaded, err
}

// known returns the node that the kernel means; locked.
func (d *Drive) known(fid uint64) (*node, error) {
	if n := d.byFID[fid]; n != nil {
		return n, nil
	}
	return nil, ErrStale
}

// letGo forgets a node that nothing needs in memory; locked.
func (d *Drive) letGo(n *node) {
	if n.uncommitted > 0 {
		n.leaving = true
		return
	}
	if n.unsaved || n.readSoon || n.held > 0 || n.lookups > 0 || n.opens > 0 || n.hot != nil || n.c != nil || n.part != nil || n.list != nil || n.fetch != nil {
		return
	}
	delete(d.byFID, n.fid)
	if d.byID[n.id] == n {
		delete(d.byID, n.id)
	}
}

// dir returns the entries of a directory, fetching them first if this
// machine never did. Locked; the lock is given up while it waits, at most for
// patience. A listing stays valid until the lock is given up again.
func (d *Drive) dir(n *node, intr Interrupt) (*listing, error) { return d.entriesOf(n, false, intr) }

// entriesOf is dir for a call that may be about all of the entries: then it waits for as long as they come.
func (d *Drive) entriesOf(n *node, all bool, intr Interrupt) (*listing, error) {
	if !n.isDir() {
		return nil, errNotDir
	}
	if n.list != nil {
		d.mem.used(n.id)
		if n.list.bytes > 2*n.list.asked {
			d.grown(n)
		}
		return n.list, nil
	}
	if n.flags&flagComplete == 0 {
		n.held++ // what comes is for this one in memory, whoever lets go of it meanwhile
		err := d.completed(n, all, intr)
		n.held--
		if err != nil {
			d.letGo(n)
			return nil, err
		}
	}
	if n.list != nil { // as it was fetched
		return n.list, nil
	}
	l, err := d.loadListing(n)
	if err != nil {
		return nil, err
	}
	n.list = l
	d.grown(n)
	return l, nil
}

// completed waits until a directory has been listed; locked, and given up meanwhile.
func (d *Drive) completed(n *node, all bool, intr Interrupt) error {
	for since := time.Now(); n.flags&flagComplete == 0; {
		if n.dead {
			return errNotFound
		}
		f := d.fetchDir(n)
		err := d.await(f, since, all, intr)
		if err == errOffline && !f.ended && time.Since(since) < patience { // its moment is over
			d.askAlone(n, f)
			continue
		}
		if err != nil && !(f.givenUp && f.ended) { // else it is to be asked for again
			return err
		}
	}
	return nil
}

// await gives up the lock until a listing ends, and returns how it ended. A call that began at a time waits for patience, but for who
// wants all of it as long as it comes; and for what was asked for with others only a moment. Locked.
func (d *Drive) await(f *fetch, since time.Time, all bool, intr Interrupt) error {
	d.join(f)
	defer d.leave(f)
	until := since.Add(patience)
	if moment := time.Now().Add(company); f.among && moment.Before(until) {
		until = moment
	}
	d.mu.Unlock()
	err := f.wait(until, all, intr)
	d.mu.Lock()
	if err == errOffline && f.ended { // it was being made complete
		err = f.err
	}
	return err
}

// wait is await without the lock.
func (f *fetch) wait(until time.Time, all bool, intr Interrupt) error {
	for {
		t := time.NewTimer(time.Until(until))
		select {
		case <-f.done:
			t.Stop()
			return f.err
		case <-intr:
			t.Stop()
			return errStopped
		case <-t.C:
		}
		if until = f.patient(); !all || !until.After(time.Now()) {
			return errOffline
		}
	}
}

// grown tells the memory how large a listing became; locked.
func (d *Drive) grown(n *node) {
	if l := n.list; l != nil && l.bytes > 2*l.asked && d.mem.keep(n.id, l.bytes) {
		l.asked = l.bytes
	}
}

// forgetListing drops a listing that the memory has no room for.
func (d *Drive) forgetListing(id api.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.byID[id]; n != nil && n.list != nil {
		n.list = nil
		d.letGo(n)
	}
}

// refer counts a reference that the kernel is about to get; locked.
func (d *Drive) refer(n *node) Attr {
	d.met(n)
	return d.attr(n)
}

// child looks a name up in a complete directory; nil when there is none. Locked.
func (d *Drive) child(l *listing, name api.Name) (*node, error) {
	k := l.byName[name]
	if k == nil {
		return nil, nil
	}
	n, err := d.load(k.id)
	if err == nil && n == nil {
		err = errCorrupt // an entry without its node
	}
	return n, err
}

// Lookup finds a name. A missing one is NotFound, and the Attr says how long
// the kernel may remember that.
func (d *Drive) Lookup(parent uint64, name string, intr Interrupt) (Attr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.known(parent)
	if err != nil {
		return Attr{}, err
	}
	if len(name) > api.MaxName {
		return Attr{}, errTooLong
	}
	l, err := d.dir(p, intr)
	if err != nil {
		return Attr{}, err
	}
	n, err := d.child(l, api.Name(name))
	if err == nil && n == nil && d.catchUp(intr) {
		if l, err = d.dir(p, intr); err == nil {
			n, err = d.child(l, api.Name(name))
		}
	}
	if err != nil {
		return Attr{}, err
	}
	if n == nil {
		return Attr{EntryValid: d.validity()}, errNotFound
	}
	n.up, n.name = p.id, api.Name(name)
	return d.refer(n), nil
}

// Forget takes back references that the kernel had.
func (d *Drive) Forget(fid, lookups uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.byFID[fid]; n != nil && fid != rootFID {
		if n.lookups > 0 {
			if n.lookups -= min(lookups, n.lookups); n.lookups == 0 {
				d.unmet(n)
			}
		}
		d.rot(n)
		d.letGo(n)
	}
}

// Dirent is an entry as readdir shows it.
type Dirent struct {
	Name string
	Ino  uint64
	Mode uint32 // type bits
	Off  uint64 // where to go on after it
}

// ReadDir calls fn with the entries of a directory after an offset (0 = from the
// start) until it returns false. plus is asked, after fn took an entry, to show the attributes too
// (nil: names only): it gets a reference for the kernel. While the kernel knows too many nodes it is not asked.
func (d *Drive) ReadDir(fid, off uint64, intr Interrupt, fn func(Dirent) bool, plus func(Attr)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.known(fid)
	if err != nil {
		return err
	}
	if n.dead {
		return nil
	}
	if off == 0 && n.isDir() {
		d.passes(n)
	}
	if plus != nil {
		n.awaited++
	}
	l, err := d.entriesOf(n, true, intr)
	if plus != nil {
		n.awaited--
	}
	if err != nil {
		return err
	}
	d.accessed(n)
	if err := d.save(maxUnsaved); err != nil {
		return err
	}
	// Offsets 1 and 2 are behind "." and ".."; entry k is at k.seq + 2.
	if off < 1 && !fn(Dirent{".", n.ino, typeBits('d'), 1}) {
		return nil
	}
	if off < 2 {
		up := n.ino
		if n != d.root {
			up = d.inoOf(n.up)
		}
		if !fn(Dirent{"..", up, typeBits('d'), 2}) {
			return nil
		}
		off = 2
	}
	var loaded []*node
	defer func() {
		for _, kid := range loaded { // those that were not shown
			d.letGo(kid)
		}
	}()
	if plus != nil && d.remembered.full() {
		d.askToForget()
	}
	kids := l.after(off - 2)
	for i, k := range kids {
		if k.name == "" {
			continue
		}
		e := Dirent{string(k.name), d.inoOf(k.id), typeBits(k.typ), k.seq + 2}
		if plus == nil || d.remembered.full() {
			if !fn(e) {
				return nil
			}
			continue
		}
		if d.byID[k.id] == nil {
			more, err := d.loadKids(kids[i:])
			loaded = append(loaded, more...)
			if err != nil && d.byID[k.id] == nil {
				if i > 0 { // the kernel counts what it is told of; who reads on gets the error
					return nil
				}
				return err
			}
		}
		kid := d.byID[k.id]
		if kid == nil {
			d.log.Error("an entry without its node", "name", k.name, "node", k.id)
			continue
		}
		if !fn(e) {
			d.letGo(kid)
			return nil
		}
		kid.up, kid.name = n.id, k.name
		plus(d.refer(kid))
	}
	if d.readIn == n {
		d.letGoRead()
	}
	return nil
}

func (d *Drive) inoOf(id api.ID) uint64 {
	if id == d.root.id {
		return d.root.ino
	}
	return id.Hash64()
}
