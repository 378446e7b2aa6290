package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

// objectJSON asks PostgREST for one object where it would send a list.
const objectJSON = "application/vnd.pgrst.object+json"

func wantsObject(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), objectJSON) }

// single is an error if the client asks for one object where there is another number of rows.
func single(r *http.Request, rows int) error {
	if wantsObject(r) && rows != 1 {
		return errRows
	}
	return nil
}

// maxArguments is the largest body of a function's arguments in bytes.
const maxArguments = 64 << 10

// rpcLogin starts a browser's session: the cookie for the browser, the token
// of the same session for programs.
func (s *server) rpcLogin(w http.ResponseWriter, r *http.Request) {
	var in struct{ Email, Password string }
	if err := readArguments(w, r, &in); err != nil {
		s.pgrstError(w, r, err)
		return
	}
	secret, token, err := s.auth.LoginBrowser(r.Context(), address(r), in.Email, in.Password, r.UserAgent())
	if api.KindOf(err) == api.Unauthenticated {
		err = &pgrstStatus{http.StatusBadRequest, "28P01", api.Errorf(api.Invalid, "Invalid email or password")}
	}
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	s.setCookie(w, secret)
	writeRows(w, r, http.StatusOK, []any{map[string]string{"token": token.Token}})
}

// readArguments reads a function's arguments from a JSON object, whatever type
// the client says that it is: curl -d claims a form.
func readArguments(w http.ResponseWriter, r *http.Request, in any) error {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxArguments))
	if err != nil {
		return tooLarge(err)
	}
	if err := json.Unmarshal(b, in); err != nil {
		return &pgrstStatus{http.StatusBadRequest, "PGRST102", api.Errorf(api.Invalid, "the body is not a JSON object of the arguments: %w", err)}
	}
	return nil
}

// writeRows sends rows as a list, or the only one as an object if the client
// asks for that.
func writeRows(w http.ResponseWriter, r *http.Request, status int, rows []any) {
	if wantsObject(r) && len(rows) == 1 {
		w.Header().Set("Content-Type", objectJSON+"; charset=utf-8")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(rows[0])
		return
	}
	writeJSON(w, status, rows)
}

// rpcStoreFile makes the request's body the content of a file. The body is
// read as it is stored, so its size does not matter.
func (s *server) rpcStoreFile(w http.ResponseWriter, r *http.Request) {
	file, err := s.storeFile(r)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, file.ID)
}

func (s *server) storeFile(r *http.Request) (storage.File, error) {
	home, err := s.home(r)
	if err != nil {
		return storage.File{}, err
	}
	if r.Header.Get("File-Path") == "" {
		return storage.File{}, api.Errorf(api.Invalid, "Mandatory 'File-Path' header is missing.")
	}
	path, err := filePath(headerText(r.Header.Get("File-Path")))
	if err != nil {
		return storage.File{}, err
	}
	var description *string
	if r.Header.Values("Description") != nil {
		text := headerText(r.Header.Get("Description"))
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return storage.File{}, api.Errorf(api.Invalid, "the description is not UTF-8 text")
		}
		description = &text
	}
	drive, path, err := home.Through(r.Context(), path)
	if err != nil {
		return storage.File{}, err
	}
	o, err := putOptions(r, drive, path)
	if err != nil {
		return storage.File{}, err
	}
	o.Description = description
	return drive.Store(r.Context(), path, r.Body, o)
}

// rpcRetrieveFile sends a file of the caller's own. One that is missing,
// another user's, and anything for an admin are the same.
func (s *server) rpcRetrieveFile(w http.ResponseWriter, r *http.Request) {
	content, err := s.retrieveFile(w, r)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	s.serveContent(w, r, content, s.pgrstError)
}

func (s *server) retrieveFile(w http.ResponseWriter, r *http.Request) (*storage.Content, error) {
	id, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	given := r.URL.Query().Get("p_file_path")
	if r.Method == http.MethodPost {
		var in struct {
			Path string `json:"p_file_path"`
		}
		if err := readArguments(w, r, &in); err != nil {
			return nil, err
		}
		given = in.Path
	}
	path, err := filePath(given)
	if err != nil {
		return nil, err
	}
	content, err := s.contentAt(r, id, path)
	switch api.KindOf(err) {
	case api.NotFound, api.NotDirectory, api.IsDirectory, api.Permission:
		return nil, &pgrstStatus{http.StatusBadRequest, "P0001", api.Errorf(api.Invalid, "File not found.")}
	}
	return content, err
}

func (s *server) contentAt(r *http.Request, id auth.Identity, path []api.Name) (*storage.Content, error) {
	found, err := s.drives.Find(r.Context(), caller(id), path, storage.Finding{Resolving: storage.Resolving{Follow: true}, Content: true})
	switch {
	case err != nil:
		return nil, err
	case found.Node == nil:
		return nil, api.Errorf(api.NotFound, "there is no such file")
	case found.Node.Type != api.File:
		return nil, api.Errorf(api.IsDirectory, "this is not a file")
	}
	return found.Content(r.Context())
}

// home is the caller's home drive. An admin has none.
func (s *server) home(r *http.Request) (*storage.Drive, error) {
	id, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	return s.drives.Home(r.Context(), caller(id))
}

// filePath reads a path that must name a file.
func filePath(p string) ([]api.Name, error) {
	path, err := api.ParsePath(p)
	if err == nil && (len(path) == 0 || strings.HasSuffix(p, "/")) {
		err = api.Errorf(api.Invalid, "the path %q does not name a file", p)
	}
	return path, err
}

// headerText reads a header's value. Headers carry ASCII, so other text
// arrives percent-encoded; a value that is ASCII when decoded is taken as it
// stands, so that a file may be called "100%25.txt".
func headerText(s string) string {
	decoded, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(decoded) || !utf8.ValidString(s) {
		return s
	}
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return s // raw UTF-8, which most clients and net/http let through
		}
	}
	for i := range len(decoded) {
		if decoded[i] >= utf8.RuneSelf {
			return decoded
		}
	}
	return s
}

// errRows says that a query did not give the one row that was asked for.
var errRows = &pgrstStatus{http.StatusNotAcceptable, "PGRST116", api.Errorf(api.Invalid, "JSON object requested, multiple (or no) rows returned")}
