package s3

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
)

// extent is where in an object a part of it is, in bytes.
type extent struct {
	off, len int64
	parts    int // that the object was sent in; 0: it was not, or it is not known
}

// part is what part of an object the request is for; nil: for the object. One that was not sent in parts, or of which they are not
// known, is one part.
func (q *request) part(b *storage.Bucket, n *api.Node) (*extent, error) {
	if !q.has("partNumber") {
		return nil, nil
	}
	number, err := strconv.Atoi(q.query.Get("partNumber"))
	if err != nil || number < 1 || number > storage.MaxParts {
		return nil, refuse(http.StatusBadRequest, "InvalidArgument", "the part's number is not between 1 and %d", storage.MaxParts)
	}
	if q.r.Header.Get("Range") != "" {
		return nil, refuse(http.StatusBadRequest, "InvalidRequest", "a part and a range can't both be asked for")
	}
	sizes, err := b.ObjectParts(q.ctx, n.Version)
	if err != nil {
		return nil, err
	}
	part := &extent{parts: len(sizes)}
	if len(sizes) == 0 {
		sizes = []int64{size(n)}
	}
	if number > len(sizes) {
		return nil, refuse(http.StatusRequestedRangeNotSatisfiable, "InvalidPartNumber", "the object has no such part")
	}
	for _, before := range sizes[:number-1] {
		part.off += before
	}
	part.len = sizes[number-1]
	return part, nil
}

// nothing is the content of an empty part.
type nothing struct{ bytes.Reader }

func (*nothing) Err() error { return nil }

// of makes the request one for the part's bytes of an object's content. An empty part has no range, and is answered as an empty object is.
func (p *extent) of(q *request, content serve.Body) serve.Body {
	if p.parts > 0 {
		q.w.Header().Set("X-Amz-Mp-Parts-Count", strconv.Itoa(p.parts))
	}
	q.r.Header.Del("If-Range")
	if p.len == 0 {
		return new(nothing)
	}
	q.r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", p.off, p.off+p.len-1))
	return content
}
