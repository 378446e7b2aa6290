package api

// ContentRef names content: a version of the file Node, or its current one
// when Version is zero.
type ContentRef struct {
	Node    ID `json:"node"`
	Version ID `json:"version,omitzero"`
}

// Limits of one batch read: how many contents it may name, and how many bytes
// they may have together.
const (
	MaxContents      = 2000
	MaxContentsBytes = 64 << 20
)

// A Hole is a part of a file's content that is zeros, as far as one can tell without reading it; there may be
// more of them. The unit is bytes.
type Hole struct {
	Off  int64 `json:"off"`
	Size int64 `json:"size"`
}

// Usage is how much is below a directory, all the way down. A file with two
// entries there counts twice.
type Usage struct {
	Files       int64 `json:"files"` // entries that are no directories
	Directories int64 `json:"directories"`
	Bytes       int64 `json:"bytes"` // of regular files
}
