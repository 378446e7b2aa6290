package fusefs

import (
	"math"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/cache"
)

// Whatever the drive has room for, a program whose numbers have 32 bits can take what statfs says.
func TestStatfsFits32Bits(t *testing.T) {
	for _, s := range []cache.Space{
		{},
		{Total: 4 << 20, Free: 1 << 20, Files: 7},
		{Total: 1 << 40, Free: 1 << 39, Files: 1 << 20},
		{Total: 1 << 44, Free: 1 << 44, Files: 1 << 33},
		{Total: math.MaxInt64, Free: math.MaxInt64, Files: math.MaxUint64},
	} {
		var o fuse.StatfsOut
		toStatfs(s, &o)
		if max(o.Blocks, o.Bfree, o.Bavail, o.Files, o.Ffree) > math.MaxUint32 {
			t.Errorf("%+v: %+v", s, o)
		}
		if block := uint64(o.Bsize); o.Frsize != o.Bsize || s.Total-o.Blocks*block >= block || s.Free-o.Bavail*block >= block || o.Bfree != o.Bavail {
			t.Errorf("%+v shows as %+v", s, o)
		}
		if o.Ffree > o.Files || o.Files < min(s.Files, math.MaxUint32) {
			t.Errorf("%+v: of %d files %d are free", s, o.Files, o.Ffree)
		}
	}
}
