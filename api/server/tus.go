package server

import (
	"context"
	"encoding/base64"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"satchel/api"
	"satchel/api/route"
	"satchel/storage"
)

// Resumable uploads by the tus protocol, version 1.0.0 (https://tus.io), with the
// extensions creation, creation-with-upload, termination and expiration.

const (
	tusVersion    = "1.0.0"
	tusExtensions = "creation,creation-with-upload,termination,expiration"
	tusBody       = "application/offset+octet-stream"

	// maxTusMetadata is the longest Upload-Metadata header in bytes.
	maxTusMetadata = 16 << 10
)

// routeTus adds the uploads.
func (s *server) routeTus(mux *http.ServeMux, doc *route.Document) {
	f := doc.Family("uploads", "Uploads that go on after an interruption, by any tus 1.0.0 client", "/uploads", s.pgrstError)
	version := map[string]string{"Tus-Resumable": tusVersion}
	with := func(more ...string) map[string]string {
		h := map[string]string{"Tus-Resumable": tusVersion}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	one := []route.Param{{Name: "upload", In: route.Path, Type: "uuid", Required: true, Doc: "The upload"}}
	gone := route.Answer{Status: 404, Doc: "There is no such upload: it is over, or was given up"}
	f.Handle(route.Operation{
		ID: "tus-create", Method: http.MethodPost, Path: "/uploads", Access: route.Known, Summary: "Begin an upload, with its first bytes if you like",
		Doc: "Upload-Metadata has path (or filename), description (at most 4 KiB), modified (ms since 1970) and upload (a UUID that the upload is to have, so that its address is known though the answer is lost), base64-coded as tus says. The file appears when all its bytes are there; " +
			"an upload ends seven days after it began.",
		Params: []route.Param{{Name: "Upload-Length", In: route.Header, Type: "integer", Required: true, Doc: "Bytes in all"},
			{Name: "Upload-Metadata", In: route.Header, Required: true, Doc: "What it will be"}},
		Body: &route.Body{Type: tusBody, Optional: true, Doc: "The first bytes"},
		Answers: []route.Answer{{Status: 201, Doc: "Location is its address"}, {Status: 409, Doc: "There is an upload of that UUID: HEAD says how far it is"}, {Status: 412, Doc: "Tus-Resumable is another version"},
			{Status: 413, Doc: "More than Tus-Max-Size, 335 GB"}, {Status: 507, Doc: "The quota has no room for it"}},
		Examples: []route.Example{
			{Summary: "notes/tus.txt, of eleven bytes", As: route.You, Header: with("Upload-Length", "11", "Upload-Metadata", "path bm90ZXMvdHVzLnR4dA=="), Status: 201, Keep: map[string]string{"upload": "id"}},
			{Summary: "Without its path", As: route.You, Header: with("Upload-Length", "11"), Status: 400, Contains: "Upload-Metadata"},
		},
	}, s.tus(s.tusCreate))
	f.Handle(route.Operation{
		ID: "tus-list", Method: http.MethodGet, Path: "/uploads", Access: route.Known, Summary: "Your uploads that are not complete",
		Answers:  []route.Answer{{Status: 200, Doc: `[{"id","path","size","offset","modified","created","expires"}]`}},
		Examples: []route.Example{{Summary: "All", As: route.You, Status: 200, Contains: `"path":"notes/tus.txt"`}},
	}, s.tusList)
	f.Handle(route.Operation{
		ID: "tus-head", Method: http.MethodHead, Path: "/uploads/{upload}", Access: route.Known, Summary: "How much of an upload is stored", Params: one,
		Answers:  []route.Answer{{Status: 200, Doc: "Upload-Offset and Upload-Length say it"}, gone},
		Examples: []route.Example{{Summary: "Nothing yet", As: route.You, Path: "/uploads/$upload", Header: version, Status: 200}},
	}, s.tus(s.tusHead))
	f.Handle(route.Operation{
		ID: "tus-append", Method: http.MethodPatch, Path: "/uploads/{upload}", Access: route.Known, Summary: "Send the next bytes of an upload",
		Params: append(one, route.Param{Name: "Upload-Offset", In: route.Header, Type: "integer", Required: true, Doc: "Where they begin: what HEAD says"}),
		Body:   &route.Body{Type: tusBody, Doc: "The bytes, as many as there are or you want to send at once"},
		Answers: []route.Answer{{Status: 204, Doc: "Upload-Offset says how much is stored; at its length the file is there"}, gone, {Status: 409, Doc: "The offset is another"},
			{Status: 413, Doc: "There are more bytes than the upload was to have: none of the last ones is kept"},
			{Status: 415, Doc: "Content-Type must be " + tusBody},
			{Status: 503, Doc: "All bytes are here, and are being stored in a folder that another one shares: HEAD says when it is done"}},
		Examples: []route.Example{
			{Summary: "All of them", As: route.You, Path: "/uploads/$upload", Header: with("Upload-Offset", "0", "Content-Type", tusBody), Body: "Buy butter.", Status: 204},
			{Summary: "From a wrong place", As: route.You, Path: "/uploads/$upload", Header: with("Upload-Offset", "3", "Content-Type", tusBody), Body: "x", Status: 409},
		},
	}, s.tus(s.tusAppend))
	f.Handle(route.Operation{
		ID: "tus-end", Method: http.MethodDelete, Path: "/uploads/{upload}", Access: route.Known, Summary: "Give an upload up", Params: one,
		Answers:  []route.Answer{{Status: 204, Doc: "It is forgotten"}, gone},
		Examples: []route.Example{{Summary: "A file that was made of it stays", As: route.You, Path: "/uploads/$upload", Header: version, Status: 204}},
	}, s.tus(s.tusEnd))
	f.Handle(route.Operation{
		ID: "tus-options", Method: http.MethodOptions, Path: "/uploads", Summary: "What of tus this server speaks",
		Answers:  []route.Answer{{Status: 204, Doc: "Tus-Version, Tus-Extension and Tus-Max-Size say it"}},
		Examples: []route.Example{{Summary: "Ask", Status: 204}},
	}, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Tus-Resumable", tusVersion)
		h.Set("Tus-Version", tusVersion)
		h.Set("Tus-Extension", tusExtensions)
		h.Set("Tus-Max-Size", strconv.FormatInt(storage.MaxResumable, 10))
		w.WriteHeader(http.StatusNoContent)
	})
	f.Mount(mux)
}

