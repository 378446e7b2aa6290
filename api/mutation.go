package api

// Op names what a mutation does.
type Op string

const (
	// OpCreate makes Node of Attr.Type under Parent with Name. A regular file
	// comes with its first Version (the empty one has no chunks).
	// If another device took the name: two directories merge (the outcome names the
	// existing one), anything else gets a conflict name.
	OpCreate Op = "create"
	// OpLink adds the entry Parent, Name for the existing file Node.
	OpLink Op = "link"
	// OpUnlink removes the entry Parent, Name that pointed to Node. Base is the
	// version the deleting device knew; if the server's is newer the mutation is
	// dropped: edit beats delete. So is one whose entry points elsewhere by now.
	// Heir, if set, is the file that took the node's former place when an editor moved
	// it aside, and takes over its document with its last name.
	OpUnlink Op = "unlink"
	// OpRmdir removes the empty directory Node; dropped if it has entries.
	OpRmdir Op = "rmdir"
	// OpRename moves Node from Parent, Name to ToParent, ToName. Replaces is
	// the node that it replaced there as the device saw it (zero: none), Base that
	// node's version. A file that replaces a file takes over its document.
	// A cycle, a vanished source or a vanished target directory refuse it.
	OpRename Op = "rename"
	// OpExchange swaps the entries Parent, Name (Node) and ToParent, ToName (Replaces).
	OpExchange Op = "exchange"
	// OpSetattr sets those fields of Attr that are present.
	OpSetattr Op = "setattr"
	// OpWrite makes Version the current one of the file Node. Base is the
	// version that was edited; if the server's is another, the content
	// becomes a new node with a conflict name beside Parent, Name, the entry
	// that was written through. A node deleted meanwhile comes back.
	OpWrite Op = "write"
)

// Mutation is one change to a drive. Only the fields that its Op names are set.
type Mutation struct {
	Op       Op       `json:"op"`
	Node     ID       `json:"node"`
	Parent   ID       `json:"parent,omitzero"`
	Name     Name     `json:"name,omitempty"`
	ToParent ID       `json:"to_parent,omitzero"`
	ToName   Name     `json:"to_name,omitempty"`
	Replaces ID       `json:"replaces,omitzero"`
	Base     ID       `json:"base,omitzero"`
	Heir     ID       `json:"heir,omitzero"`
	Attr     *Attr    `json:"attr,omitempty"`
	Version  *Version `json:"version,omitempty"`
	Conflict ID       `json:"conflict,omitzero"` // OpWrite, OpRename: the id that a conflict copy shall get
	Time     int64    `json:"time"`              // ns, the device's clock: the new ctime, and what a conflict copy's name says
}

// Attr is the attributes that a create or setattr sets; nil means unchanged
// (for a create: the default).
type Attr struct {
	Type   Type    `json:"type,omitempty"` // create only
	Mode   *uint32 `json:"mode,omitempty"`
	UID    *int64  `json:"uid,omitempty"`
	GID    *int64  `json:"gid,omitempty"`
	Mtime  *int64  `json:"mtime,omitempty"`
	Rdev   uint32  `json:"rdev,omitempty"`   // create only
	Target Name    `json:"target,omitempty"` // create only
	// Xattrs sets the values given and removes those whose value is nil
	// (JSON null); an empty value is [] (JSON "").
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
}

// Batch is mutations in the order in which they were made. The server applies
// all of it in one transaction and keeps the last (Incarnation, Number) of each
// device with the outcomes, so a batch that is sent again is applied once.
type Batch struct {
	Incarnation ID         `json:"incarnation"` // one life of a device's cache, from a start to its end
	Number      uint64     `json:"number"`      // grows by one with each batch, from 1
	Mutations   []Mutation `json:"mutations"`

	// Echo makes the device's own change feed carry the changes too: they were
	// not made by the cache that follows it, but by a command beside it.
	Echo bool `json:"echo,omitempty"`
}

// MaxMissing is how many hashes one question for missing chunks may have.
const MaxMissing = 10_000

// MaxBatch is how many mutations one batch may have.
const MaxBatch = 4096

// Status says what became of a mutation.
type Status string

const (
	Applied  Status = "applied"  // as asked
	Adjusted Status = "adjusted" // a conflict rule changed it: Conflict says how, State says what is true now
	Dropped  Status = "dropped"  // a conflict rule left it out (edit beats delete): State says what is true now
	Refused  Status = "refused"  // it can't be: Kind and Message say why, State says what is true now
)

// Outcome is the server's answer to one mutation.
type Outcome struct {
	Status   Status `json:"status"`
	Seq      int64  `json:"seq,omitempty"` // the change it became; 0 when it changed nothing
	Kind     Kind   `json:"kind,omitempty"`
	Message  string `json:"message,omitempty"`
	Conflict ID     `json:"conflict,omitzero"` // Adjusted: the node that holds the loser's work
	Name     Name   `json:"name,omitempty"`    // Adjusted: the name that it got
}

// Committed answers a batch: an outcome for each mutation, in order, and, for
// all that were not applied as asked, the true state of every node and entry
// they touched.
type Committed struct {
	State
	Outcomes []Outcome `json:"outcomes"`
}
