package fusefs

import (
	"fmt"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"satchel/api"
)

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want unix.Errno
	}{
		{nil, 0},
		{fmt.Errorf("open: %w", unix.ENXIO), unix.ENXIO},
		{api.Errorf(api.Quota, "no room"), unix.EDQUOT},
		{api.Errorf(api.Internal, "open: %w", unix.EMFILE), unix.ENFILE}, // the daemon's descriptors, not the program's
		{unix.ENOSYS, unix.EIO},                                          // it would never be asked again
	} {
		if got := status(c.err); got != fuse.Status(c.want) {
			t.Errorf("%v: %v, want %v", c.err, got, fuse.Status(c.want))
		}
	}
}
