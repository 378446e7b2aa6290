package server

import (
	"archive/zip"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

// What is done with several things of a folder at once.

// What one form may name: so many things, in so many bytes. It is held in memory.
const (
	maxChosen      = 20_000
	maxChosenBytes = 8 << 20
)

// choosing tells whether a request's path is one to which a form of what is chosen goes.
func choosing(path string) bool {
	return path == "/do/move-to" || path == "/do/delete-these" || path == "/do/zip"
}

// A choice is the things that a form names.
type choice struct {
	drive *storage.Drive // the caller's
	paths [][]api.Name
	form  url.Values
}

func (s *server) choice(r *http.Request, id auth.Identity) (c choice, err error) {
	if c.drive, err = s.webHome(r, id); err != nil {
		return c, err
	}
	if c.form, err = longForm(r); err != nil {
		return c, err
	}
	for _, text := range c.form["path"] {
		path, err := webPath(text)
		if err != nil {
			return c, err
		}
		if len(path) > 0 {
			c.paths = append(c.paths, path)
		}
	}
	switch {
	case len(c.paths) == 0:
		err = api.Errorf(api.Invalid, "select something first")
	case len(c.paths) > maxChosen:
		err = api.Errorf(api.TooLarge, "at most %d things can be selected", maxChosen)
	}
	return c, err
}

// longForm reads a form of any number of fields. Package url takes 10,000 at most.
func longForm(r *http.Request) (url.Values, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, tooLarge(err)
	}
	form := url.Values{}
	for field := range strings.SplitSeq(string(b), "&") {
		one, err := url.ParseQuery(field)
		if err != nil {
			return nil, api.Errorf(api.Invalid, "the form can't be read: %w", err)
		}
		for name, values := range one {
			form[name] = append(form[name], values...)
		}
	}
	return form, nil
}

// each does something with each of the things, also after one with which it can't be done: then the error names the first one of
// those, and tells with how many it was done. What is wrong with more than a thing ends it.
func (c choice) each(done string, do func(path []api.Name) error) error {
	var first error
	var name string
	n := 0
	for _, path := range c.paths {
		err := do(path)
		if err == nil {
			n++
			continue
		}
		ends := !ofOne(err)
		if first == nil || ends {
			first, name = err, path[len(path)-1].Escape()
		}
		if ends {
			break
		}
	}
	switch {
	case first == nil:
		return nil
	case len(c.paths) == 1:
		return first
	}
	return api.Errorf(api.KindOf(first), "%d of %d things were %s; “%s”: %w", n, len(c.paths), done, name, first)
}

// ofOne tells whether an error is about one thing, and says nothing of the next.
func ofOne(err error) bool {
	switch api.KindOf(err) {
	case api.Exists, api.NotFound, api.Permission, api.Invalid, api.NameTooLong, api.IsDirectory, api.NotDirectory, api.NotEmpty, api.Conflict, api.TooLarge:
		return true
	}
	return false
}

// webMoveTo moves things into a folder.
func (s *server) webMoveTo(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	c, err := s.choice(r, id)
	if err != nil {
		return err
	}
	into, err := webPath(c.form.Get("to"))
	if err != nil {
		return err
	}
	err = c.each("moved", func(path []api.Name) error {
		to := append(slices.Clip(into), path[len(path)-1])
		if slices.Equal(path, to) {
			return nil
		}
		return s.move(r.Context(), c.drive, path, to)
	})
	if err != nil {
		return err
	}
	return back(w, r, browseURL(into))
}

// webDeleteThese moves things to the trash.
func (s *server) webDeleteThese(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	c, err := s.choice(r, id)
	if err != nil {
		return err
	}
	err = c.each("deleted", func(path []api.Name) error {
		err := remove(r.Context(), c.drive, path)
		if api.KindOf(err) == api.NotFound {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return back(w, r, browseURL(upOf(c.paths[0])))
}

// webZip streams things as one archive, each under its own name.
func (s *server) webZip(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	c, err := s.choice(r, id)
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
	for _, path := range c.paths {
		here, rest, err := c.drive.Through(r.Context(), path)
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
	} else if up := upOf(c.paths[0]); len(up) > 0 {
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
