package server

import (
	"io"
	"net/http"
	"strings"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

// What the forms of the files' pages do.

// webUpload stores the files of a form, as they come. The fields stand before them.
func (s *server) webUpload(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	parts, err := multipartOf(r)
	if err != nil {
		return err
	}
	var in string
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return api.Errorf(api.Invalid, "the upload broke off: %w", err)
		}
		body := formBody{part}
		if part.FormName() == "in" {
			b, err := io.ReadAll(io.LimitReader(body, 64<<10))
			if err != nil {
				return err
			}
			in = string(b)
		}
		if part.FormName() != "file" || part.FileName() == "" {
			continue // or no file was chosen
		}
		// The form's path comes after the files, so without script they go into the folder shown.
		path, err := webPath(strings.TrimSuffix(in, "/") + "/" + part.FileName())
		if err != nil {
			return err
		}
		here, at, err := entryAt(r.Context(), d, path)
		if err != nil {
			return err
		}
		if _, err := here.Store(r.Context(), at, body, storage.PutOptions{}); err != nil {
			return err
		}
	}
	folder, err := webPath(in)
	if err != nil {
		return err
	}
	return back(w, r, browseURL(folder))
}

// webMkdir makes a folder. A script that says "ensure" does not mind if it is there.
func (s *server) webMkdir(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	path, err := webPath(r.PostFormValue("in") + "/" + r.PostFormValue("name"))
	if err != nil {
		return err
	}
	here, at, err := entryAt(r.Context(), d, path)
	if err != nil {
		return err
	}
	_, err = here.Mkdir(r.Context(), at, true)
	if api.KindOf(err) == api.Exists && r.PostFormValue("ensure") != "" {
		if n, none := here.Lookup(r.Context(), at); none == nil && n.Type == api.Directory {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return back(w, r, browseURL(upOf(path)))
}

// fromTo is the caller's drive and the two paths of a form that moves or copies.
func (s *server) fromTo(r *http.Request, id auth.Identity) (d *storage.Drive, from, to []api.Name, err error) {
	if d, from, err = s.formPath(r, id, "from"); err == nil {
		_, to, err = s.formPath(r, id, "to")
	}
	return d, from, to, err
}

func (s *server) webMove(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, from, to, err := s.fromTo(r, id)
	if err != nil {
		return err
	}
	if err := s.move(r.Context(), d, from, to); err != nil {
		return err
	}
	return back(w, r, browseURL(upOf(to)))
}

func (s *server) webCopy(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, from, to, err := s.fromTo(r, id)
	if err != nil {
		return err
	}
	if err := s.copy(r.Context(), d, from, to); err != nil {
		return err
	}
	return back(w, r, browseURL(upOf(to)))
}

// webDelete moves something to the trash.
func (s *server) webDelete(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, err := s.formPath(r, id, "path")
	if err != nil {
		return err
	}
	n, err := d.Lookup(r.Context(), path) // what is in another's drive goes to his trash, and is not found here
	if err != nil && api.KindOf(err) != api.NotFound {
		return err
	}
	there, rest, err := d.Through(r.Context(), path)
	shown := err == nil && len(rest) == 0 && !there.Same(d) // the place of a folder that another shares, of which nothing goes to a trash
	if err := remove(r.Context(), d, path); err != nil && api.KindOf(err) != api.NotFound {
		return err
	}
	to := browseURL(upOf(path))
	switch {
	case shown:
		to += "?out"
	case !n.ID.IsZero():
		to += "?deleted=" + n.ID.String()
	}
	return back(w, r, to)
}

func (s *server) webPublic(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	path, err := webPath(r.PostFormValue("path"))
	if err != nil {
		return err
	}
	if err := d.SetPublic(r.Context(), path, r.PostFormValue("public") == "true"); err != nil {
		return err
	}
	return back(w, r, pathURL("/share/", path))
}

// file is what a form's path leads to, which must be a file.
func (s *server) formFile(r *http.Request, id auth.Identity) (*storage.Drive, []api.Name, api.Node, error) {
	d, path, err := s.formPath(r, id, "path")
	if err != nil {
		return nil, nil, api.Node{}, err
	}
	n, err := d.Lookup(r.Context(), path)
	if err == nil && n.Type != api.File {
		err = api.Errorf(api.IsDirectory, "this is not a file")
	}
	return d, path, n, err
}

func (s *server) webDescribe(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, n, err := s.formFile(r, id)
	if err != nil {
		return err
	}
	if err := d.Describe(r.Context(), r.PostFormValue("description"), n.Document); err != nil {
		return err
	}
	return back(w, r, fileURL(path))
}

func (s *server) webRestoreVersion(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, n, err := s.formFile(r, id)
	if err != nil {
		return err
	}
	version, err := api.ParseID(r.PostFormValue("version"))
	if err != nil {
		return err
	}
	if _, err := d.RestoreVersion(r.Context(), n.Document, version); err != nil {
		return err
	}
	return back(w, r, fileURL(path))
}

// webRestore brings something back from the trash and shows where it is.
func (s *server) webRestore(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	node, err := api.ParseID(r.PostFormValue("node"))
	if err != nil {
		return err
	}
	done, err := d.RestoreTrash(r.Context(), node)
	if err != nil {
		return err
	}
	path, err := webPath(string(done.Path))
	if err != nil {
		return err
	}
	return back(w, r, browseURL(upOf(path)))
}

func (s *server) webEmptyTrash(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, err := s.webHome(r, id)
	if err != nil {
		return err
	}
	if _, err := d.EmptyTrash(r.Context()); err != nil {
		return err
	}
	return back(w, r, "/trash")
}
