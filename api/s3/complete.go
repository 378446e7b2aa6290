package s3

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage"
)

// completion is the body of CompleteMultipartUpload.
type completion struct{ Part []part }

// aside runs fn in a goroutine. If it panics, which would end the process, that is its error.
func aside(fn func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- api.Errorf(api.Internal, "panic: %v\n%s", p, debug.Stack())
			}
		}()
		done <- fn()
	}()
	return done
}

// completeUpload answers CompleteMultipartUpload. The whole is read once for
// its hash; if that takes long, white space keeps the client waiting, and an error
// comes in an answer that began as a success, as with S3.
func (q *request) completeUpload() error {
	b, id, err := q.upload("PutObject")
	if err != nil {
		return err
	}
	var in completion
	if err := q.readXML(&in); err != nil {
		return err
	}
	path, _, err := q.place()
	if err != nil {
		return err
	}
	u, stored, err := b.Upload(q.ctx, id, q.key, 0, storage.MaxParts)
	if api.KindOf(err) == api.NotFound {
		if err := q.completed(b, in.Part); err != nil {
			return err
		}
		q.xml(http.StatusOK, q.whole(tagOf(in.Part)))
		return nil
	}
	if err != nil {
		return err
	}
	parts, tag, err := chosen(in.Part, stored)
	if err != nil {
		return err
	}
	announced, err := q.objectSums(parts)
	if err != nil {
		return err
	}
	done := aside(func() error {
		return b.CompleteUpload(q.ctx, id, path, parts, holding(announced, parts), storage.PutOptions{
			Mtime: mtime(u.Headers), Check: q.conditions().check(),
			Object: func() *storage.Object { return &storage.Object{ETag: tag, Headers: u.Headers, Parts: sizes(parts)} },
		})
	})
	began := false
	for {
		select {
		case err = <-done:
		case <-time.After(5 * time.Second):
			if !began {
				began = true
				q.w.Header().Set("Content-Type", "application/xml")
				q.w.WriteHeader(http.StatusOK)
				io.WriteString(q.w, xml.Header)
			}
			io.WriteString(q.w, " ")
			http.NewResponseController(q.w).Flush()
			continue
		}
		break
	}
	if api.KindOf(err) == api.NotFound { // whoever asked at the same time was quicker
		err = q.completed(b, in.Part)
	}
	out := q.whole(tag)
	switch err = taken(err); {
	case err != nil && began:
		_, _, body := q.describe(err)
		xml.NewEncoder(q.w).Encode(body)
	case err != nil:
		return err
	case began:
		xml.NewEncoder(q.w).Encode(out)
	default:
		q.xml(http.StatusOK, out)
	}
	return nil
}

// completed tells whether an upload that there is no more is complete, since whoever lost the first
// answer asks again: the key has the object that these parts make. Else it is an error.
func (q *request) completed(b *storage.Bucket, named []part) error {
	n, err := q.object(b, q.key)
	if err != nil {
		return ofUpload(err)
	}
	objects, err := b.Objects(q.ctx, []api.ID{n.Version})
	if err != nil {
		return err
	}
	if objects[n.Version].ETag != tagOf(named) {
		return errNoUpload()
	}
	return nil
}

// whole says what an upload has become.
func (q *request) whole(tag string) any {
	return struct {
		XMLName     xml.Name `xml:"CompleteMultipartUploadResult"`
		XMLNS       string   `xml:"xmlns,attr"`
		Location    string
		Bucket, Key string
		ETag        string
	}{XMLNS: namespace, Location: "/" + q.bucket + "/" + q.key, Bucket: q.bucket, Key: q.key, ETag: `"` + tag + `"`}
}

// tagOf is the tag of a whole: the MD5 of its parts' MD5s and their number.
func tagOf(parts []part) string {
	sums := md5.New()
	for _, p := range parts {
		sum, _ := hex.DecodeString(strings.Trim(p.ETag, `"`)) // what is none makes a tag that nothing has
		sums.Write(sum)
	}
	return fmt.Sprintf("%x-%d", sums.Sum(nil), len(parts))
}

func sizes(parts []storage.Part) []int64 {
	sizes := make([]int64, len(parts))
	for i, p := range parts {
		sizes[i] = p.Size
	}
	return sizes
}

// chosen are the parts that a client names, and the tag of the whole.
func chosen(named []part, stored []storage.Part) (parts []storage.Part, tag string, err error) {
	if len(named) == 0 {
		return nil, "", refuse(http.StatusBadRequest, "MalformedXML", "no part is named")
	}
	byNumber := make(map[int]storage.Part, len(stored))
	for _, p := range stored {
		byNumber[p.Number] = p
	}
	for i, n := range named {
		p, ok := byNumber[n.PartNumber]
		if !ok || strings.Trim(n.ETag, `"`) != hex.EncodeToString(p.MD5[:]) {
			return nil, "", refuse(http.StatusBadRequest, "InvalidPart", "the part %d was not sent, or has another tag", n.PartNumber)
		}
		if i > 0 && n.PartNumber <= named[i-1].PartNumber {
			return nil, "", refuse(http.StatusBadRequest, "InvalidPartOrder", "the parts are not in their order")
		}
		parts = append(parts, p)
	}
	return parts, tagOf(named), nil
}
