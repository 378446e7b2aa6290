package cache

import (
	"errors"
	"io/fs"
	"syscall"

	"satchel/api"
)

// Errors of the hot paths, made once.
var (
	errNotFound = api.Errorf(api.NotFound, "no such file or directory")
	errExists   = api.Errorf(api.Exists, "the name is taken")
	errNotEmpty = api.Errorf(api.NotEmpty, "the directory is not empty")
	errCircle   = api.Errorf(api.Invalid, "a directory can't move below itself")
	errIsDir    = api.Errorf(api.IsDirectory, "it is a directory")
	errNotDir   = api.Errorf(api.NotDirectory, "it is not a directory")
	errFull     = api.Errorf(api.NoSpace, "the disk under the cache is full")
	errNoRoom   = api.Errorf(api.NoSpace, "there is no room for it on the disk under the cache")
	errOffline  = api.Errorf(api.Unavailable, "the server can't be reached, and this was never fetched")
	errTooLong  = api.Errorf(api.NameTooLong, "the name is longer than %d bytes", api.MaxName)
	errStopped  = api.Errorf(api.Cancelled, "interrupted")

	// ErrStale means that the kernel asked for a node that does not exist (ESTALE).
	ErrStale = errors.New("stale file handle")
	// ErrNoAttr means that an extended attribute is absent (ENODATA).
	ErrNoAttr = errors.New("no such attribute")
)

// kindOf classifies an error of the local file system.
func kindOf(err error) api.Kind {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return api.NoSpace
	case errors.Is(err, fs.ErrPermission):
		return api.Permission
	case errors.Is(err, fs.ErrNotExist):
		return api.NotFound
	}
	return api.Internal
}
