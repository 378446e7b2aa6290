package cache

import (
	"time"

	"satchel/api"
)

// rootFID is the root's FUSE node id (FUSE_ROOT_ID).
const rootFID = 1

// A node is an inode in memory. It exists while the kernel knows it, a
// program has it open, or there is work to do on it; Pebble has the rest.
// All fields are guarded by Drive.mu.
type node struct {
	record
	id  api.ID
	fid uint64 // the FUSE node id; a file whose content another device replaced while open gets a new one
	ino uint64 // st_ino: the same for every fid of the node

	aside    place     // files: where it was before a rename moved it aside
	asideAt  int64     // when, ns
	listed   time.Time // directories: when a program last listed it
	awaited  int       // and how many wait to read it, with the attributes of all in it
	readSoon bool      // in Drive.readSoon
	held     int       // calls that wait for its listing

	lookups uint64 // the kernel's references
	queued  bool   // in Drive.remembered.queue
	asked   bool   // the kernel was asked to forget it
	again   bool   // it got another reference since it was last in front of the queue
	list    *listing
	dead    bool // no entry points to it; it lives on for those who have it open
	unborn  bool // and none did: made by O_TMPFILE
	gone    bool // the server said so

	unsaved     bool // in Drive.unsaved
	uncommitted int  // how often its record was written in a transaction that is not committed
	leaving     bool // to be let go after that

	// Files
	opens   int   // open handles
	writers int   // of which for writing
	told    bool  // the kernel may keep the attributes that it was told
	resized bool  // another device changed its size since the kernel knows it: that may take another one for its end
	unaware bool  // and the kernel was told nothing of it since
	lent    int64 // when it last was told some for writtenValid, ns; 0 = not since the file was made
	pass    bool  // the open handles are passthrough (all of them or none)
	rw      int   // descriptor for reading and writing while handles are not passthrough; -1 = none
	c       *content
	rules   *ruleset // directories: what stays on this machine, as of
	rulesAt int      // Drive.ignores.gen
	ahead   bool     // cold files, listings: fetched before anybody asked for it
	part    *partial // cold files: what is here of the content, while somebody reads it
	hot     *hot     // content may differ from version: see dirty.go
	stale   bool     // another node has its place: the content was replaced, or came damaged; this fid serves the handles opened before
	fetch   *fetch   // the download or listing under way
}

// Attr is what stat(2) shows.
type Attr struct {
	FID, Ino            uint64
	Mode                uint32 // with the type bits
	Nlink, UID, GID     uint32
	Rdev                uint32
	Size                int64
	Blocks              int64         // of 512 bytes
	Atime, Mtime, Ctime int64         // ns
	Btime               int64         // ns
	Valid               time.Duration // how long the kernel may keep the attributes
	EntryValid          time.Duration // and the name
}

func typeBits(t byte) uint32 {
	switch t {
	case 'd':
		return 0o040000
	case 'l':
		return 0o120000
	case 'p':
		return 0o010000
	case 's':
		return 0o140000
	case 'b':
		return 0o060000
	case 'c':
		return 0o020000
	}
	return 0o100000
}

func typeOf(mode uint32) byte {
	switch mode & 0o170000 {
	case 0o040000:
		return 'd'
	case 0o120000:
		return 'l'
	case 0o010000:
		return 'p'
	case 0o140000:
		return 's'
	case 0o060000:
		return 'b'
	case 0o020000:
		return 'c'
	}
	return 'f'
}

// toOwner stores the mounting user's own id as api.Self.
func toOwner(id, self uint32) int64 {
	if id == self {
		return api.Self
	}
	return int64(id)
}

func fromOwner(id int64, self uint32) uint32 {
	if id == api.Self {
		return self
	}
	return uint32(id)
}

// attr fills in what stat shows of n; locked.
func (d *Drive) attr(n *node) Attr {
	if n.opens > 0 || n.hot != nil { // programs may be reading and writing unseen
		d.pull(n)
	}
	a := Attr{
		FID: n.fid, Ino: n.ino, Mode: n.mode | typeBits(n.typ),
		Nlink: n.nlink, UID: fromOwner(n.uid, d.cfg.UID), GID: fromOwner(n.gid, d.cfg.GID), Rdev: n.rdev,
		Size: n.size, Blocks: n.blocks(), Btime: n.btime, Atime: n.atime, Mtime: n.mtime, Ctime: n.ctime,
	}
	a.EntryValid = d.validity()
	n.unaware = false
	if n.unsure() { // whoever opens it asks again
		n.told = true
		return a
	}
	if n.writers == 0 && !(n.pass && n.hot != nil && n.c != nil && !n.c.unwritten()) { // no handle, and no mapping that outlived one
		a.Valid = a.EntryValid
		n.told = true
	} else {
		a.Valid = writtenValid
		n.lent = now()
	}
	return a
}

// writtenValid is how long the kernel may keep the attributes of a file that is open for writing.
// It takes back by itself what its own writes change, so only stores through a mapping
// may be seen this much later; and programs like to fstat what they just opened.
const writtenValid = 10 * time.Millisecond

func (n *node) blocks() int64 {
	switch {
	case !n.isFile():
		return 0
	case n.taken > 0:
		return n.taken - 1
	}
	return sectorsOf(n.size)
}

// stored is how much of the disk its content takes up, bytes: a sparse file's holes take none.
func (n *node) stored() int64 { return min(n.size, 512*n.blocks()) }

// validity is how long the kernel may keep what it was told: for hours while
// the change feed is connected, which takes it back when it must.
func (d *Drive) validity() time.Duration {
	if d.connected.Load() {
		return 4 * time.Hour
	}
	return time.Second
}

func now() int64 { return time.Now().UnixNano() }
