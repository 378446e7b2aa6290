package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
	"satchel/storage/postgres"
)

// getFiles lists the caller's files; an admin's list is of everyone's.
func (s *server) getFiles(w http.ResponseWriter, r *http.Request) {
	if err := s.listFiles(w, r); err != nil {
		s.pgrstError(w, r, err)
	}
}

func (s *server) listFiles(w http.ResponseWriter, r *http.Request) error {
	id, err := s.identify(r)
	if err != nil {
		return err
	}
	if err := s.listings.Take(id.User, address(r)); err != nil {
		return err
	}
	req, err := filesTable.parse(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if err := req.narrow(r.Header.Get("Range")); err != nil {
		return err
	}
	q := req.query
	files := &rowList[storage.File]{table: filesTable, fields: req.fields, room: s.listRoom}
	defer files.Close()
	if err := s.readFiles(r.Context(), id, q, files); err != nil {
		return err
	}
	total := int64(-1)
	if prefers(r, "count=exact") {
		if total, err = s.countFiles(r.Context(), id, q); err != nil {
			return err
		}
		if q.Offset > 0 && int64(q.Offset) >= total {
			w.Header().Set("Content-Range", fmt.Sprintf("*/%d", total))
			return errRange()
		}
	}
	status := http.StatusOK
	if total > int64(files.rows) {
		status = http.StatusPartialContent
	}
	w.Header().Set("Content-Range", contentRange(q.Offset, files.rows, total))
	return files.write(w, r, status)
}

// readFiles asks the service for the files that an identity may list.
func (s *server) readFiles(ctx context.Context, id auth.Identity, q storage.FileQuery, to storage.FileSink) error {
	if id.Role == auth.Admin {
		return s.drives.ReadAllFiles(ctx, caller(id), q, to)
	}
	home, err := s.drives.Home(ctx, caller(id))
	if err != nil {
		return err
	}
	return home.ReadFiles(ctx, q, to)
}

func (s *server) countFiles(ctx context.Context, id auth.Identity, q storage.FileQuery) (int64, error) {
	if id.Role == auth.Admin {
		return s.drives.AllFilesCount(ctx, caller(id), q)
	}
	home, err := s.drives.Home(ctx, caller(id))
	if err != nil {
		return 0, err
	}
	return home.FilesCount(ctx, q)
}

// narrow leaves the rows that both a Range header ("0-9", PostgREST counts rows) and limit and offset are of.
func (req *tableRequest) narrow(header string) error {
	header = strings.TrimPrefix(header, "items=")
	if header == "" || strings.HasPrefix(header, "bytes=") {
		return nil
	}
	first, last, found := strings.Cut(header, "-")
	from, err := strconv.Atoi(first)
	if !found || err != nil || from < 0 || from > maxRows {
		return errQuery("the Range header must be FIRST-LAST")
	}
	const open = math.MaxInt
	end := open
	if last != "" {
		to, err := strconv.Atoi(last)
		if err != nil || to < from || to > maxRows {
			return errRange()
		}
		end = to + 1
	}
	q := &req.query
	switch {
	case q.Limit < 0: // none are wanted
		return nil
	case q.Limit > 0:
		end = min(end, q.Offset+q.Limit)
	}
	if q.Offset = max(q.Offset, from); q.Offset >= end {
		return errRange()
	}
	if end != open {
		q.Limit = end - q.Offset
	}
	return nil
}

func errRange() error {
	return &pgrstStatus{http.StatusRequestedRangeNotSatisfiable, "PGRST103", api.Errorf(api.Invalid, "Requested range not satisfiable")}
}

// contentRange says which rows were sent, and of how many if that is known.
func contentRange(offset, n int, total int64) string {
	of := "*"
	if total >= 0 {
		of = strconv.FormatInt(total, 10)
	}
	if n == 0 {
		return "*/" + of
	}
	return fmt.Sprintf("%d-%d/%s", offset, offset+n-1, of)
}

// prefers tells whether a Prefer header asks for something (RFC 7240).
func prefers(r *http.Request, what string) bool {
	for _, line := range r.Header.Values("Prefer") {
		for p := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(p) == what {
				return true
			}
		}
	}
	return false
}

// write sends rows; it is an error if the client wants one object and there is
// another number.
func (t table[R]) write(w http.ResponseWriter, r *http.Request, status int, fields selection, all []R) error {
	rows := make([]any, len(all))
	for i, row := range all {
		rows[i] = t.row(fields, row)
	}
	if err := single(r, len(rows)); err != nil {
		return err
	}
	writeRows(w, r, status, rows)
	return nil
}

