package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"satchel/api"
	"satchel/storage"
)

// rpcGetFile sends a file to anyone who may read it, dressed for browsers.
func (s *server) rpcGetFile(w http.ResponseWriter, r *http.Request) {
	p, err := s.place(w, r)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	drive, about, err := s.readable(r, p)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	content, err := drive.Content(r.Context(), about.Node, api.ID{})
	if err != nil {
		s.pgrstError(w, r, p.missing(err))
		return
	}
	mediaType, err := contentType(r, p.name(), content)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	dressContent(w.Header(), p.name(), mediaType)
	s.sendContent(w, r, content, caching(w.Header(), about.Public), false, s.pgrstError)
}

// caching says how long content may be kept: what is public by everybody for
// three days. One URL may mean another file for another caller.
func caching(h http.Header, public bool) string {
	h.Add("Vary", "Authorization, Cookie")
	if !public {
		return private
	}
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	return "public, max-age=259200"
}

// contentType is the media type of content: by its name, or else by its first
// bytes.
func contentType(r *http.Request, name string, content *storage.Content) (string, error) {
	if t := storage.ContentType(name); t != storage.Unknown || content.Size == 0 {
		return t, nil
	}
	head, err := content.Open(r.Context(), 0, 512)
	if err != nil {
		return "", err
	}
	defer head.Close()
	b, err := io.ReadAll(head)
	if err != nil {
		return "", err
	}
	return http.DetectContentType(b), nil
}

// fileMetadata is the row of get_metadata.
type fileMetadata struct {
	ID          api.ID          `json:"id"`
	BucketPath  string          `json:"bucket_path"`
	FileName    string          `json:"file_name"`
	Size        int64           `json:"size"`
	ContentType string          `json:"content_type"`
	Hash        api.Hash        `json:"hash"`
	CreatedAt   time.Time       `json:"created_at"`
	Metadata    json.RawMessage `json:"metadata"`
}

// rpcGetMetadata tells about a file to anyone who may read it.
func (s *server) rpcGetMetadata(w http.ResponseWriter, r *http.Request) {
	row, err := s.metadata(w, r)
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	writeRows(w, r, http.StatusOK, []any{row})
}

func (s *server) metadata(w http.ResponseWriter, r *http.Request) (row fileMetadata, err error) {
	p, err := s.place(w, r)
	if err != nil {
		return row, err
	}
	drive, about, err := s.readable(r, p)
	if err != nil {
		return row, err
	}
	content, err := drive.Content(r.Context(), about.Node, api.ID{})
	if err != nil {
		return row, p.missing(err)
	}
	mediaType, err := contentType(r, p.name(), content)
	if err != nil {
		return row, err
	}
	return fileMetadata{
		ID: about.Document, BucketPath: api.JoinPath(p.path[:len(p.path)-1]), FileName: p.name(), Size: about.Size,
		ContentType: mediaType, Hash: about.SHA256, CreatedAt: about.Created.UTC(), Metadata: about.Metadata,
	}, nil
}

// rpcSetMetadata replaces what the owner says about a file.
func (s *server) rpcSetMetadata(w http.ResponseWriter, r *http.Request) {
	p, err := s.ownPlace(w, r)
	if err == nil {
		err = s.atPlace(r, p, func(d *storage.Drive, path []api.Name) error {
			return d.SetMetadata(r.Context(), path, p.Metadata)
		})
	}
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// rpcSetPublic lets everybody read a file or a folder, or no longer.
func (s *server) rpcSetPublic(w http.ResponseWriter, r *http.Request) {
	p, err := s.ownPlace(w, r)
	var public bool
	if err == nil && p.Public == nil {
		err = api.Errorf(api.Invalid, "p_public must be true or false")
	}
	if err == nil {
		err = s.atPlace(r, p, func(d *storage.Drive, path []api.Name) error {
			if err := d.SetPublic(r.Context(), path, *p.Public); err != nil {
				return err
			}
			about, err := d.About(r.Context(), path)
			public = about.Public // a file in a public folder stays so
			return err
		})
	}
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	writeRows(w, r, http.StatusOK, []any{map[string]bool{"is_public": public}})
}

// rpcIsPublic tells whether everybody may read a file or a folder.
func (s *server) rpcIsPublic(w http.ResponseWriter, r *http.Request) {
	p, err := s.place(w, r)
	var about storage.About
	if err == nil {
		err = s.atPlace(r, p, func(d *storage.Drive, path []api.Name) error {
			about, err = d.About(r.Context(), path)
			return err
		})
	}
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	writeRows(w, r, http.StatusOK, []any{map[string]bool{"is_public": about.Public}})
}

// place is a file or folder as these functions name it: the directory, and the
// last name. Their other arguments are with it, since they are in one body.
type place struct {
	Bucket   string          `json:"p_bucket_path"`
	File     string          `json:"p_file_name"`
	Metadata json.RawMessage `json:"p_metadata"`
	Public   *bool           `json:"p_public"`

	caller storage.Caller
	path   []api.Name
}

// place reads the arguments of what strangers may ask for too.
func (s *server) place(w http.ResponseWriter, r *http.Request) (*place, error) {
	c, err := s.visitor(w, r)
	if err != nil {
		return nil, err
	}
	return readPlace(w, r, c)
}

// ownPlace reads the arguments of what strangers may not ask for.
func (s *server) ownPlace(w http.ResponseWriter, r *http.Request) (*place, error) {
	id, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	return readPlace(w, r, caller(id))
}

func readPlace(w http.ResponseWriter, r *http.Request, c storage.Caller) (p *place, err error) {
	p = &place{Bucket: r.URL.Query().Get("p_bucket_path"), File: r.URL.Query().Get("p_file_name"), caller: c}
	if r.Method == http.MethodPost {
		if err := readArguments(w, r, p); err != nil {
			return nil, err
		}
	}
	if p.path, err = api.ParsePath(p.Bucket); err != nil || p.File == "" {
		return p, err // the folder itself
	}
	name := api.Name(p.File)
	if err := name.Check(); err != nil {
		return nil, err
	}
	p.path = append(p.path, name)
	return p, nil
}

func (p *place) name() string { return p.path[len(p.path)-1].Escape() }

// missing is the one answer for what is not there, is hidden, or is no file.
func (p *place) missing(err error) error {
	switch api.KindOf(err) {
	case api.NotFound, api.NotDirectory, api.IsDirectory:
		return &explained{"File not found", fmt.Sprintf("File %s not found in bucket %s", p.File, p.Bucket),
			&pgrstStatus{http.StatusNotFound, "PT404", api.Errorf(api.NotFound, "File not found")}}
	}
	return err
}

// atPlace does something in the drive that a place is in.
func (s *server) atPlace(r *http.Request, p *place, do func(*storage.Drive, []api.Name) error) error {
	drive, path, err := s.drives.Resolve(r.Context(), p.caller, p.path)
	if err == nil {
		err = do(drive, path)
	}
	return p.missing(err)
}

// readable is a file that the caller may read.
func (s *server) readable(r *http.Request, p *place) (drive *storage.Drive, about storage.About, err error) {
	if err := api.Name(p.File).Check(); err != nil {
		return nil, about, err
	}
	err = s.atPlace(r, p, func(d *storage.Drive, path []api.Name) error {
		drive = d
		if about, err = d.About(r.Context(), path); err == nil && about.Type != api.File {
			err = api.Errorf(api.IsDirectory, "this is not a file")
		}
		return err
	})
	return drive, about, err
}