// tus answers requests of the protocol's version, with the caller's drive.
func (s *server) tus(do func(w http.ResponseWriter, r *http.Request, d *storage.Drive) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Tus-Resumable", tusVersion)
		err := func() error {
			if r.Header.Get("Tus-Resumable") != tusVersion {
				w.Header().Set("Tus-Version", tusVersion)
				return &pgrstStatus{http.StatusPreconditionFailed, "TUS412", api.Errorf(api.Invalid, "the header Tus-Resumable must be %s", tusVersion)}
			}
			d, err := s.uploadDrive(r)
			if err != nil {
				return err
			}
			return do(w, r, d)
		}()
		if api.KindOf(err) == api.Conflict { // of another offset, which is 409 in tus
			err = &pgrstStatus{http.StatusConflict, "TUS409", err}
		}
		if err != nil {
			s.pgrstError(w, r, err)
		}
	}
}

func (s *server) uploadDrive(r *http.Request) (*storage.Drive, error) {
	id, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	return s.drives.Home(r.Context(), caller(id))
}

// tusUpload is an upload as JSON has it.
type tusUpload struct {
	ID       api.ID    `json:"id"`
	Path     string    `json:"path"` // as pages have it
	Size     int64     `json:"size"`
	Offset   int64     `json:"offset"`
	Modified string    `json:"modified,omitempty"` // of the file that is sent
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
}

func asTusUpload(u storage.Resumable) tusUpload {
	return tusUpload{ID: u.ID, Path: webText(u.Path), Size: u.Size, Offset: u.Offset, Modified: u.Fields["modified"], Created: u.Created, Expires: u.Expires}
}

func (s *server) tusList(w http.ResponseWriter, r *http.Request) {
	d, err := s.uploadDrive(r)
	var uploads []storage.Resumable
	if err == nil {
		uploads, err = d.Resumables(r.Context())
	}
	if err != nil {
		s.pgrstError(w, r, err)
		return
	}
	all := make([]tusUpload, len(uploads))
	for i, u := range uploads {
		all[i] = asTusUpload(u)
	}
	writeJSON(w, http.StatusOK, all)
}

