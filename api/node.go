package api

// Type is the kind of a node, as find(1)'s -type letters.
type Type string

const (
	File        Type = "f"
	Directory   Type = "d"
	Symlink     Type = "l"
	FIFO        Type = "p"
	Socket      Type = "s"
	BlockDevice Type = "b"
	CharDevice  Type = "c"
)

// Self is the uid or gid of whoever mounts the drive: files that belong to
// the mounting user do so on every machine.
const Self int64 = -1

// Node is an inode as the server has it. Times are nanoseconds since 1970 by
// the clock of the device that set them. The access time is local to a
// machine and does not travel.
type Node struct {
	ID     ID                `json:"id"`
	Type   Type              `json:"type"`
	Mode   uint32            `json:"mode"` // permission, setuid, setgid and sticky bits: 07777
	UID    int64             `json:"uid"`
	GID    int64             `json:"gid"`
	Nlink  uint32            `json:"nlink"` // entries that point to a file; directories: 2 + subdirectories
	Size   int64             `json:"size"`  // bytes; of a symlink, of its target
	Mtime  int64             `json:"mtime"`
	Ctime  int64             `json:"ctime"`
	Btime  int64             `json:"btime"`
	Rdev   uint32            `json:"rdev,omitempty"`
	Target Name              `json:"target,omitempty"` // of a symlink
	Xattrs map[string][]byte `json:"xattrs,omitempty"`

	// Of files only.
	Version  ID   `json:"version,omitzero"`  // the current one
	SHA256   Hash `json:"sha256,omitzero"`   // of the current version
	Document ID   `json:"document,omitzero"` // what a person means by "the file"; moves on when an editor saves by rename

	Rev int64 `json:"rev"` // seq of the node's last change
}

// EntryState is what a name pointed to at the time of a [State]: a node, or
// nothing (Node is zero).
type EntryState struct {
	Parent ID   `json:"parent"`
	Name   Name `json:"name"`
	Node   ID   `json:"node,omitzero"`
}

// State is what a device learns from the server: how some nodes and entries
// were at one point of the drive's order. A client that already knows a later
// point asks again instead of applying it.
type State struct {
	Epoch   ID           `json:"epoch"` // changes when the server was restored from a backup
	Seq     int64        `json:"seq"`   // all below is as after this change
	Nodes   []Node       `json:"nodes,omitempty"`
	Gone    []ID         `json:"gone,omitempty"` // nodes that no entry points to any more
	Entries []EntryState `json:"entries,omitempty"`
}

// Listing is one page of a directory: the directory itself, its entries in
// byte order of their escaped names after a given one, and their nodes.
type Listing struct {
	State
	More bool `json:"more,omitempty"` // ask again after the last entry's name
}

// MaxPage is how many entries a [Listing] has at most, and the answer about several directories in all.
const MaxPage = 5000

// MaxListings is how many directories may be asked for together.
const MaxListings = 128

// Listed is what is said of one of several directories that were asked for together: its first page, or why there is
// none. Its place in the answer is that of the directory in the question, and all are as at one moment. Where no room is left in an
// answer for more entries, the last directories are missing: ask for them again. The first one never is.
type Listed struct {
	Listing
	Problem Kind `json:"problem,omitempty"` // NotFound, NotDirectory or Permission
}

// NextHeader is the header of a [Listing]'s answer that has the name, escaped and then query-escaped, after which the
// next page begins, if there is one: who wants all asks for that while this one is still coming.
const NextHeader = "Satchel-Next"

// Changes is an answer of the change feed: what other devices (and the APIs)
// changed after a cursor. The caller's own applied mutations are left out; it
// knows them from their outcomes. Continue after State.Seq.
type Changes struct {
	State
	More bool `json:"more,omitempty"` // more is there already
}

// DriveInfo describes a drive.
type DriveInfo struct {
	ID    ID     `json:"id"`
	Name  string `json:"name"`
	Root  ID     `json:"root,omitzero"` // zero for others than its owner
	Epoch ID     `json:"epoch"`
	Seq   int64  `json:"seq"`
	Quota int64  `json:"quota"` // bytes; 0 = none
	Used  int64  `json:"used"`  // bytes of current files
	Files int64  `json:"files"` // number of current files

	// Stored is the bytes of all versions: the files, their history and the
	// trash. It stays within the quota: the oldest of the past gives way.
	Stored int64 `json:"stored"`

	Former []Former `json:"former,omitempty"` // the epochs before the present one, oldest first
}

// A Former is an epoch that a drive had. Its changes up to Seq are of the drive's past; those after it, of which devices may have heard,
// are not: the server was restored from a backup. Seq is 0 where it was repaired, and may have lost anything.
type Former struct {
	Epoch ID    `json:"epoch"`
	Seq   int64 `json:"seq"`
}

// Chunk is a content-defined piece of a version.
type Chunk struct {
	Hash Hash   `json:"hash"`
	Size uint32 `json:"size"` // bytes
}

// Version is immutable content of a file. Its SHA-256 is the maker's claim
// until the server has verified it.
type Version struct {
	ID     ID      `json:"id"`
	Size   int64   `json:"size"` // bytes: the sum of the chunks'
	SHA256 Hash    `json:"sha256"`
	Chunks []Chunk `json:"chunks,omitempty"`
}
