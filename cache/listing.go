package cache

import (
	"slices"
	"time"

	"satchel/api"
)

// A listing is the entries of one complete directory in memory, by name and
// in the order of their seq. Pebble has the same; it may be dropped at any time.
type listing struct {
	byName map[api.Name]*kid
	order  []*kid // ascending seq; removed ones stay until compaction, with name ""
	gone   int    // removed ones in order
	last   uint64 // the highest seq given
	bytes  int64  // estimate of the memory held
	asked  int64  // bytes when the memory cache was last told
}

// kidOverhead is what an entry costs in memory besides its name, bytes.
const kidOverhead = 120

func newListing() *listing { return &listing{byName: map[api.Name]*kid{}, bytes: 256} }

// add inserts an entry at the end and returns it. The name must be free.
func (l *listing) add(name api.Name, id api.ID, typ byte) *kid {
	l.last++
	k := &kid{id: id, typ: typ, seq: l.last, name: name}
	l.byName[name] = k
	l.order = append(l.order, k)
	l.bytes += kidOverhead + int64(len(name))
	return k
}

// remove takes a name out; it must be there.
func (l *listing) remove(name api.Name) {
	k := l.byName[name]
	delete(l.byName, name)
	k.name = ""
	l.bytes -= kidOverhead + int64(len(name))
	if l.gone++; l.gone > 64 && l.gone > len(l.order)/2 {
		l.order = slices.DeleteFunc(l.order, func(k *kid) bool { return k.name == "" })
		l.gone = 0
	}
}

// rename gives an entry another name, which must be free; it keeps its place.
func (l *listing) rename(k *kid, name api.Name) {
	delete(l.byName, k.name)
	l.bytes += int64(len(name)) - int64(len(k.name))
	k.name = name
	l.byName[name] = k
}

// after returns the entries whose seq is above a given one. It may contain removed ones.
func (l *listing) after(seq uint64) []*kid {
	i, _ := slices.BinarySearchFunc(l.order, seq+1, func(k *kid, s uint64) int {
		switch {
		case k.seq < s:
			return -1
		case k.seq > s:
			return 1
		}
		return 0
	})
	return l.order[i:]
}

// loadListing reads a complete directory from Pebble; locked.
func (d *Drive) loadListing(n *node) (*listing, error) {
	l := newListing()
	prefix := entryKey(n.id, "")
	err := d.st.scan(prefix, func(key, v []byte) error {
		k, err := decodeKid(v)
		if err != nil {
			return err
		}
		k.name = api.Name(key[len(prefix):])
		l.byName[k.name] = &k
		l.order = append(l.order, &k)
		l.last = max(l.last, k.seq)
		l.bytes += kidOverhead + int64(len(k.name))
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(l.order, func(a, b *kid) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	return l, nil
}

// The nodes that are kept for who reads a directory: how many at most, and for how long.
const (
	readLimit = 1 << 17
	readTime  = 10 * time.Second
)

// keepRead keeps in memory what was found in a directory that somebody waits to read, with the attributes of all that
// is in it: until he is through, another one is read so, or readTime is over, since he may have stopped. Locked.
func (d *Drive) keepRead(dir *node, found []*node) {
	d.letGoRead()
	d.readIn, d.readSoon = dir, found[:min(len(found), readLimit)]
	for _, n := range d.readSoon {
		n.readSoon = true
	}
	var end *time.Timer
	end = time.AfterFunc(readTime, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.readEnd == end { // else it is another one's
			d.letGoRead()
		}
	})
	d.readEnd = end
}

// letGoRead lets go of them; locked.
func (d *Drive) letGoRead() {
	if d.readIn == nil {
		return
	}
	d.readEnd.Stop()
	nodes := d.readSoon
	d.readIn, d.readSoon, d.readEnd = nil, nil, nil
	for _, n := range nodes {
		n.readSoon = false
		d.letGo(n)
	}
}
