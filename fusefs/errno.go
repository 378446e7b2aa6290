package fusefs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"satchel/api"
	"satchel/cache"
)

// neverAsk is what the kernel takes as "this is not needed, never ask again".
// No other answer may be ENOSYS.
const neverAsk = fuse.ENOSYS

// errnos maps the kinds of package api; this is the only such table.
var errnos = map[api.Kind]syscall.Errno{
	api.Invalid:         syscall.EINVAL,
	api.NameTooLong:     syscall.ENAMETOOLONG,
	api.Unauthenticated: syscall.EACCES,
	api.Permission:      syscall.EPERM,
	api.NotFound:        syscall.ENOENT,
	api.Exists:          syscall.EEXIST,
	api.NotEmpty:        syscall.ENOTEMPTY,
	api.IsDirectory:     syscall.EISDIR,
	api.NotDirectory:    syscall.ENOTDIR,
	api.TooLarge:        syscall.EFBIG,
	api.Quota:           syscall.EDQUOT,
	api.NoSpace:         syscall.ENOSPC,
	api.Unavailable:     syscall.EHOSTUNREACH,
	api.RateLimited:     syscall.EHOSTUNREACH,
	api.Cancelled:       syscall.EINTR,
}

// status is the errno of an error; EIO for what has none.
func status(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	switch {
	case errors.Is(err, cache.ErrStale):
		return fuse.Status(syscall.ESTALE)
	case errors.Is(err, cache.ErrNoAttr):
		return fuse.ENOATTR
	}
	if e, ok := errnos[api.KindOf(err)]; ok {
		return fuse.Status(e)
	}
	var errno syscall.Errno
	if errors.As(err, &errno) && errno == syscall.EMFILE {
		return fuse.Status(syscall.ENFILE) // the daemon's descriptors, not the program's
	}
	if errors.As(err, &errno) && errno != syscall.ENOSYS {
		return fuse.Status(errno)
	}
	return fuse.EIO
}