// deleteFiles deletes the names that the filters choose: of a document that is chosen by its id, all.
func (s *server) deleteFiles(w http.ResponseWriter, r *http.Request) {
	home, req, files, err := s.chosen(r)
	if err == nil {
		files, err = home.DeleteFiles(r.Context(), files...)
	}
	s.changed(w, r, req, files, err)
}

// patchFiles renames a file, or changes descriptions.
func (s *server) patchFiles(w http.ResponseWriter, r *http.Request) {
	home, req, files, err := s.chosen(r)
	if err == nil {
		files, err = patch(w, r, home, req.query, files)
	}
	s.changed(w, r, req, files, err)
}

// chosen is the caller's own files that the filters choose. Without a filter
// it is an error: nobody means all. So is another number than one if the client asks for one object, before anything is changed.
func (s *server) chosen(r *http.Request) (*storage.Drive, tableRequest, []storage.File, error) {
	id, err := s.identify(r)
	if err != nil {
		return nil, tableRequest{}, nil, err
	}
	if id.Role == auth.Admin {
		return nil, tableRequest{}, nil, api.Errorf(api.Permission, "an admin sees files but can't change them")
	}
	req, err := filesTable.parse(r.URL.RawQuery)
	if err != nil {
		return nil, tableRequest{}, nil, err
	}
	if len(req.query.Filters) == 0 {
		return nil, tableRequest{}, nil, errNoFilter(r)
	}
	home, err := s.drives.Home(r.Context(), caller(id))
	if err != nil {
		return nil, tableRequest{}, nil, err
	}
	files, err := home.Files(r.Context(), req.query)
	if err == nil {
		err = single(r, len(files))
	}
	return home, req, files, err
}

func errNoFilter(r *http.Request) error {
	return &pgrstStatus{http.StatusBadRequest, "21000", api.Errorf(api.Invalid, "%s requires a filter, such as id=eq.UUID", r.Method)}
}

// patch applies the body's columns to the files and returns them as they are then.
func patch(w http.ResponseWriter, r *http.Request, home *storage.Drive, q storage.FileQuery, files []storage.File) ([]storage.File, error) {
	var given map[string]json.RawMessage
	if err := readArguments(w, r, &given); err != nil {
		return nil, err
	}
	var path []api.Name
	var description *string
	for name, raw := range given {
		if _, err := filesTable.column(name); err != nil {
			return nil, err
		}
		if name != "description" && name != "file_path" {
			return nil, api.Errorf(api.Permission, "only file_path and description can be changed")
		}
		var text *string
		if err := json.Unmarshal(raw, &text); err != nil || text != nil && (!utf8.ValidString(*text) || strings.ContainsRune(*text, 0)) {
			return nil, api.Errorf(api.Invalid, "%s must be a text", name)
		}
		switch {
		case name == "description" && text != nil:
			description = text
		case name == "description":
			description = new(string)
		case text == nil:
			return nil, api.Errorf(api.Invalid, "%s must be a text", name)
		default:
			var err error
			if path, err = filePath(*text); err != nil {
				return nil, err
			}
		}
	}
	if path != nil && len(files) > 0 {
		i, err := nameToMove(q, files, path)
		if err != nil {
			return nil, err
		}
		f := &files[i]
		if err := home.MoveFile(r.Context(), *f, path); err != nil {
			return nil, err
		}
		f.FilePath, f.ContentType = rowPath(path), storage.ContentType(rowPath(path))
	}
	if description != nil {
		docs := make([]api.ID, len(files))
		for i := range files {
			docs[i], files[i].Description = files[i].ID, *description
		}
		if err := home.Describe(r.Context(), *description, docs...); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// nameToMove is which of the files gets a path. Where a document was chosen by its id alone they are its names: the first
// moves, or none if one has the path.
func nameToMove(q storage.FileQuery, files []storage.File, path []api.Name) (int, error) {
	byName := slices.ContainsFunc(q.Filters, func(f storage.Filter) bool { return f.Column != postgres.ColumnID })
	several := slices.ContainsFunc(files, func(f storage.File) bool { return f.ID != files[0].ID })
	if len(files) > 1 && (byName || several) {
		return 0, api.Errorf(api.Exists, "%d files can't have one path", len(files))
	}
	return max(0, slices.IndexFunc(files, func(f storage.File) bool { return f.FilePath == rowPath(path) })), nil
}

// rowPath is a path as the rows have it.
func rowPath(path []api.Name) string { return api.Name(api.JoinPath(path)).Escape() }

// changed answers a change: nothing, or the rows if the client prefers them.
func (s *server) changed(w http.ResponseWriter, r *http.Request, req tableRequest, files []storage.File, err error) {
	if err == nil && !prefers(r, "return=representation") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if err == nil {
		err = filesTable.write(w, r, http.StatusOK, req.fields, files)
	}
	if err != nil {
		s.pgrstError(w, r, err)
	}
}
