package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"

	"satchel/api"
	"satchel/storage"
)

// vfsWrite makes the body a file's content.
func (s *server) vfsWrite(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	if err := t.place(r.Context(), true); err != nil {
		return err
	}
	o, err := putOptions(r, t.drive, t.path)
	if err != nil {
		return err
	}
	_, created, err := t.drive.Put(r.Context(), t.path, r.Body, o)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, t.done(created))
	return nil
}

// vfsUpload stores the files of a form in the directory at the path. They are
// stored as they come; those before one that fails stay.
func (s *server) vfsUpload(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	form, err := multipartOf(r)
	if err != nil {
		return err
	}
	dir := t.path
	files := []vfsDone{}
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return api.Errorf(api.Invalid, "the form broke off: %w", err)
		}
		name := uploadName(part)
		if name == "" {
			continue // a field
		}
		t.path = append(dir[:len(dir):len(dir)], name)
		if err := t.place(r.Context(), true); err != nil {
			return err
		}
		_, created, err := t.drive.Put(r.Context(), t.path, formBody{part}, storage.PutOptions{})
		if err != nil {
			return err
		}
		files = append(files, t.done(created))
	}
	if len(files) == 0 {
		return api.Errorf(api.Invalid, "the form has no file")
	}
	writeJSON(w, http.StatusOK, map[string]any{"success": true, "files": files})
	return nil
}

