package cache

import (
	"encoding/binary"
	"slices"
	"time"

	"satchel/api"
)

// An entry of the journal is a mutation that the server has not answered.
type entry struct {
	seq   uint64
	m     api.Mutation
	stays bool // never sent: see stay.go
	doubt bool // it stays only until an ignore file can be read
	sent  bool // in the batch in flight: immutable, and no longer a target of coalescing
	gone  bool

	since uint64 // seq, or the number of an older one whose content it carries now: see inherit

	waits bool   // for content (hot.entry): see awaits
	also  *entry // another one in the same place of journal.waitsAt

	after time.Time // not to be sent before; zero = at once
	fails int       // how often the server failed on it alone
	why   error     // the last time
}

// place is a name in a directory.
type place struct {
	parent api.ID
	name   api.Name
}

// A journal is the pending mutations in the order in which they were made.
// Pebble has the same under keyJournal. Guarded by Drive.mu.
type journal struct {
	order   []*entry // may contain gone ones
	live    int
	failing int                 // live ones on which the server fails
	byNode  map[api.ID][]*entry // Node and Replaces
	places  map[place]int       // how many live entries name this place
	under   map[api.ID]int      // and a place in this directory
	last    uint64
	heirs   map[*entry]bool // live ones that are older than their number says

	staying   map[api.ID]*entry // the entries of nodes that stay on this machine
	staysAt   map[place]int     // how many have this place
	stayUnder map[api.ID]int    // how many places in this directory are theirs
	doubts    int               // how many are in doubt

	// Of those that are to be sent, the ones that wait for content: how many, and the creations among them by directory and name.
	waits   int
	waitsAt map[api.ID]map[api.Name]*entry
}

func newJournal() journal {
	return journal{byNode: map[api.ID][]*entry{}, places: map[place]int{}, under: map[api.ID]int{}, heirs: map[*entry]bool{},
		staying: map[api.ID]*entry{}, staysAt: map[place]int{}, stayUnder: map[api.ID]int{}, waitsAt: map[api.ID]map[api.Name]*entry{}}
}

// places is the n places that a mutation is about.
func places(m *api.Mutation) (at [2]place, n int) {
	if m.Op != api.OpWrite && !m.Parent.IsZero() {
		at[n] = place{m.Parent, m.Name}
		n++
	}
	if !m.ToParent.IsZero() {
		at[n] = place{m.ToParent, m.ToName}
		n++
	}
	return at, n
}

func (j *journal) add(e *entry) {
	j.order = append(j.order, e)
	j.live++
	if e.fails > 0 {
		j.failing++
	}
	j.last = max(j.last, e.seq)
	if e.since == 0 {
		e.since = e.seq
	}
	if e.since < e.seq {
		j.heirs[e] = true
	}
	j.byNode[e.m.Node] = append(j.byNode[e.m.Node], e)
	if !e.m.Replaces.IsZero() {
		j.byNode[e.m.Replaces] = append(j.byNode[e.m.Replaces], e)
	}
	at, n := places(&e.m)
	for _, p := range at[:n] {
		j.places[p]++
		j.under[p.parent]++
	}
	if e.waits {
		j.wait(e)
	}
	if e.stays {
		j.staying[e.m.Node] = e
		j.doubts += count(e.doubt)
		j.staysAt[place{e.m.Parent, e.m.Name}]++
		j.stayUnder[e.m.Parent]++
	}
}

