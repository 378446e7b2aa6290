package server

import (
	"net/http"
	"strconv"

	"satchel/api"
)

// How many results a search has.
const (
	defaultFound = 100
	maxFound     = 1000
)

// vfsSearch finds things below a directory by name and by the words in them.
func (s *server) vfsSearch(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	q := r.URL.Query()
	words, name := q.Get("q"), q.Get("name")
	if q.Has("q") && !q.Has("name") {
		name = words // one question is about both
	}
	if words == "" && name == "" {
		return api.Errorf(api.Invalid, "say what to search for: q (words, and parts of names) or name")
	}
	limit := defaultFound
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxFound {
			return api.Errorf(api.Invalid, "limit is a number from 1 to %d", maxFound)
		}
		limit = n
	}
	dir, err := t.find(r.Context(), api.PermList)
	if err != nil {
		return err
	}
	if dir.Type != api.Directory {
		return api.Errorf(api.NotDirectory, "this is not a directory")
	}
	found, err := t.drive.Search(r.Context(), dir.ID, words, name, limit)
	if err != nil {
		return err
	}
	below := t.below()
	entries := make([]vfsEntry, len(found))
	for i, f := range found {
		path, err := api.ParsePath(string(f.Path))
		if err != nil {
			return err
		}
		entries[i] = entryOf(f.Node, below+api.Name(api.JoinPath(path[:len(path)-1])), path[len(path)-1])
		entries[i].Path = below + f.Path
	}
	writeJSON(w, http.StatusOK, entries)
	return nil
}

// vfsIndex has the search index built again.
func (s *server) vfsIndex(w http.ResponseWriter, r *http.Request) {
	id, err := s.identify(r)
	if err == nil {
		err = s.drives.Reindex(r.Context(), caller(id))
	}
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]any{"success": true, "message": "the index is being rebuilt"})
}
