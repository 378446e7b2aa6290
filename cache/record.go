package cache

import (
	"encoding/binary"
	"errors"
	"slices"

	"satchel/api"
)

// Keys of the replica. Each is a letter, then fixed-size binary ids, then
// at most one name.
const (
	keyNode    = 'n' // node id → record
	keyEntry   = 'e' // parent id, name → kid
	keyJournal = 'j' // journal number → mutation
	keySlot    = 's' // slot number → slotRecord
	keyStays   = 'l' // node id → nothing: it stays on this machine
	keyPartial = 'p' // node id → what is here of a cold large file
	keyAstray  = 'a' // node id → nothing: it has lost a name in a directory that is in doubt
	keyMeta    = 'm' // word → value
)

func nodeKey(id api.ID) []byte { return append([]byte{keyNode}, id[:]...) }

func entryKey(parent api.ID, name api.Name) []byte {
	k := make([]byte, 0, 17+len(name))
	k = append(k, keyEntry)
	k = append(k, parent[:]...)
	return append(k, name...)
}

func journalKey(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyJournal}, n) }
func slotKey(n uint64) []byte    { return binary.BigEndian.AppendUint64([]byte{keySlot}, n) }
func astrayKey(id api.ID) []byte { return append([]byte{keyAstray}, id[:]...) }
func metaKey(word string) []byte { return append([]byte{keyMeta}, word...) }

// A record is a node as this machine sees it: what the server said with the
// pending mutations replayed.
type record struct {
	typ      byte   // api.Type's letter
	mode     uint32 // 07777
	uid, gid int64
	nlink    uint32
	rdev     uint32
	size     int64
	atime    int64 // ns; local to this machine
	mtime    int64
	ctime    int64
	btime    int64
	version  api.ID   // files: the base of what is in the slot, or what a cold read fetches
	sha      api.Hash // of version
	rev      int64    // seq of the server's last word about the node
	slot     uint64   // files: the content file; 0 = cold
	taken    int64    // files: 1 + the blocks that it takes up; 0 = as many as its size needs
	flags    byte
	target   string
	xattrs   map[string][]byte

	// The entry through which the node was last reached: where a conflict copy
	// goes, and a directory's "..".
	up   api.ID
	name api.Name
}

const (
	flagAcked    = 1 << iota // the server has the node
	flagComplete             // directories: all entries are in the replica
	flagCounted              // the number of links is the server's, which had not heard of all that was done to the names here
	flagFewer                // or it said that there are fewer, and not which names are gone
	flagDated                // rev is no older than the content here: this device's own changes count, too
)

func (r *record) isDir() bool  { return r.typ == 'd' }
func (r *record) isFile() bool { return r.typ == 'f' }

var errCorrupt = errors.New("a record of the replica is damaged")

// append encodes the record.
func (r *record) append(b []byte) []byte {
	b = append(b, r.typ, r.flags)
	b = binary.AppendUvarint(b, uint64(r.mode))
	b = binary.AppendVarint(b, r.uid)
	b = binary.AppendVarint(b, r.gid)
	b = binary.AppendUvarint(b, uint64(r.nlink))
	b = binary.AppendUvarint(b, uint64(r.rdev))
	for _, v := range [...]int64{r.size, r.atime, r.mtime, r.ctime, r.btime, r.rev} {
		b = binary.AppendVarint(b, v)
	}
	b = binary.AppendUvarint(b, r.slot)
	b = append(b, r.version[:]...)
	b = append(b, r.sha[:]...)
	b = append(b, r.up[:]...)
	b = appendString(b, string(r.name))
	b = appendString(b, r.target)
	b = appendXattrs(b, r.xattrs)
	return binary.AppendVarint(b, r.taken)
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendXattrs writes names, and values with their length plus one: 0 stands
// for nil, a removal.
func appendXattrs(b []byte, x map[string][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(x)))
	if len(x) == 0 {
		return b
	}
	names := make([]string, 0, len(x))
	for k := range x {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		b = appendString(b, k)
		if v := x[k]; v == nil {
			b = append(b, 0)
		} else {
			b = binary.AppendUvarint(b, uint64(len(v))+1)
			b = append(b, v...)
		}
	}
	return b
}

// A reader decodes; after the first damage all it returns is zero and bad is set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string { return string(r.take(r.uvarint())) }

func (r *reader) id() (id api.ID) {
	copy(id[:], r.take(16))
	return id
}

func (r *reader) hash() (h api.Hash) {
	copy(h[:], r.take(32))
	return h
}

func (r *reader) xattrs() map[string][]byte {
	n := r.uvarint()
	if n == 0 || n > uint64(len(r.b)) {
		r.bad = r.bad || n != 0
		return nil
	}
	x := make(map[string][]byte, n)
	for range n {
		k := r.string()
		if l := r.uvarint(); l == 0 {
			x[k] = nil
		} else {
			x[k] = append([]byte{}, r.take(l-1)...)
		}
	}
	return x
}

func decodeRecord(b []byte) (record, error) {
	d := reader{b: b}
	r := record{typ: d.byte(), flags: d.byte()}
	r.mode = uint32(d.uvarint())
	r.uid, r.gid = d.varint(), d.varint()
	r.nlink, r.rdev = uint32(d.uvarint()), uint32(d.uvarint())
	for _, p := range [...]*int64{&r.size, &r.atime, &r.mtime, &r.ctime, &r.btime, &r.rev} {
		*p = d.varint()
	}
	r.slot = d.uvarint()
	r.version, r.sha = d.id(), d.hash()
	r.up, r.name = d.id(), api.Name(d.string())
	r.target = d.string()
	r.xattrs = d.xattrs()
	r.taken = d.varint()
	if d.bad || len(d.b) != 0 {
		return record{}, errCorrupt
	}
	return r, nil
}

// A kid is an entry of a directory. seq is its place in the directory's order, kept
// for its lifetime, so a directory offset means the same after a restart.
type kid struct {
	id   api.ID
	typ  byte
	seq  uint64
	name api.Name // "" once removed
}

func (k *kid) append(b []byte) []byte {
	b = append(b, k.id[:]...)
	b = append(b, k.typ)
	return binary.AppendUvarint(b, k.seq)
}

func decodeKid(b []byte) (kid, error) {
	d := reader{b: b}
	k := kid{id: d.id(), typ: d.byte(), seq: d.uvarint()}
	if d.bad {
		return kid{}, errCorrupt
	}
	return k, nil
}

// A slotRecord says what a content file holds.
type slotRecord struct {
	node    api.ID
	version api.ID // clean: the version it is; dirty: unused
	dirty   bool   // may differ from the node's version: hash before trusting
	ctime   int64  // clean: the file's ctime when it was found final, ns
}

func (s *slotRecord) append(b []byte) []byte {
	b = append(b, s.node[:]...)
	b = append(b, s.version[:]...)
	if s.dirty {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return binary.AppendVarint(b, s.ctime)
}

func decodeSlot(b []byte) (slotRecord, error) {
	d := reader{b: b}
	s := slotRecord{node: d.id(), version: d.id(), dirty: d.byte() == 1, ctime: d.varint()}
	if d.bad {
		return slotRecord{}, errCorrupt
	}
	return s, nil
}
