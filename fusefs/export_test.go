package fusefs

import (
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// WithoutPrune is a kernel from before Linux 6.18 until the test ends.
func WithoutPrune(t *testing.T) {
	was := pruneNotify
	pruneNotify = func(*fuse.Server, []uint64) fuse.Status { return fuse.ENOSYS }
	t.Cleanup(func() { pruneNotify = was })
}