// uploadName is a file's own name in a form; some browsers send a whole path.
func uploadName(p *multipart.Part) api.Name {
	name := p.FileName()
	return cleanName(api.Name(name[strings.LastIndexAny(name, `/\`)+1:]))
}

// formBody reads a part; one that ends too soon is the client's fault.
type formBody struct{ io.Reader }

func (b formBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = api.Errorf(api.Invalid, "the form broke off")
	}
	return n, err
}

func (s *server) vfsMkdir(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	if err := t.place(r.Context(), true); err != nil {
		return err
	}
	if _, err := t.drive.Mkdir(r.Context(), t.path, true); err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, t.done(true))
	return nil
}

// vfsDelete removes what is at the path itself, not what a symlink leads to.
func (s *server) vfsDelete(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	if err := t.drive.Remove(r.Context(), t.path); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, t.done(false))
	return nil
}

// vfsTo is where something goes: a new name in its directory, or a path.
type vfsTo struct {
	Name      string `json:"name"`
	To        string `json:"to"`
	Mount     string `json:"mount"` // of To; empty: the same
	Overwrite bool   `json:"overwrite"`
}

// destination reads the body of rename and copy. A symlink or a bind at its end is meant itself: what it leads to is not replaced.
func (s *server) destination(w http.ResponseWriter, r *http.Request, t *vfsTarget) (to vfsTarget, in vfsTo, err error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxArguments))
	if err != nil {
		return to, in, tooLarge(err)
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return to, in, api.Errorf(api.Invalid, "the body is not a JSON object with name, or to: %w", err)
	}
	to = *t
	path := t.shown()
	switch {
	case in.Name != "" && in.To == "" && len(path) > 0:
		path[len(path)-1] = api.Name(in.Name)
	case in.To != "" && in.Name == "":
		if in.Mount != "" {
			to.mount = in.Mount
		}
		if path, err = api.ParsePath(in.To); err != nil {
			return to, in, err
		}
	default:
		return to, in, api.Errorf(api.Invalid, "say name (in the same directory) or to (a path in the mount)")
	}
	if err := s.enter(r.Context(), &to, path, (*storage.Drive).ThroughTo); err != nil {
		return to, in, err
	}
	return to, in, to.place(r.Context(), false)
}

// vfsRename moves within a drive. Between drives there is copy, and delete.
func (s *server) vfsRename(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	to, in, err := s.destination(w, r, t)
	if err != nil {
		return err
	}
	if !to.drive.Same(t.drive) {
		return api.Errorf(api.Invalid, "a rename stays within a drive: copy it there and delete it here")
	}
	created, err := t.drive.Move(r.Context(), t.path, to.path, storage.MoveOptions{Replace: in.Overwrite})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, to.done(created))
	return nil
}

// vfsCopy copies within an owner's drive without copying bytes; what goes into
// another one's must be his own, so its bytes are stored again.
func (s *server) vfsCopy(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	to, in, err := s.destination(w, r, t)
	if err != nil {
		return err
	}
	n, err := t.find(r.Context(), api.PermCopy|api.PermRead)
	if err != nil {
		return err
	}
	o := storage.CopyOptions{MoveOptions: storage.MoveOptions{Replace: in.Overwrite}}
	var created bool
	switch {
	case to.drive.Same(t.drive):
		created, err = t.drive.Copy(r.Context(), t.path, to.path, o)
	default:
		created, _, err = t.copyOver(r.Context(), n, &to, in.Overwrite)
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, to.done(created))
	return nil
}

// copyOver copies a node, with all below it, into another drive. It tells what it copied: files with their versions.
func (t *vfsTarget) copyOver(ctx context.Context, n api.Node, to *vfsTarget, overwrite bool) (created bool, copied map[api.ID]api.ID, err error) {
	_, err = to.drive.Lookup(ctx, to.path)
	switch {
	case err == nil && !overwrite:
		return false, nil, api.Errorf(api.Exists, "the path is taken")
	case err != nil && api.KindOf(err) != api.NotFound:
		return false, nil, err
	}
	created, copied = err != nil, map[api.ID]api.ID{}
	return created, copied, t.copyNode(ctx, n, to.drive, to.path, copied, map[api.ID]bool{})
}

// copyNode copies a node to a path. made is what it has made: through a bind that may be below what is copied.
func (t *vfsTarget) copyNode(ctx context.Context, n api.Node, to *storage.Drive, path []api.Name, copied map[api.ID]api.ID, made map[api.ID]bool) error {
	if made[n.ID] {
		return nil
	}
	switch n.Type {
	case api.File:
		c, err := t.drive.Content(ctx, n.ID, api.ID{})
		if err != nil {
			return err
		}
		body, err := c.Open(ctx, 0, -1)
		if err != nil {
			return err
		}
		defer body.Close()
		put, created, err := to.Put(ctx, path, body, storage.PutOptions{Mtime: n.Mtime})
		if err == nil && created && (put.Mode != n.Mode || len(n.Xattrs) > 0) {
			err = to.SetAttr(ctx, path, api.Attr{Mode: &n.Mode, Xattrs: n.Xattrs})
		}
		made[put.ID] = true
		copied[n.ID] = c.Version
		return err
	case api.Directory:
		dir, err := to.Mkdir(ctx, path, true)
		if err != nil && api.KindOf(err) != api.Exists {
			return err
		}
		created := err == nil
		if created {
			made[dir] = true
		}
		err = t.each(ctx, n.ID, func(name api.Name, child api.Node) error {
			return t.copyNode(ctx, child, to, append(path[:len(path):len(path)], name), copied, made)
		})
		if err == nil && created {
			err = to.SetAttr(ctx, path, api.Attr{Mode: &n.Mode, Mtime: &n.Mtime, Xattrs: n.Xattrs})
		}
		copied[n.ID] = api.ID{}
		return err
	}
	return nil // links and devices mean nothing elsewhere
}

// copyable refuses what copyNode leaves out.
func (t *vfsTarget) copyable(ctx context.Context, name api.Name, n api.Node) error {
	switch n.Type {
	case api.File:
		return nil
	case api.Directory:
		return t.each(ctx, n.ID, func(name api.Name, child api.Node) error { return t.copyable(ctx, name, child) })
	}
	return api.Errorf(api.Invalid, "“%s” is a link or a device, which means nothing among another's files: nothing was moved; delete it, or copy instead", name.Escape())
}