func (s *server) tusCreate(w http.ResponseWriter, r *http.Request, d *storage.Drive) error {
	size, err := tusNumber(r, "Upload-Length")
	if err != nil {
		return err
	}
	fields, err := tusMetadata(r.Header.Get("Upload-Metadata"))
	if err != nil {
		return err
	}
	where := fields["path"]
	if where == "" {
		where = fields["filename"]
	}
	if where == "" {
		return api.Errorf(api.Invalid, "the header Upload-Metadata must have a path, or a filename")
	}
	path, err := webPath(where)
	if err != nil {
		return err
	}
	if err := storage.CheckDescription(fields["description"]); err != nil {
		return err
	}
	id := api.NewID()
	if text, ok := fields["upload"]; ok {
		if id, err = api.ParseID(text); err != nil {
			return err
		}
	}
	u, err := d.BeginResumable(r.Context(), id, path, size, fields)
	if err != nil {
		return err
	}
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType == tusBody || size == 0 {
		// An upload that could not take its first bytes is worth nothing to a client that is
		// not told its address. One that knew it may have sent them by another request meanwhile.
		if u, err = d.Append(r.Context(), u.ID, 0, r.Body, tusOptions(r, u)); err != nil && u.Offset == 0 {
			if end := d.AbortEmptyResumable(context.WithoutCancel(r.Context()), u.ID); end != nil {
				s.log.Warn("an upload that failed is left", "upload", u.ID, "err", end)
			}
			return err
		}
	}
	h := w.Header()
	h.Set("Location", "/uploads/"+u.ID.String())
	tusState(h, u)
	writeJSON(w, http.StatusCreated, asTusUpload(u))
	return nil
}

func tusState(h http.Header, u storage.Resumable) {
	h.Set("Upload-Offset", strconv.FormatInt(u.Offset, 10))
	if u.Offset < u.Size {
		h.Set("Upload-Expires", u.Expires.UTC().Format(http.TimeFormat))
	}
}

// tusOptions is what a request says about its body, and an upload's fields about its file. The description of one that was begun when
// there was no bound may be too long, of which whoever sends the rest can change nothing: it is cut.
func tusOptions(r *http.Request, u storage.Resumable) (o storage.ResumableOptions) {
	o.Length = max(0, r.ContentLength)
	if text, ok := u.Fields["description"]; ok && text != "" {
		n := min(len(text), storage.MaxDescription)
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
		o.Description = &text
	}
	if ms, err := strconv.ParseInt(u.Fields["modified"], 10, 64); err == nil && ms > 0 && ms < 1<<42 {
		o.Mtime = time.UnixMilli(ms).UnixNano()
	}
	return o
}

func (s *server) tusHead(w http.ResponseWriter, r *http.Request, d *storage.Drive) error {
	u, err := s.tusFind(r, d)
	if err != nil {
		return err
	}
	tusState(w.Header(), u)
	w.Header().Set("Upload-Length", strconv.FormatInt(u.Size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *server) tusFind(r *http.Request, d *storage.Drive) (storage.Resumable, error) {
	id, err := api.ParseID(r.PathValue("upload"))
	if err != nil {
		return storage.Resumable{}, err
	}
	return d.Resumable(r.Context(), id)
}

func (s *server) tusAppend(w http.ResponseWriter, r *http.Request, d *storage.Drive) error {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != tusBody {
		return &pgrstStatus{http.StatusUnsupportedMediaType, "TUS415", api.Errorf(api.Invalid, "the Content-Type must be %s", tusBody)}
	}
	offset, err := tusNumber(r, "Upload-Offset")
	if err != nil {
		return err
	}
	u, err := s.tusFind(r, d)
	if err != nil {
		return err
	}
	if u, err = d.Append(r.Context(), u.ID, offset, r.Body, tusOptions(r, u)); err != nil {
		return err
	}
	tusState(w.Header(), u)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) tusEnd(w http.ResponseWriter, r *http.Request, d *storage.Drive) error {
	u, err := s.tusFind(r, d)
	if err != nil {
		return err
	}
	if err := d.AbortResumable(r.Context(), u.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func tusNumber(r *http.Request, header string) (int64, error) {
	n, err := strconv.ParseInt(r.Header.Get(header), 10, 64)
	if err != nil || n < 0 {
		return 0, api.Errorf(api.Invalid, "the header %s must be a number of bytes", header)
	}
	return n, nil
}

// tusMetadata reads an Upload-Metadata header: pairs of a key and a
// base64-coded value, between commas.
func tusMetadata(header string) (map[string]string, error) {
	if len(header) > maxTusMetadata {
		return nil, api.Errorf(api.TooLarge, "the header Upload-Metadata has more than %d bytes", maxTusMetadata)
	}
	fields := map[string]string{}
	for pair := range strings.SplitSeq(header, ",") {
		key, coded, _ := strings.Cut(strings.TrimSpace(pair), " ")
		if key == "" {
			continue
		}
		value, err := base64.StdEncoding.DecodeString(strings.TrimSpace(coded))
		if _, twice := fields[key]; err != nil || twice || !utf8.Valid(value) || strings.ContainsRune(string(value), 0) || !utf8.ValidString(key) {
			return nil, api.Errorf(api.Invalid, "the header Upload-Metadata is not what tus says: %q", key)
		}
		fields[key] = string(value)
	}
	return fields, nil
}
