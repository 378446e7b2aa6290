// Package tree has the rules by which mutations change a drive: what becomes
// of names, documents, counters and the trash, and who wins a conflict.
//
// It is pure: no SQL, no clock, no randomness of its own. A [Set] holds the
// part of a drive that a batch concerns, loaded from a [Source]; [Set.Apply]
// applies the mutations one after another to it, so that each sees what the
// earlier ones did, and [Set.Diff] is the net difference to be written.
package tree

import "satchel/api"

// Key is an entry's place: a name in a directory.
type Key struct {
	Parent api.ID
	Name   api.Name
}

// Inode is a node with what the server alone keeps.
type Inode struct {
	api.Node
	Created int64 // birth of the document, ns; files only
	Dir     Dir   // of live directories only
	Trash   Trash // of deleted nodes that can come back
	Bound   bool  // a directory in which a bind shows another one
}

// Live tells whether an entry leads to the node; the root always lives.
func (n *Inode) Live() bool { return n.Nlink > 0 }

// trashed tells whether the node is in the trash.
func (n *Inode) trashed() bool { return !n.Live() && n.Trash != (Trash{}) }

// Dir is what the server keeps for a directory.
type Dir struct {
	Parent api.ID // zero for the root
	Files  int64  // entries in it that are not directories
	Bytes  int64  // size of the regular files among them, once for each entry
	Zone   api.ID // the nearest one with grants of its own; zero: none
}

// Trash is where a node was when its last entry went. The zero value means
// that it is not in the trash: it lives, or its document moved on.
type Trash struct {
	Key
	Seq    int64  // the change that deleted it
	Time   int64  // ns, the clock of the device that deleted it
	Device api.ID // which did
}

// Version is content that a file has or had.
type Version struct {
	api.Version
	Node     api.ID // the file that it was written to
	Document api.ID
	Time     int64 // ns, the clock of the device that wrote it
}

// Change is one line of a drive's history. The feed turns it into the present
// state of the nodes and entries that it names.
type Change struct {
	Seq   int64
	Op    api.Op
	Node  api.ID
	From  Key    // the entry that it was about, or where the node was
	To    Key    // rename and exchange
	Other api.ID // a second node that changed: replaced, exchanged
	Time  int64  // ns, the device's clock
}

// Drive is the row that serialises a drive's commits.
type Drive struct {
	ID    api.ID
	Owner api.ID
	Root  api.ID
	Epoch api.ID
	Seq   int64 // of the last change
	Files int64 // live regular files
	Bytes int64 // their sizes
	Quota int64 // bytes; 0 = none

	Stored int64 // sizes of all versions: those of the files, the history and the trash
	Since  int64 // the past is known from this change on
}

// Want names what is to be loaded of a drive.
type Want struct {
	Nodes     []api.ID // nodes, each with all entries that lead to it
	Entries   []Key    // entries, and the nodes that they lead to
	Ancestors []api.ID // directories and all that are above them
	Deleted   []Key    // nodes that this device deleted there
	Versions  []api.ID
}

// Rows is what a drive has of a [Want]; what it lacks is left out. A node
// comes with every entry that leads to it.
type Rows struct {
	Nodes    []Inode
	Entries  []Entry
	Versions []Version // without chunks
}

// Entry is a name that leads to a node.
type Entry struct {
	Key
	Node api.ID
}

// Source loads rows of one drive, which nobody else may change meanwhile.
type Source interface {
	Load(Want) (Rows, error)
}

// Diff is the net difference that a batch made. Nodes keep their rows when
// they die, so none is ever deleted here.
type Diff struct {
	Drive Drive // with the new Seq and counters

	Versions    []Version
	NewNodes    []Inode
	Nodes       []Inode // changed ones
	NewDirs     []Inode // nodes that became live directories
	Dirs        []Inode // live directories whose Dir changed
	GoneDirs    []api.ID
	NewEntries  []Entry
	Entries     []Entry // those that lead to another node now
	GoneEntries []Key
	Trashed     []Inode  // nodes whose Trash was set or changed
	Untrashed   []api.ID // nodes that left the trash
	Changes     []Change

	// Adopted are documents that ended: the versions that they had before are
	// those of others now.
	Adopted []Adoption

	// Rezoned are live directories whose zone, and that of what is below them, may
	// be another by now: they moved, or came back.
	Rezoned []api.ID
}

// Adoption moves the versions of a document to another.
type Adoption struct{ From, To api.ID }
