package posix

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// setgroups changes the supplementary groups of the calling thread only.
func setgroups(groups []uint32) unix.Errno {
	var p unsafe.Pointer
	if len(groups) > 0 {
		p = unsafe.Pointer(&groups[0])
	}
	_, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(p), 0)
	return e
}
