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
	files := &rowList[storage.File]{table: filesTable, fields: req.fields, share: s.listShare(id.User)}
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

// deleteFiles deletes the names that the filters choose: of a document that is chosen by its id, all.
func (s *server) deleteFiles(w http.ResponseWriter, r *http.Request) {
	home, req, err := s.filtered(r)
	if err == nil {
		err = s.changeFiles(w, r, home, req, func(files []storage.File) ([]storage.File, error) { return home.DeleteFiles(r.Context(), files...) })
	}
	if err != nil {
		s.pgrstError(w, r, err)
	}
}

// patchFiles renames a file, or changes descriptions.
func (s *server) patchFiles(w http.ResponseWriter, r *http.Request) {
	home, req, err := s.filtered(r)
	var p filePatch
	if err == nil {
		p, err = readPatch(w, r)
	}
	if err == nil {
		err = s.changeFiles(w, r, home, req, func(files []storage.File) ([]storage.File, error) {
			return p.apply(r.Context(), home, req.query, files)
		})
	}
	if err != nil {
		s.pgrstError(w, r, err)
	}
}

// filtered is the caller's own drive, and his filters, of whose files he wants to change something. Without a filter
// it is an error: nobody means all.
func (s *server) filtered(r *http.Request) (home *storage.Drive, req tableRequest, err error) {
	id, err := s.identify(r)
	if err != nil {
		return nil, req, err
	}
	if id.Role == auth.Admin {
		return nil, req, api.Errorf(api.Permission, "an admin sees files but can't change them")
	}
	if req, err = filesTable.parse(r.URL.RawQuery); err != nil {
		return nil, req, err
	}
	if len(req.query.Filters) == 0 {
		return nil, req, errNoFilter(r)
	}
	home, err = s.drives.Home(r.Context(), caller(id))
	return home, req, err
}

func errNoFilter(r *http.Request) error {
	return &pgrstStatus{http.StatusBadRequest, "21000", api.Errorf(api.Invalid, "%s requires a filter, such as id=eq.UUID", r.Method)}
}

// filePatch is the columns that a client gives files; nil are those that he does not.
type filePatch struct {
	path        []api.Name
	description *string
}

func readPatch(w http.ResponseWriter, r *http.Request) (p filePatch, err error) {
	var given map[string]json.RawMessage
	if err := readArguments(w, r, &given); err != nil {
		return p, err
	}
	for name, raw := range given {
		if _, err := filesTable.column(name); err != nil {
			return p, err
		}
		if name != "description" && name != "file_path" {
			return p, api.Errorf(api.Permission, "only file_path and description can be changed")
		}
		var text *string
		if err := json.Unmarshal(raw, &text); err != nil || text != nil && (!utf8.ValidString(*text) || strings.ContainsRune(*text, 0)) {
			return p, api.Errorf(api.Invalid, "%s must be a text", name)
		}
		switch {
		case name == "description":
			if text == nil {
				text = new(string)
			}
			p.description, err = text, storage.CheckDescription(*text)
		case text == nil:
			err = api.Errorf(api.Invalid, "%s must be a text", name)
		default:
			p.path, err = filePath(*text)
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// apply gives files the columns and returns them as they are then.
func (p filePatch) apply(ctx context.Context, home *storage.Drive, q storage.FileQuery, files []storage.File) ([]storage.File, error) {
	if p.path != nil && len(files) > 0 {
		i, err := nameToMove(q, files, p.path)
		if err != nil {
			return nil, err
		}
		f := &files[i]
		if err := home.MoveFile(ctx, *f, p.path); err != nil {
			return nil, err
		}
		f.FilePath, f.ContentType = rowPath(p.path), storage.ContentType(rowPath(p.path))
	}
	if p.description != nil {
		docs := make([]api.ID, len(files))
		for i := range files {
			docs[i], files[i].Description = files[i].ID, *p.description
		}
		if err := home.Describe(ctx, *p.description, docs...); err != nil {
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
