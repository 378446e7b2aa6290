package server

import (
	"encoding/json"
	"net/http"

	"satchel/api"
	"satchel/storage"
	"satchel/storage/postgres"
)

// usersTable is the rows of /users. An address and a role are in the caller's
// own row only: the database shows him no others.
var usersTable = table[postgres.Person]{"users", []tableColumn[postgres.Person]{
	{postgres.ColumnID, uuidColumn, func(p postgres.Person) any { return p.ID }},
	{postgres.ColumnName, textColumn, func(p postgres.Person) any { return p.Name }},
	{postgres.ColumnEmail, textColumn, func(p postgres.Person) any { return orNull(p.Email) }},
	{postgres.ColumnRole, textColumn, func(p postgres.Person) any { return orNull(p.Role) }},
	{postgres.ColumnCreatedAt, timeColumn, func(p postgres.Person) any { return p.Created.UTC() }},
}}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// getUsers lists the accounts by name.
func (s *server) getUsers(w http.ResponseWriter, r *http.Request) {
	id, err := s.identify(r)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	req, err := usersTable.parse(r.URL.RawQuery)
	if err == nil {
		err = req.narrow(r.Header.Get("Range"))
	}
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	people, err := s.auth.People(r.Context(), id, req.query)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	w.Header().Set("Content-Range", contentRange(req.query.Offset, len(people), -1))
	if err := usersTable.write(w, r, http.StatusOK, req.fields, people); err != nil {
		s.pgrstError(w, r, err)
	}
}

// patchUsers changes the caller's own name. Another's row is one that he can't
// change, so that nothing happens to it.
func (s *server) patchUsers(w http.ResponseWriter, r *http.Request) {
	req, people, err := s.renameUsers(w, r)
	if err == nil && !prefers(r, "return=representation") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err == nil {
		err = usersTable.write(w, r, http.StatusOK, req.fields, people)
	}
	if err != nil {
		s.pgrstError(w, r, err)
	}
}

func (s *server) renameUsers(w http.ResponseWriter, r *http.Request) (req tableRequest, changed []postgres.Person, err error) {
	id, err := s.identify(r)
	if err != nil {
		return req, nil, err
	}
	if req, err = usersTable.parse(r.URL.RawQuery); err != nil {
		return req, nil, err
	}
	if len(req.query.Filters) == 0 {
		return req, nil, errNoFilter(r)
	}
	var given map[string]json.RawMessage
	if err := readArguments(w, r, &given); err != nil {
		return req, nil, err
	}
	var name *string
	for member, raw := range given {
		if _, err := usersTable.column(member); err != nil {
			return req, nil, err
		}
		if member != string(postgres.ColumnName) {
			return req, nil, api.Errorf(api.Permission, "only one's own name can be changed")
		}
		if err := json.Unmarshal(raw, &name); err != nil || name == nil {
			return req, nil, api.Errorf(api.Invalid, "name must be a text")
		}
	}
	if name == nil {
		return req, nil, nil
	}
	own := storage.Filter{Column: postgres.ColumnID, Op: postgres.Eq, Values: []string{id.User.String()}}
	req.query.Filters = append(req.query.Filters, own)
	if changed, err = s.auth.People(r.Context(), id, req.query); err == nil {
		err = single(r, len(changed))
	}
	if err != nil || len(changed) == 0 {
		return req, nil, err
	}
	if _, err := s.auth.Rename(r.Context(), id, id.User, *name); err != nil {
		return req, nil, err
	}
	changed, err = s.auth.People(r.Context(), id, storage.FileQuery{Filters: []storage.Filter{own}})
	return req, changed, err
}
