package server

import (
	"context"
	"net/http"
	"strings"
	"unicode"

	"satchel/api"
	"satchel/storage"
)

// vfsTarget is what a request under /api/vfs is about: a path in a drive, as
// its caller may use it.
type vfsTarget struct {
	caller storage.Caller
	mount  string
	drive  *storage.Drive
	path   []api.Name
}

// visitor is who asks; the zero caller is a stranger, who has what everyone
// has. A wrong identity is refused all the same.
func (s *server) visitor(r *http.Request) (storage.Caller, error) {
	if r.Header.Get("Authorization") == "" {
		if _, err := r.Cookie(s.cookieName()); err != nil {
			return storage.Caller{}, nil
		}
	}
	id, err := s.identify(r)
	return caller(id), err
}

// vfsHandler does an action; an error that it returns is written by its caller,
// and then it must have written nothing.
type vfsHandler func(w http.ResponseWriter, r *http.Request, t *vfsTarget) error

// vfs opens the mount that a path names and does the action. To a stranger all
// that is hidden or refused is one answer, 401.
func (s *server) vfs(do vfsHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t := vfsTarget{mount: r.PathValue("mount")}
		err := func() (err error) {
			if t.caller, err = s.visitor(r); err != nil {
				return err
			}
			if t.path, err = api.ParsePath(r.PathValue("path")); err != nil {
				return err
			}
			if t.drive, err = s.drives.Mounted(r.Context(), t.caller, t.mount); err != nil {
				return err
			}
			if t.drive, t.path, err = t.drive.Through(r.Context(), t.path); err != nil {
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

// place is a path for something new, or to be replaced. Control characters in
// its names are left out, since no good comes of them in lists and terminals.
func (t *vfsTarget) place(ctx context.Context) error {
	for i, name := range t.path {
		t.path[i] = cleanName(name)
		if err := t.path[i].Check(); err != nil {
			return err
		}
	}
	path, _, err := t.drive.Resolve(ctx, t.path, storage.Resolving{Follow: true})
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

func (t *vfsTarget) done(w http.ResponseWriter, status int, created bool) {
	d := vfsDone{Success: true, Path: "/" + api.Name(api.JoinPath(t.path)).Escape(), Created: created}
	if len(t.path) > 0 {
		d.Name = t.path[len(t.path)-1]
	}
	writeJSON(w, status, d)
}