// setDoubt notes whether a live entry stays only until an ignore file can be read.
func (j *journal) setDoubt(e *entry, doubt bool) {
	j.doubts += count(doubt) - count(e.doubt)
	e.doubt = doubt
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// remove takes an entry out of the order and the indexes.
func (j *journal) remove(e *entry) {
	e.gone = true
	j.live--
	delete(j.heirs, e)
	if e.fails > 0 {
		j.failing--
	}
	for _, id := range [...]api.ID{e.m.Node, e.m.Replaces} {
		if l := slices.DeleteFunc(j.byNode[id], func(x *entry) bool { return x == e }); len(l) == 0 {
			delete(j.byNode, id)
		} else {
			j.byNode[id] = l
		}
	}
	at, n := places(&e.m)
	for _, p := range at[:n] {
		if j.places[p]--; j.places[p] == 0 {
			delete(j.places, p)
		}
		if j.under[p.parent]--; j.under[p.parent] == 0 {
			delete(j.under, p.parent)
		}
	}
	if e.waits {
		j.unwait(e)
	}
	if e.stays {
		delete(j.staying, e.m.Node)
		j.doubts -= count(e.doubt)
		if at := (place{e.m.Parent, e.m.Name}); j.staysAt[at] > 1 {
			j.staysAt[at]--
		} else {
			delete(j.staysAt, at)
		}
		if j.stayUnder[e.m.Parent]--; j.stayUnder[e.m.Parent] == 0 {
			delete(j.stayUnder, e.m.Parent)
		}
	}
	if len(j.order) > 64 && j.live < len(j.order)/2 {
		j.order = slices.DeleteFunc(j.order, func(e *entry) bool { return e.gone })
	}
}

// inherit notes that a live entry carries the content of another one, which is gone or takes no part in it any more: who waits for that waits for e.
func (j *journal) inherit(e, was *entry) {
	if was.since < e.since {
		e.since = was.since
		j.heirs[e] = true
	}
}

// oldest is since when the server lacks something that was pending, as the number of an entry; 0 when nothing is pending.
func (j *journal) oldest() (since uint64) {
	for _, e := range j.order {
		if !e.gone && !e.stays {
			since = e.since
			break
		}
	}
	for e := range j.heirs {
		if !e.stays {
			since = min(since, e.since)
		}
	}
	return since
}

// fail notes that the server failed on a live entry alone.
func (j *journal) fail(e *entry, why error) {
	if e.fails == 0 {
		j.failing++
	}
	e.fails++
	e.why = why
}

// sending tells whether content of a node is in the batch in flight: then what its base will be is not known.
func (j *journal) sending(id api.ID) bool {
	return slices.ContainsFunc(j.byNode[id], func(e *entry) bool {
		return e.sent && e.m.Node == id && (e.m.Op == api.OpWrite || e.m.Op == api.OpCreate)
	})
}

// find returns the live entry with a number.
func (j *journal) find(seq uint64) *entry {
	lo, hi := 0, len(j.order)
	for lo < hi {
		if m := (lo + hi) / 2; j.order[m].seq < seq {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(j.order) && j.order[lo].seq == seq && !j.order[lo].gone {
		return j.order[lo]
	}
	return nil
}

// unanswered is how many live entries the server is to hear of.
func (j *journal) unanswered() int { return j.live - len(j.staying) }

// unsent is the node's last live entry with one of the ops that was not sent yet.
func (j *journal) unsent(id api.ID, ops ...api.Op) *entry {
	l := j.byNode[id]
	for i := len(l) - 1; i >= 0; i-- {
		if e := l[i]; !e.sent && e.m.Node == id && slices.Contains(ops, e.m.Op) {
			return e
		}
	}
	return nil
}

// changedIn tells whether an entry after seq makes, moves or removes something in a directory.
func (j *journal) changedIn(dir api.ID, seq uint64) bool {
	if j.under[dir] == 0 {
		return false
	}
	for _, e := range slices.Backward(j.order) {
		if e.seq <= seq {
			return false
		}
		if !e.gone && (e.m.Op != api.OpWrite && e.m.Parent == dir || e.m.ToParent == dir) {
			return true
		}
	}
	return false
}

// Which optional fields of an Attr are present.
const (
	hasMode = 1 << iota
	hasUID
	hasGID
	hasMtime
	hasAttr
)

var ops = [...]api.Op{api.OpCreate, api.OpLink, api.OpUnlink, api.OpRmdir, api.OpRename, api.OpExchange, api.OpSetattr, api.OpWrite}

// appendMutation encodes a mutation as made here: without Version, which is found by
// hashing when the mutation is sent, and Conflict.
func appendMutation(b []byte, m *api.Mutation) []byte {
	b = append(b, byte(slices.Index(ops[:], m.Op)))
	b = append(b, m.Node[:]...)
	b = append(b, m.Parent[:]...)
	b = appendString(b, string(m.Name))
	b = append(b, m.ToParent[:]...)
	b = appendString(b, string(m.ToName))
	b = append(b, m.Replaces[:]...)
	b = append(b, m.Base[:]...)
	b = append(b, m.Heir[:]...)
	b = binary.AppendVarint(b, m.Time)
	a := m.Attr
	if a == nil {
		return append(b, 0)
	}
	flags := byte(hasAttr)
	var mode uint32
	var uid, gid, mtime int64
	if a.Mode != nil {
		flags, mode = flags|hasMode, *a.Mode
	}
	if a.UID != nil {
		flags, uid = flags|hasUID, *a.UID
	}
	if a.GID != nil {
		flags, gid = flags|hasGID, *a.GID
	}
	if a.Mtime != nil {
		flags, mtime = flags|hasMtime, *a.Mtime
	}
	b = append(b, flags)
	b = appendString(b, string(a.Type))
	b = binary.AppendUvarint(b, uint64(mode))
	for _, v := range [...]int64{uid, gid, mtime, int64(a.Rdev)} {
		b = binary.AppendVarint(b, v)
	}
	b = appendString(b, string(a.Target))
	return appendXattrs(b, a.Xattrs)
}

func decodeMutation(b []byte) (api.Mutation, error) {
	d := reader{b: b}
	op := d.byte()
	if int(op) >= len(ops) {
		return api.Mutation{}, errCorrupt
	}
	m := api.Mutation{Op: ops[op], Node: d.id(), Parent: d.id(), Name: api.Name(d.string())}
	m.ToParent, m.ToName = d.id(), api.Name(d.string())
	m.Replaces, m.Base, m.Heir, m.Time = d.id(), d.id(), d.id(), d.varint()
	if flags := d.byte(); flags != 0 {
		a := &api.Attr{Type: api.Type(d.string())}
		mode, uid, gid, mtime := uint32(d.uvarint()), d.varint(), d.varint(), d.varint()
		a.Rdev = uint32(d.varint())
		if flags&hasMode != 0 {
			a.Mode = &mode
		}
		if flags&hasUID != 0 {
			a.UID = &uid
		}
		if flags&hasGID != 0 {
			a.GID = &gid
		}
		if flags&hasMtime != 0 {
			a.Mtime = &mtime
		}
		a.Target, a.Xattrs = api.Name(d.string()), d.xattrs()
		m.Attr = a
	}
	if d.bad || len(d.b) != 0 {
		return api.Mutation{}, errCorrupt
	}
	return m, nil
}

// merge adds the fields that b sets to a.
func merge(a, b *api.Attr) {
	if b.Mode != nil {
		a.Mode = b.Mode
	}
	if b.UID != nil {
		a.UID = b.UID
	}
	if b.GID != nil {
		a.GID = b.GID
	}
	if b.Mtime != nil {
		a.Mtime = b.Mtime
	}
	for k, v := range b.Xattrs {
		if a.Xattrs == nil {
			a.Xattrs = map[string][]byte{}
		}
		a.Xattrs[k] = v
	}
}

// restore puts a removed entry back in its place with a changed mutation.
func (j *journal) restore(e *entry, m api.Mutation) {
	e.m, e.gone = m, false
	last := j.last
	i, found := slices.BinarySearchFunc(j.order, e.seq, func(x *entry, seq uint64) int {
		switch {
		case x.seq < seq:
			return -1
		case x.seq > seq:
			return 1
		}
		return 0
	})
	j.add(e) // appends: move it to its place
	j.order = j.order[:len(j.order)-1]
	if !found {
		j.order = slices.Insert(j.order, i, e)
	}
	j.last = last
}
