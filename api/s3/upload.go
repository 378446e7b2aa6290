package s3

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"

	"satchel/api"
	"satchel/storage"
)

// beginUpload answers CreateMultipartUpload.
func (q *request) beginUpload() error {
	b, err := q.open("PutObject", q.key)
	if err != nil {
		return err
	}
	if _, dir, err := q.place(); err != nil {
		return err
	} else if dir {
		return refuse(http.StatusConflict, "InvalidObjectKey", "a key that ends with a slash is a directory here and has no content")
	}
	headers, err := q.headers()
	if err != nil {
		return err
	}
	id, err := b.BeginUpload(q.ctx, q.key, headers)
	if err != nil {
		return err
	}
	q.xml(http.StatusOK, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		XMLNS    string   `xml:"xmlns,attr"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{XMLNS: namespace, Bucket: q.bucket, Key: q.key, UploadID: id.String()})
	return nil
}

// upload is the bucket and the id of the upload that the query names.
func (q *request) upload(action string) (*storage.Bucket, api.ID, error) {
	b, err := q.open(action, q.key)
	if err != nil {
		return nil, api.ID{}, err
	}
	id, err := api.ParseID(q.query.Get("uploadId"))
	if err != nil {
		return nil, id, errNoUpload()
	}
	return b, id, nil
}

func errNoUpload() error {
	return refuse(http.StatusNotFound, "NoSuchUpload", "there is no such upload: it is complete, was aborted, or is over a week old")
}

func ofUpload(err error) error {
	if api.KindOf(err) == api.NotFound {
		return errNoUpload()
	}
	return err
}

// putPart answers UploadPart and UploadPartCopy.
func (q *request) putPart() error {
	b, id, err := q.upload("PutObject")
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(q.query.Get("partNumber"))
	if err != nil {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the part's number is missing")
	}
	var content io.Reader = q.body
	if q.r.Header.Get("X-Amz-Copy-Source") != "" {
		source, err := q.copyRange()
		if err != nil {
			return err
		}
		defer source.Close()
		content = source
	} else if q.body.length < 0 {
		return refuse(http.StatusLengthRequired, "MissingContentLength", "the length of the body is not said")
	}
	var tag string
	sum := md5.New()
	err = b.PutPart(q.ctx, id, q.key, number, io.TeeReader(content, sum), func() ([16]byte, error) {
		s := [16]byte(sum.Sum(nil))
		tag = `"` + hex.EncodeToString(s[:]) + `"`
		return s, nil
	})
	if err != nil {
		return ofUpload(err)
	}
	if q.r.Header.Get("X-Amz-Copy-Source") != "" {
		q.xml(http.StatusOK, copied{XMLName: xml.Name{Local: "CopyPartResult"}, ETag: tag, LastModified: stamp(q.Now())})
		return nil
	}
	q.w.Header().Set("Etag", tag)
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// copyRange opens the part of another object that is copied.
func (q *request) copyRange() (io.ReadCloser, error) {
	from, n, _, _, err := q.copySource()
	if err != nil {
		return nil, err
	}
	if n.Type != api.File {
		return nil, refuse(http.StatusBadRequest, "InvalidRequest", "the source is a directory")
	}
	c, err := from.Content(q.ctx, n.ID, n.Version)
	if err != nil {
		return nil, err
	}
	first, length, err := partRange(q.r.Header.Get("X-Amz-Copy-Source-Range"), c.Size)
	if err != nil {
		return nil, err
	}
	return c.Open(q.ctx, first, length)
}

// partRange reads bytes=FIRST-LAST, which must be within size bytes; "" is all of them.
func partRange(header string, size int64) (first, length int64, err error) {
	if header == "" {
		return 0, size, nil
	}
	text, ok := strings.CutPrefix(header, "bytes=")
	from, to, _ := strings.Cut(text, "-")
	a, err1 := strconv.ParseUint(from, 10, 63)
	b, err2 := strconv.ParseUint(to, 10, 63)
	first, last := int64(a), int64(b)
	if !ok || err1 != nil || err2 != nil || last < first || last >= size {
		return 0, 0, refuse(http.StatusBadRequest, "InvalidArgument", "X-Amz-Copy-Source-Range is not bytes=FIRST-LAST within the source")
	}
	return first, last - first + 1, nil
}

func (q *request) abortUpload() error {
	b, id, err := q.upload("AbortMultipartUpload")
	if err != nil {
		return err
	}
	return q.noContent(ofUpload(b.AbortUpload(q.ctx, id, q.key)))
}

// part is one part of an upload, as lists of them have it.
type part struct {
	PartNumber   int
	LastModified string `xml:",omitempty"`
	ETag         string
	Size         int64 `xml:",omitempty"`
}

func (q *request) listParts() error {
	b, id, err := q.upload("ListMultipartUploadParts")
	if err != nil {
		return err
	}
	limit, err := q.number("max-parts", maxKeys)
	if err != nil {
		return err
	}
	after, err := q.number("part-number-marker", storage.MaxParts)
	if q.query.Get("part-number-marker") == "" {
		after = 0
	}
	if err != nil {
		return err
	}
	_, parts, err := b.Upload(q.ctx, id, q.key, after, limit+1)
	if err != nil {
		return ofUpload(err)
	}
	var out struct {
		XMLName              xml.Name `xml:"ListPartsResult"`
		XMLNS                string   `xml:"xmlns,attr"`
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		PartNumberMarker     int
		NextPartNumberMarker int `xml:",omitempty"`
		MaxParts             int
		IsTruncated          bool
		Part                 []part
	}
	out.XMLNS, out.Bucket, out.Key, out.UploadID, out.PartNumberMarker, out.MaxParts = namespace, q.bucket, q.key, id.String(), after, limit
	if out.IsTruncated = len(parts) > limit; out.IsTruncated {
		parts = parts[:limit]
	}
	for _, p := range parts {
		out.Part = append(out.Part, part{p.Number, stamp(p.At), `"` + hex.EncodeToString(p.MD5[:]) + `"`, p.Size})
		out.NextPartNumberMarker = p.Number
	}
	q.xml(http.StatusOK, out)
	return nil
}
