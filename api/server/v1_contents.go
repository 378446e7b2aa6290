package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/storage"
)

// maxContentsBody is the largest body of a batch read in bytes; the largest
// honest one has [api.MaxContents] pairs of ids.
const maxContentsBody = 512 << 10

type contentsBody struct {
	Files []api.ContentRef `json:"files" maxItems:"2000" doc:"At most 64 MiB of content in all"`
}

const contentsFormat = `Many small files in one answer, in the order in which they lie in the store. Numbers are big endian:

    stream   "SPC1", records, end
    content  'C', index in the request u32, version id [16], SHA-256 [32], size u64, parts
    part     length u32 (1 to 4 MiB), bytes; as many as make up the size
    failed   'F', index u32, failure
    failure  length u8, kind; length u16, message
    end      'E', number of records u32

A part of length 0 is followed by a failure: the rest of that content can't be read. Each index is answered once; one that
fails spoils no other. A stream without its end was torn.`

// contentsRoute adds the batch read, whose answer is a stream, and how much there is.
func (s *server) contentsRoute(mux *http.ServeMux, v1 huma.API) {
	mux.HandleFunc("POST /v1/drives/{drive}/contents", s.postContents)
	op := post("contents", "/drives/{drive}/contents", "The bytes of many small files")
	op.Description = contentsFormat
	op.Security = []map[string][]string{{"token": {}}}
	op.Parameters = []*huma.Param{{Name: "drive", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}}
	schema := v1.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[contentsBody](), true, "ContentsBody")
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	problems := map[string]*huma.MediaType{problemJSON: {}}
	op.Responses = map[string]*huma.Response{
		"200": {Description: "The stream", Content: map[string]*huma.MediaType{"application/octet-stream": {}}},
		"404": {Description: "There is no such drive, or it is hidden", Content: problems},
		"413": {Description: "More than 2000 files, or more than 64 MiB", Content: problems},
	}
	v1.OpenAPI().AddOperation(&op)

	onDrive(s, v1, get("usage", "/drives/{drive}/nodes/{node}/usage", "How much is below a directory"), func(ctx context.Context, d *storage.Drive, in NodeInput) (api.Usage, error) {
		return d.Usage(ctx, in.Node)
	})
	onDrive(s, v1, get("holes", "/drives/{drive}/nodes/{node}/holes", "Where a file is zeros, which need not be read"),
		func(ctx context.Context, d *storage.Drive, in contentInput) (holesOutput, error) {
			c, err := d.Content(ctx, in.Node, in.Version)
			if err != nil {
				return holesOutput{}, err
			}
			return holesOutput{c.Holes()}, nil
		})
}

type contentInput struct {
	NodeInput
	Version api.ID `query:"version" doc:"A version of the file; none: the current one"`
}

type holesOutput struct {
	Holes []api.Hole `json:"holes" doc:"In order, bytes; of at least 4 MiB, and no two touch"`
}

// postContents streams the contents that the body names.
func (s *server) postContents(w http.ResponseWriter, r *http.Request) {
	d, err := s.driveOf(r)
	if err != nil {
		s.problemError(w, r, err)
		return
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxContentsBody))
	if err != nil {
		s.problemError(w, r, tooLarge(err))
		return
	}
	var in contentsBody
	if err := json.Unmarshal(b, &in); err != nil {
		s.problemError(w, r, api.Errorf(api.Invalid, "the body is not a list of contents: %w", err))
		return
	}
	contents, err := d.Contents(r.Context(), in.Files)
	if err != nil {
		s.problemError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	stream := chunk.NewContentsWriter(w)
	if contents.WriteTo(r.Context(), stream) != nil || stream.Close() != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
}
