package server

import (
	"net/http"

	"satchel/api"
	"satchel/storage"
)

// vfsBinds lists the caller's binds.
func (s *server) vfsBinds(w http.ResponseWriter, r *http.Request) {
	id, err := s.identify(r)
	var binds []storage.Bind
	if err == nil {
		binds, err = s.drives.Binds(r.Context(), caller(id))
	}
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, binds)
}

// vfsAddBind makes a bind.
func (s *server) vfsAddBind(w http.ResponseWriter, r *http.Request) {
	id, err := s.identify(r)
	var bind storage.Bind
	if err == nil {
		err = readSettings(w, r, &bind)
	}
	if err == nil {
		bind, err = s.drives.AddBind(r.Context(), caller(id), bind)
	}
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, bind)
}

// vfsRemoveBind ends one.
func (s *server) vfsRemoveBind(w http.ResponseWriter, r *http.Request) {
	id, err := s.identify(r)
	var bind api.ID
	if err == nil {
		bind, err = api.ParseID(r.PathValue("id"))
	}
	if err == nil {
		err = s.drives.RemoveBind(r.Context(), caller(id), bind)
	}
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"success": true})
}
