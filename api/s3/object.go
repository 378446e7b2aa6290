package s3

import (
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
)

// kept are the headers of an object that come back with it, beside x-amz-meta-*.
var kept = []string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}

// maxMeta is how much an object's headers may have in all, in bytes.
const maxMeta = 8 << 10

// metaPrefix begins the names of what clients say of an object; metaMtime is
// where rclone and others keep a file's time, in seconds since 1970.
const (
	metaPrefix = "x-amz-meta-"
	metaMtime  = metaPrefix + "mtime"
)

// headers are those of the request that belong to the object.
func (q *request) headers() (map[string]string, error) {
	headers, total := map[string]string{}, 0
	for name, values := range q.r.Header {
		name = strings.ToLower(name)
		if !strings.HasPrefix(name, metaPrefix) && !slices.Contains(kept, name) {
			continue
		}
		value := strings.Join(values, ",")
		if name == "content-encoding" {
			if value, _ = codings(q.r); value == "" {
				continue
			}
		}
		headers[name] = value
		if total += len(name) + len(value); total > maxMeta {
			return nil, refuse(http.StatusBadRequest, "MetadataTooLarge", "the object's headers have more than %d bytes", maxMeta)
		}
	}
	return headers, nil
}

// mtime is the time of the file that a client keeps with the object; 0 = none.
func mtime(headers map[string]string) int64 {
	s, err := strconv.ParseFloat(headers[metaMtime], 64)
	if err != nil || s <= 0 || s > 1<<33 {
		return 0
	}
	whole, fraction, _ := strings.Cut(headers[metaMtime], ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return int64(s * 1e9)
	}
	ns, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	return sec*1e9 + ns
}

// object finds the file or empty directory of a key.
func (q *request) object(b *storage.Bucket, key string) (*api.Node, error) {
	missing := refuse(http.StatusNotFound, "NoSuchKey", "there is no such key")
	path, dir, err := keyPath(key)
	if err != nil {
		return nil, missing
	}
	n, err := b.Lookup(q.ctx, path)
	switch {
	case api.KindOf(err) == api.NotFound, err == nil && (n.Type == api.Directory) != dir, err == nil && n.Type != api.File && !dir:
		return nil, missing
	}
	return &n, err
}

func (q *request) get() error {
	b, err := q.open("GetObject", q.key)
	if err != nil {
		return err
	}
	n, err := q.object(b, q.key)
	if err != nil {
		return err
	}
	objects, err := b.Objects(q.ctx, []api.ID{n.Version})
	if err != nil {
		return err
	}
	object := objects[n.Version]
	part, err := q.part(b, n)
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", storage.ContentType(q.key))
	for name, value := range object.Headers {
		if strings.HasPrefix(name, metaPrefix) {
			h[name] = []string{value} // in lower case, as S3 has them: clients take the names as they come
		} else {
			h.Set(name, value)
		}
	}
	if object.ETag == "" { // not written by S3: clients ask here for a file's time
		h[metaMtime] = []string{strconv.FormatFloat(float64(n.Mtime)/1e9, 'f', 9, 64)}
	}
	for _, name := range kept { // a presigned URL may say how it is shown
		if v := q.query.Get("response-" + name); v != "" {
			h.Set(name, v)
		}
	}
	h.Set("Etag", etag(n, object))
	h.Set("Accept-Ranges", "bytes")
	if n.Type == api.Directory {
		h.Set("Content-Type", "application/x-directory")
		h.Set("Last-Modified", time.Unix(0, n.Mtime).UTC().Format(http.TimeFormat))
		h.Set("Content-Length", "0")
		q.w.WriteHeader(http.StatusOK)
		return nil
	}
	c, err := b.Content(q.ctx, n.ID, n.Version)
	if err != nil {
		return err
	}
	r := c.Reader(q.ctx)
	defer r.Close()
	var body serve.Body = r
	if part != nil {
		body = part.of(q, r)
	}
	refused := func(w http.ResponseWriter) http.ResponseWriter { return &refusals{ResponseWriter: w, q: q} }
	return serve.Content(q.w, q.r, time.Unix(0, n.Mtime), body, refused, func(err error) {
		q.Log.Error("an object broke off", "bucket", q.bucket, "key", q.key, "err", err)
	})
}

// refusals gives the refusals of http.ServeContent S3's shape.
type refusals struct {
	http.ResponseWriter
	q       *request
	refused bool
}

