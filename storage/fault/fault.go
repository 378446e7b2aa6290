// Package fault names the steps between which the server may die, so that
// tests can let it die at each of them. A step costs one atomic load; it does
// something only in a process that a test has armed.
package fault

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Step is a place in the code: what comes before it was done, and nothing
// after it was.
type Step string

const (
	PackReceiving  Step = "pack-receiving"  // upload: a part of the pack is on its way to the blob store
	PackStored     Step = "pack-stored"     // the object is durable, no row knows it
	PackRows       Step = "pack-rows"       // its rows are written, not committed
	PackKnown      Step = "pack-known"      // committed, not answered
	CommitLocked   Step = "commit-locked"   // commit: the drive and the chunks are locked
	CommitWritten  Step = "commit-written"  // the difference is written, not committed
	CommitDone     Step = "commit-done"     // committed, not answered
	NodesGone      Step = "nodes-gone"      // gc: some nodes were removed
	VersionsGone   Step = "versions-gone"   // some versions were removed
	PastForgotten  Step = "past-forgotten"  // some of the past that nobody can return to went
	PastExpired    Step = "past-expired"    // some of what is beyond the retention went
	TreeThinned    Step = "tree-thinned"    // some of a large tree was removed
	PastEvicted    Step = "past-evicted"    // some of what gives way to a quota went
	TrashRestored  Step = "trash-restored"  // some of a large directory is back from the trash
	TrashEmptied   Step = "trash-emptied"   // some of the trash is gone for good
	ChangesCut     Step = "changes-cut"     // cursors before the cut are refused, the changes are still there
	ChunksMarked   Step = "chunks-marked"   // an owner's referenced chunks are known
	Condemned      Step = "condemned"       // chunks are condemned, without a fence
	Fenced         Step = "fenced"          // with it
	ChunkRowsGone  Step = "chunk-rows-gone" // some chunks' rows were removed
	PacksDiscarded Step = "packs-discarded" // rows of empty packs were removed, the objects are there
	ObjectDeleted  Step = "object-deleted"  // a discarded object was deleted, its row says it was not
	OrphanDeleted  Step = "orphan-deleted"  // an object that no row knew was deleted
	PackRewritten  Step = "pack-rewritten"  // repack: the new object is durable, no row knows it
	PackVerified   Step = "pack-verified"   // and was read back
	ChunksMoved    Step = "chunks-moved"    // chunks were switched to it, not committed
	PackReplaced   Step = "pack-replaced"   // committed; the old object is still there
	RowsSaved      Step = "rows-saved"      // backup: all rows are written, content is not
	PackSaved      Step = "pack-saved"      // some content too
	BackupWhole    Step = "backup-whole"    // all is written, and does not have its name yet
	SchemaMade     Step = "schema-made"     // restore: the schema was made anew, not committed
	RowsRestored   Step = "rows-restored"   // filled, not committed
	PackRestored   Step = "pack-restored"   // some content is in the store
	ContentThere   Step = "content-there"   // all content is, nothing is committed
	RestoreDone    Step = "restore-done"    // committed, not told
)

// Steps of each thing that the server does, in order.
var (
	Upload  = []Step{PackReceiving, PackStored, PackRows, PackKnown}
	Commit  = []Step{CommitLocked, CommitWritten, CommitDone}
	Collect = []Step{NodesGone, VersionsGone, ChangesCut, ChunksMarked, Condemned, Fenced, ChunkRowsGone, PacksDiscarded, ObjectDeleted, OrphanDeleted}
	Repack  = []Step{PackRewritten, PackVerified, ChunksMoved, PackReplaced}
	Backup  = []Step{RowsSaved, PackSaved, BackupWhole}
	Restore = []Step{SchemaMade, RowsRestored, PackRestored, ContentThere, RestoreDone}
)

// Variable is the environment variable whose value, a step, arms the process:
// it kills itself, as kill -9 does, when it gets there for the first time, or with "step N" for the Nth.
const Variable = "SATCHELD_TEST_DIE_AT"

var armed atomic.Pointer[func(Step)]

func init() {
	if die, nth, _ := strings.Cut(os.Getenv(Variable), " "); die != "" {
		n, _ := strconv.ParseInt(nth, 10, 64)
		var left atomic.Int64
		left.Store(max(n, 1))
		Arm(func(s Step) {
			if s == Step(die) && left.Add(-1) == 0 {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // until the signal has come
			}
		})
	}
}

// Arm has fn called at every step, by whoever gets there, until disarm is called.
func Arm(fn func(Step)) (disarm func()) {
	armed.Store(&fn)
	return func() { armed.Store(nil) }
}

// At marks a step.
func At(s Step) {
	if fn := armed.Load(); fn != nil {
		(*fn)(s)
	}
}
