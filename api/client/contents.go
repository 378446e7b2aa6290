package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"satchel/api"
	"satchel/api/chunk"
)

// Contents reads many small contents in one request and calls fn once for each,
// with its index in files, in an order that suits the server. v has the content's
// ID, Size and SHA256; fn checks the hash. The body is valid during the call and
// need not be read. One that can't be had, or not to its end, fails in reading the
// body: [api.NotFound] for a missing or hidden one, [api.IsDirectory], [api.Unavailable]
// where trying again may help, [api.Internal]. It spoils no other.
//
// More than [api.MaxContents] files, or [api.MaxContentsBytes] bytes in all, are
// [api.TooLarge]. An answer that breaks off is [api.Unavailable]; fn may have been
// called for some by then. An error of fn ends the call and is returned as it is.
func (d *Drive) Contents(ctx context.Context, files []api.ContentRef, fn func(index int, v api.Version, body io.Reader) error) error {
	if len(files) == 0 {
		return nil
	}
	r := request{method: http.MethodPost, path: d.path("/contents")}
	if err := r.encode(map[string][]api.ContentRef{"files": files}); err != nil {
		return err
	}
	r.header.Set("Accept-Encoding", "identity")
	resp, err := d.c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return chunk.ReadContents(resp.Body, len(files), fn)
}

// Holes is where a version of a file is known to be zeros, in order; they need not be read.
func (d *Drive) Holes(ctx context.Context, node, version api.ID) ([]api.Hole, error) {
	var answer struct {
		Holes []api.Hole `json:"holes"`
	}
	err := d.get(ctx, d.path("/nodes/", node.String(), "/holes"), url.Values{"version": {version.String()}}, &answer)
	return answer.Holes, err
}

// Usage is how much is below a directory.
func (d *Drive) Usage(ctx context.Context, dir api.ID) (api.Usage, error) {
	var u api.Usage
	err := d.get(ctx, d.path("/nodes/", dir.String(), "/usage"), nil, &u)
	return u, err
}
