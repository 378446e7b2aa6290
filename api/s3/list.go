package s3

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/storage"
)

// maxKeys is the most keys that one answer lists, as with S3.
const maxKeys = 1000

type content struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
	Owner        *owner `xml:",omitempty"`
}

type commonPrefix struct{ Prefix string }

// listing is the answer of both versions of ListObjects.
type listing struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	XMLNS                 string   `xml:"xmlns,attr"`
	Name                  string
	Prefix                string
	Marker                *string `xml:",omitempty"` // version 1
	NextMarker            string  `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"` // version 2
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	KeyCount              *int    `xml:",omitempty"`
	Delimiter             string  `xml:",omitempty"`
	MaxKeys               int
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	Contents              []content
	CommonPrefixes        []commonPrefix

	nodes []*api.Node // of Contents
	last  string      // key or common prefix
}

// number reads a bound from the query.
func (q *request) number(name string, most int) (int, error) {
	text := q.query.Get(name)
	if text == "" {
		return most, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, refuse(http.StatusBadRequest, "InvalidArgument", "%s is not a number from 0 on", name)
	}
	return min(n, most), nil
}

// list answers ListObjects and ListObjectsV2.
func (q *request) list() error {
	b, err := q.open("ListBucket", "")
	if err != nil {
		return err
	}
	out := &listing{XMLNS: namespace, Name: q.bucket, Prefix: q.query.Get("prefix"), Delimiter: q.query.Get("delimiter"), EncodingType: q.query.Get("encoding-type")}
	if out.MaxKeys, err = q.number("max-keys", maxKeys); err != nil {
		return err
	}
	v2 := q.query.Get("list-type") == "2"
	after := q.query.Get("marker")
	if v2 {
		out.StartAfter, out.ContinuationToken = q.query.Get("start-after"), q.query.Get("continuation-token")
		after = out.StartAfter
		if out.ContinuationToken != "" {
			token, err := base64.RawURLEncoding.DecodeString(out.ContinuationToken)
			if err != nil {
				return refuse(http.StatusBadRequest, "InvalidArgument", "the continuation token is not one of ours")
			}
			after = string(token)
		}
	} else {
		out.Marker = &after
	}
	if out.MaxKeys > 0 {
		if err := q.collect(b, out, after); err != nil {
			return err
		}
	}
	if err := q.tag(b, out); err != nil {
		return err
	}
	count := len(out.Contents) + len(out.CommonPrefixes)
	switch {
	case v2:
		out.KeyCount = &count
		if out.IsTruncated {
			out.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(out.last))
		}
	case out.IsTruncated && out.Delimiter != "":
		out.NextMarker = out.last
	}
	if !v2 || q.query.Get("fetch-owner") == "true" {
		of := ownerOf(b.Owner())
		for i := range out.Contents {
			out.Contents[i].Owner = &of
		}
	}
	out.encode()
	q.xml(http.StatusOK, out)
	return nil
}

// collect fills a page of keys.
func (q *request) collect(b *storage.Bucket, out *listing, after string) error {
	l := &lister{ctx: q.ctx, bucket: b, prefix: out.Prefix, after: after, group: out.Delimiter == "/", page: min(out.MaxKeys+1, maxKeys)}
	l.found = func(key string, n *api.Node) bool {
		if d := out.Delimiter; d != "" && d != "/" {
			if i := strings.Index(key[len(out.Prefix):], d); i >= 0 {
				if key = key[:len(out.Prefix)+i+len(d)]; key == out.last || strings.HasPrefix(after, key) {
					return true
				}
				n = nil
			}
		}
		if len(out.Contents)+len(out.CommonPrefixes) == out.MaxKeys {
			out.IsTruncated = true
			return false
		}
		out.last = key
		if n == nil {
			out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{key})
			return true
		}
		out.Contents = append(out.Contents, content{Key: key, LastModified: stamp(time.Unix(0, n.Mtime)), Size: size(n), StorageClass: "STANDARD"})
		out.nodes = append(out.nodes, n)
		return true
	}
	return l.walk()
}

// size is an object's; a directory's node has one of its own.
func size(n *api.Node) int64 {
	if n.Type != api.File {
		return 0
	}
	return n.Size
}

// tag gives each content its entity tag.
func (q *request) tag(b *storage.Bucket, out *listing) error {
	var versions []api.ID
	for _, n := range out.nodes {
		if n.Type == api.File {
			versions = append(versions, n.Version)
		}
	}
	objects, err := b.Objects(q.ctx, versions)
	if err != nil {
		return err
	}
	for i, n := range out.nodes {
		out.Contents[i].ETag = etag(n, objects[n.Version])
	}
	return nil
}

// emptyMD5 is the MD5 of nothing, in hex: a directory's tag.
const emptyMD5 = "d41d8cd98f00b204e9800998ecf8427e"

// etag is an object's entity tag, with quotes. What the S3 API did not write
// has no MD5, and a tag that no client takes for one.
func etag(n *api.Node, o storage.Object) string {
	switch {
	case n.Type != api.File:
		return `"` + emptyMD5 + `"`
	case o.ETag != "":
		return `"` + o.ETag + `"`
	}
	return `"` + n.SHA256.String()[:32] + `-1"`
}

// encode does what encoding-type=url asks for: XML can't have all that names can.
func (out *listing) encode() {
	if out.EncodingType != "url" {
		out.EncodingType = ""
		return
	}
	for _, s := range []*string{&out.Prefix, &out.Delimiter, &out.StartAfter, &out.NextMarker} {
		*s = encodeKey(*s)
	}
	if out.Marker != nil {
		m := encodeKey(*out.Marker)
		out.Marker = &m
	}
	for i := range out.Contents {
		out.Contents[i].Key = encodeKey(out.Contents[i].Key)
	}
	for i := range out.CommonPrefixes {
		out.CommonPrefixes[i].Prefix = encodeKey(out.CommonPrefixes[i].Prefix)
	}
}

func encodeKey(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/") }
