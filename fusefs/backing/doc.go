// Package backing registers content files with the kernel for FUSE
// passthrough on behalf of ordinary users.
//
// The kernel lets only CAP_SYS_ADMIN register a backing file, because a
// registered file is open without counting against anybody's limit. So a small
// privileged service (cmd/satchel-helper) does this one ioctl for others, who hand
// it two descriptors over a unix socket: the one of /dev/fuse that their mount came with, and the one of a
// content file. Holding them proves the right to use them, and the service
// checks what holding them does not prove:
//
//   - the first is /dev/fuse, the second a regular file opened read-only;
//   - the file belongs to the caller and is neither immutable nor append-only. The kernel
//     opens a registered file anew with each program's flags, for writing too, and does so with
//     the credentials of whoever registered it. The service therefore also takes on the
//     caller's file system identity for the ioctl and has no capability to override
//     permissions, so nobody can write through it what he could not write himself;
//   - how many files a user has registered over his connections is bounded, and so are these.
//
// What a connection registered stays registered when it ends, since the mount may go on and has no other way to open what it
// showed the kernel; the kernel lets go with the mount. So who wants to can register more, by connecting anew, as long as he keeps a mount:
// some hundred bytes of the kernel's memory for each.
//
// # Protocol
//
// SOCK_SEQPACKET; one message, one answer, in order. A message is an op byte and,
// for opClose, the backing id (int32, little endian). opOpen carries two descriptors, opClose one (/dev/fuse). The
// answer is an int32: the backing id or 0, or a negative errno.
package backing

const (
	opOpen  = 'o'
	opClose = 'c'
)

// Limits of one user.
const (
	MaxFiles       = 16384
	MaxConnections = 16
)

// DefaultSocket is where the service listens.
const DefaultSocket = "/run/satchel-helper.sock"