func (w *refusals) WriteHeader(status int) {
	switch {
	case status == http.StatusRequestedRangeNotSatisfiable:
		w.refused = true
		w.q.fail(refuse(status, "InvalidRange", "the object has no such range"))
	case status >= 400:
		w.refused = true
		w.q.fail(refuse(status, "PreconditionFailed", "the object is another one by now"))
	default:
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *refusals) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// place is the path of a key that is to be written.
func (q *request) place() (path []api.Name, dir bool, err error) {
	return keyPath(q.key)
}

// taken gives errors about what is in the way of a key their place in S3: a
// tree can't have a file and a directory of one name.
func taken(err error) error {
	switch api.KindOf(err) {
	case api.IsDirectory, api.NotDirectory, api.Exists:
		return refuse(http.StatusConflict, "InvalidObjectKey", "a key is in the way that is a directory here, or that should be one: %w", err)
	}
	return err
}

func (q *request) put() error {
	b, err := q.open("PutObject", q.key)
	if err != nil {
		return err
	}
	path, dir, err := q.place()
	if err != nil {
		return err
	}
	headers, err := q.headers()
	if err != nil {
		return err
	}
	if q.body.length < 0 {
		return refuse(http.StatusLengthRequired, "MissingContentLength", "the length of the body is not said")
	}
	if dir {
		return q.putDirectory(b, path)
	}
	if err := b.Room(q.ctx, path, q.body.length); err != nil {
		return err
	}
	var tag string
	_, _, err = b.Put(q.ctx, path, q.body, storage.PutOptions{
		Mtime: mtime(headers), Check: q.conditions().check(),
		Object: func() *storage.Object {
			sum := q.body.sum()
			tag = hex.EncodeToString(sum[:])
			return &storage.Object{ETag: tag, Headers: headers}
		},
	})
	if err != nil {
		return taken(err)
	}
	q.w.Header().Set("Etag", `"`+tag+`"`)
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// putDirectory makes the directory of a key that ends with a slash.
func (q *request) putDirectory(b *storage.Bucket, path []api.Name) error {
	if q.body.length > 0 {
		return refuse(http.StatusConflict, "InvalidObjectKey", "a key that ends with a slash is a directory here and has no content")
	}
	if q.conditions().check() != nil {
		return errNotImplemented("making a directory on conditions")
	}
	_, err := b.Mkdir(q.ctx, path, true)
	if api.KindOf(err) == api.Exists {
		if n, lookupErr := b.Lookup(q.ctx, path); lookupErr == nil && n.Type == api.Directory {
			err = nil
		}
	}
	if err != nil {
		return taken(err)
	}
	q.w.Header().Set("Etag", `"`+emptyMD5+`"`)
	q.w.WriteHeader(http.StatusOK)
	return nil
}

// copySource is what the X-Amz-Copy-Source header names, if the caller may read it and
// it is what the request's conditions want.
func (q *request) copySource() (b *storage.Bucket, n *api.Node, object storage.Object, key string, err error) {
	b, n, key, err = q.source()
	if err != nil {
		return nil, nil, object, "", err
	}
	objects, err := b.Objects(q.ctx, []api.ID{n.Version})
	if err == nil {
		object = objects[n.Version]
		object.ETag = strings.Trim(etag(n, object), `"`)
		err = q.sourceHolds(n, object)
	}
	if err == nil {
		object.Parts, err = b.ObjectParts(q.ctx, n.Version)
	}
	return b, n, object, key, err
}

func (q *request) source() (*storage.Bucket, *api.Node, string, error) {
	source, version, _ := strings.Cut(q.r.Header.Get("X-Amz-Copy-Source"), "?versionId=")
	if version != "" && version != "null" {
		return nil, nil, "", errNotImplemented("versions by id")
	}
	source, err := url.PathUnescape(source)
	bucket, key, ok := strings.Cut(strings.TrimPrefix(source, "/"), "/")
	if err != nil || !ok || key == "" {
		return nil, nil, "", refuse(http.StatusBadRequest, "InvalidArgument", "X-Amz-Copy-Source is not BUCKET/KEY")
	}
	b, err := q.openOf(sourceExpectedOwner, bucket, "GetObject", key)
	if err != nil {
		return nil, nil, "", err
	}
	n, err := q.object(b, key)
	return b, n, key, err
}

type copied struct {
	XMLName      xml.Name
	ETag         string
	LastModified string
}

func (q *request) copy() error {
	b, err := q.open("PutObject", q.key)
	if err != nil {
		return err
	}
	from, n, object, key, err := q.copySource()
	if err != nil {
		return err
	}
	path, dir, err := q.place()
	if err != nil {
		return err
	}
	if n.Type == api.Directory || dir {
		return q.putDirectory(b, path)
	}
	if strings.EqualFold(q.r.Header.Get("X-Amz-Metadata-Directive"), "REPLACE") {
		if object.Headers, err = q.headers(); err != nil {
			return err
		}
	} else if from.ID() == b.ID() && from.Root() == b.Root() && key == q.key {
		return refuse(http.StatusBadRequest, "InvalidRequest", "an object can be copied onto itself only with other headers")
	}
	if err := q.copyObject(from, b, n, key, path, object); err != nil {
		return taken(err)
	}
	q.xml(http.StatusOK, copied{XMLName: xml.Name{Local: "CopyObjectResult"}, ETag: `"` + object.ETag + `"`, LastModified: stamp(q.Now())})
	return nil
}

// copyObject copies within a drive without its bytes, and else by them: what
// one owner has is not another's.
func (q *request) copyObject(from, to *storage.Bucket, n *api.Node, key string, path []api.Name, object storage.Object) error {
	if from.ID() == to.ID() {
		source, _, err := keyPath(key)
		if err != nil {
			return err
		}
		_, err = to.Copy(q.ctx, source, path, storage.CopyOptions{
			From: from.Drive, MoveOptions: storage.MoveOptions{Replace: true, Parents: true}, Object: &object, Mtime: mtime(object.Headers),
			Check: func(source, old *api.Node, replaced storage.Object) error {
				switch {
				case source.Type != api.File || old != nil && old.Type != api.File:
					return api.Errorf(api.IsDirectory, "this is a directory")
				case source.Version != n.Version: // of which the object's tag and headers are not
					return api.Errorf(api.Unavailable, "the source was written to meanwhile: copy it again")
				}
				return q.conditions().hold(old, replaced)
			},
		})
		return err
	}
	c, err := from.Content(q.ctx, n.ID, n.Version)
	if err != nil {
		return err
	}
	r := c.Reader(q.ctx)
	defer r.Close()
	_, _, err = to.Put(q.ctx, path, r, storage.PutOptions{Mtime: mtime(object.Headers), Check: q.conditions().check(), Object: func() *storage.Object { return &object }})
	return err
}
