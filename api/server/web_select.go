package server

import (
	"archive/zip"
	"net/http"
	"slices"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

// What is done with several things of a folder at once.

// maxChosen is how many things one form may name.
const maxChosen = 20_000

// chosenPaths is the caller's drive and the paths that a form names.
func (s *server) chosenPaths(r *http.Request, id auth.Identity) (d *storage.Drive, paths [][]api.Name, err error) {
	if d, err = s.webHome(r, id); err != nil {
		return nil, nil, err
	}
	if err := r.ParseForm(); err != nil {
		return nil, nil, tooLarge(err)
	}
	for _, text := range r.PostForm["path"] {
		path, err := webPath(text)
		if err != nil {
			return nil, nil, err
		}
		if len(path) > 0 {
			paths = append(paths, path)
		}
	}
	switch {
	case len(paths) == 0:
		err = api.Errorf(api.Invalid, "select something first")
	case len(paths) > maxChosen:
		err = api.Errorf(api.TooLarge, "at most %d things can be selected", maxChosen)
	}
	return d, paths, err
}

// webMoveTo moves things into a folder.
func (s *server) webMoveTo(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, paths, err := s.chosenPaths(r, id)
	if err != nil {
		return err
	}
	into, err := webPath(r.PostFormValue("to"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		to := append(slices.Clip(into), path[len(path)-1])
		if slices.Equal(path, to) {
			continue
		}
		if err := s.move(r.Context(), d, path, to); err != nil {
			return err
		}
	}
	return back(w, r, browseURL(into))
}

// webDeleteThese moves things to the trash.
func (s *server) webDeleteThese(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, paths, err := s.chosenPaths(r, id)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := remove(r.Context(), d, path); err != nil && api.KindOf(err) != api.NotFound {
			return err
		}
	}
	return back(w, r, browseURL(upOf(paths[0])))
}

// webZip streams things as one archive, each under its own name.
func (s *server) webZip(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, paths, err := s.chosenPaths(r, id)
	if err != nil {
		return err
	}
	type thing struct {
		target vfsTarget
		node   api.Node
		name   string
	}
	var things []thing
	taken := map[string]bool{}
	for _, path := range paths {
		here, rest, err := d.Through(r.Context(), path)
		if err != nil {
			return err
		}
		n, err := here.Lookup(r.Context(), rest)
		if err != nil {
			return err
		}
		name := zipName(path[len(path)-1])
		if taken[name] { // a search finds one name in several folders
			name = zipName(api.Name(api.JoinPath(path)))
		}
		taken[name] = true
		things = append(things, thing{vfsTarget{caller: caller(id), drive: here, path: rest}, n, name})
	}
	name := "selection.zip"
	if len(things) == 1 {
		name = things[0].name + ".zip"
	} else if up := upOf(paths[0]); len(up) > 0 {
		name = up[len(up)-1].Escape() + ".zip"
	}
	return s.archive(w, r, id.User, name, func(z *zip.Writer) error {
		for _, t := range things {
			if err := t.target.zipNode(r.Context(), z, t.node, t.name); err != nil {
				return err
			}
		}
		return nil
	})
}
