package cache

import (
	"context"
	"io"
	"time"

	"satchel/api"
)

// Remote is one drive on the server, as api/client offers it; a seam where
// tests inject faults. Errors are of package api's kinds; Unavailable and
// RateLimited are tried again later, all of them by this package only. Calls tell the
// clock of their context (package pace) of the bytes that move.
type Remote interface {
	// Info describes the drive.
	Info(ctx context.Context) (api.DriveInfo, error)
	// Node is one node with its current version.
	Node(ctx context.Context, id api.ID) (api.Node, error)
	// Children is a page of a directory after a name ("" = from the start). Before it is read, next gets the name after
	// which the next one begins, if there is one.
	Children(ctx context.Context, dir api.ID, after api.Name, limit int, next func(after api.Name)) (api.Listing, error)
	// Listings is the first pages of at most api.MaxListings directories, from one moment, in their order, with at most limit entries in all. The
	// last ones are missing where no room was left for them, the first never is.
	Listings(ctx context.Context, dirs []api.ID, limit int) ([]api.Listed, error)
	// Commit applies a batch; idempotent by its incarnation and number.
	Commit(ctx context.Context, b api.Batch) (api.Committed, error)
	// Missing tells which chunks the server lacks.
	Missing(ctx context.Context, hashes []api.Hash) ([]api.Hash, error)
	// PutPack uploads a pack (package api/chunk).
	PutPack(ctx context.Context, pack []byte) error
	// Content reads n bytes (n < 0: to the end) of a version from an offset.
	Content(ctx context.Context, node, version api.ID, off, n int64) (io.ReadCloser, error)
	// Holes is where a version is known to be zeros.
	Holes(ctx context.Context, node, version api.ID) ([]api.Hole, error)
	// Contents reads many small contents in one request and calls fn for each, with its index in
	// files, in any order. One that can't be had fails in reading its body.
	Contents(ctx context.Context, files []api.ContentRef, fn func(index int, v api.Version, body io.Reader) error) error
	// Changes waits for changes after a cursor that others made: all but the batches of this incarnation.
	Changes(ctx context.Context, life, epoch api.ID, after int64, wait time.Duration) (api.Changes, error)
	// Reconnect gives up connections that nobody uses: they may be dead without a word.
	Reconnect()
}

// Kernel is what the cache asks of the mounted file system. Its methods may
// be called from any goroutine that does not hold a lock.
type Kernel interface {
	// Register hands a descriptor (O_RDONLY) to the kernel for passthrough and returns its
	// backing id (> 0), or 0 when passthrough is not to be had.
	Register(fd int) int32
	// Dear tells whether Register takes longer than a READ: another process does it.
	Dear() bool
	// Unregister gives a backing id back.
	Unregister(id int32)
	// EntryChanged drops what the kernel knows of a name.
	EntryChanged(parent uint64, name string)
	// InodeChanged drops the attributes of a node and, for data, its cached content or listing.
	InodeChanged(fid uint64, data bool)
	// Prune lets the kernel forget those of these nodes that nobody uses; false: it can't be asked for that.
	Prune(fids []uint64) bool
	// Covered tells whether something is mounted on a name of the drive, as far as this process can see.
	Covered() bool
	// Writeback tells whether the kernel collects writes, and believes only itself about sizes and times of files that it knows.
	Writeback() bool
}

// noKernel is the kernel before the drive is mounted.
type noKernel struct{}

func (noKernel) Register(int) int32          { return 0 }
func (noKernel) Dear() bool                  { return false }
func (noKernel) Unregister(int32)            {}
func (noKernel) EntryChanged(uint64, string) {}
func (noKernel) InodeChanged(uint64, bool)   {}
func (noKernel) Writeback() bool             { return false }
func (noKernel) Covered() bool               { return false }
func (noKernel) Prune([]uint64) bool         { return false }
