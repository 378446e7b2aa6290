package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"satchel/api"
	"satchel/storage"
)

// vfsTarget is what a request under /api/vfs is about: a path in a mount, which
// may lead through binds into another drive, as its caller may use it.
type vfsTarget struct {
	caller storage.Caller
	mount  string
	bound  []api.Name     // the way to the drive's root, in the mount
	drive  *storage.Drive // where the path ends
	path   []api.Name     // and on from there
}

// shown is the target's path in the mount.
func (t *vfsTarget) shown() []api.Name { return slices.Concat(t.bound, t.path) }

// below is what the paths in the mount of all that is below the target begin with.
func (t *vfsTarget) below() api.Name {
	if path := t.shown(); len(path) > 0 {
		return api.Name("/" + api.JoinPath(path) + "/")
	}
	return "/"
}

// vfsWay follows the binds on a path: all of them ([storage.Drive.Through]), or
// those on the way to an entry ([storage.Drive.ThroughTo]).
type vfsWay func(*storage.Drive, context.Context, []api.Name) (*storage.Drive, []api.Name, error)

// enter makes a path in the mount the target's.
func (s *server) enter(ctx context.Context, t *vfsTarget, path []api.Name, through vfsWay) error {
	mounted, err := s.drives.Mounted(ctx, t.caller, t.mount)
	if err != nil {
		return err
	}
	if t.drive, t.path, err = through(mounted, ctx, path); err == nil {
		t.bound = path[:len(path)-len(t.path)]
	}
	return err
}

// vfsHandler does an action; an error that it returns is written by its caller,
// and then it must have written nothing.
type vfsHandler func(w http.ResponseWriter, r *http.Request, t *vfsTarget) error

// vfs does an action on what a path in a mount leads to. To a stranger all
// that is hidden or refused is one answer, 401.
func (s *server) vfs(do vfsHandler) http.HandlerFunc { return s.vfsBy((*storage.Drive).Through, do) }

// vfsEntry is vfs for what is done to the name at the end of the path: a bind there is meant itself.
func (s *server) vfsEntry(do vfsHandler) http.HandlerFunc {
	return s.vfsBy((*storage.Drive).ThroughTo, do)
}

func (s *server) vfsBy(through vfsWay, do vfsHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t := vfsTarget{mount: r.PathValue("mount")}
		err := func() (err error) {
			if t.caller, err = s.visitor(w, r); err != nil {
				return err
			}
			path, err := api.ParsePath(r.PathValue("path"))
			if err != nil {
				return err
			}
			if err := s.enter(r.Context(), &t, path, through); err != nil {
				return err
			}
			return do(w, r, &t)
		}()
		if err != nil {
			s.apiError(w, r, t.hide(err))
		}
	}
}

// hide keeps strangers from telling what is refused from what is missing.
func (t *vfsTarget) hide(err error) error {
	if !t.caller.User.IsZero() {
		return err
	}
	switch api.KindOf(err) {
	case api.NotFound, api.Permission, api.NotDirectory, api.IsDirectory, api.Exists:
		return api.Errorf(api.Unauthenticated, "log in first: this is not for everyone")
	}
	return err
}

// find is the node that the path leads to, over symlinks too. The caller must
// hold a permission on it.
func (t *vfsTarget) find(ctx context.Context, p api.Permissions) (api.Node, error) {
	path, n, err := t.drive.Resolve(ctx, t.path, storage.Resolving{Follow: true})
	if err != nil {
		return api.Node{}, err
	}
	if n == nil {
		return api.Node{}, api.Errorf(api.NotFound, "there is nothing at this path")
	}
	t.path = path
	return *n, t.allow(ctx, *n, p)
}

func (t *vfsTarget) allow(ctx context.Context, n api.Node, p api.Permissions) error {
	held, err := t.drive.Permissions(ctx, n.ID)
	if err == nil && held&p != p {
		err = api.Errorf(api.Permission, "you may not %s here", strings.Join(p.Names(), " and "))
	}
	return err
}

// place is a path for something new, or to be replaced: what a symlink at its end leads to, or that itself. Control
// characters in its names are left out, since no good comes of them in lists and terminals.
func (t *vfsTarget) place(ctx context.Context, follow bool) error {
	for i, name := range t.path {
		t.path[i] = cleanName(name)
		if err := t.path[i].Check(); err != nil {
			return err
		}
	}
	path, _, err := t.drive.Resolve(ctx, t.path, storage.Resolving{Follow: follow})
	if err == nil && len(path) == 0 {
		err = api.Errorf(api.IsDirectory, "the path names the drive itself")
	}
	t.path = path
	return err
}

func cleanName(name api.Name) api.Name {
	return api.Name(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, string(name)))
}

// vfsDone is the answer of actions that change something.
type vfsDone struct {
	Success bool     `json:"success"`
	Path    string   `json:"path"` // the one that was used
	Name    api.Name `json:"name"`
	Created bool     `json:"created,omitempty"` // nothing was there before
}

// done tells that the target, which is no mount's root, was changed.
func (t *vfsTarget) done(created bool) vfsDone {
	path := t.shown()
	return vfsDone{Success: true, Path: "/" + api.Name(api.JoinPath(path)).Escape(), Name: path[len(path)-1], Created: created}
}
