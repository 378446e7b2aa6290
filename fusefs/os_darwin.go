package fusefs

import (
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// What mounting and FUSE are on macOS, with macFUSE; os_linux.go says what each is for.

const capabilities = fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_RENAME_SWAP | fuse.CAP_RENAME_EXCL

const noAtime = 0 // macOS has no such flag

// systemOptions name the volume in the Finder.
func systemOptions() []string { return []string{"volname=Satchel"} }

// target: macFUSE's program mounts for everybody.
func (f *filesystem) target(dir string, _ Options) (string, error) { return dir, nil }

func unmount(dir string) error { return syscall.Unmount(dir, 0) }

func widenReads(string) {}

// macFUSE has no passthrough.
func registerBacking(*fuse.Server, int) (int32, syscall.Errno) { return 0, syscall.ENOTSUP }
func unregisterBacking(*fuse.Server, int32)                    {}

func setBirth(o *fuse.Attr, ns int64) { setTime(&o.Crtime_, &o.Crtimensec_, ns) }

// Names have no namespace on macOS (com.apple.FinderInfo); on a drive they are the users', as Linux shows them; others are not shown.
const usersXattr = "user."

func keptXattr(name string) string          { return usersXattr + name }
func shownXattr(name string) (string, bool) { return strings.CutPrefix(name, usersXattr) }

func killsSgid(*fuse.SetXAttrIn) bool { return false }

// dying takes every signal for one that ends the program, as for an interruptible NFS mount: whether it does is
// not to be had.
func dying(uint32) bool { return true }

// mountTable is what is mounted: there are no mounts over files here.
type mountTable struct{}

func (*mountTable) mountedBelow(string) bool { return false }
func (*mountTable) close()                   {}
