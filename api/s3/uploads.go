package s3

import (
	"context"
	"encoding/xml"
	"net/http"
	"strings"

	"satchel/api"
	"satchel/storage"
)

// uploads is the answer of ListMultipartUploads.
type uploads struct {
	XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
	XMLNS              string   `xml:"xmlns,attr"`
	Bucket             string
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	Prefix             string
	Delimiter          string `xml:",omitempty"`
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Upload             []upload
	CommonPrefixes     []commonPrefix
}

// upload is one that is under way.
type upload struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	StorageClass string
	Initiated    string
}

func (q *request) listUploads() error {
	b, err := q.open("ListBucketMultipartUploads", "")
	if err != nil {
		return err
	}
	out := &uploads{
		XMLNS: namespace, Bucket: q.bucket, Prefix: q.query.Get("prefix"), Delimiter: q.query.Get("delimiter"),
		KeyMarker: q.query.Get("key-marker"), EncodingType: q.query.Get("encoding-type"),
	}
	if out.MaxUploads, err = q.number("max-uploads", maxKeys); err != nil {
		return err
	}
	var after api.ID
	if marker := q.query.Get("upload-id-marker"); marker != "" && out.KeyMarker != "" { // without a key it says nothing
		out.UploadIDMarker = marker
		if after, err = api.ParseID(marker); err != nil {
			return refuse(http.StatusBadRequest, "InvalidArgument", "the upload-id-marker is not one of ours")
		}
	}
	if out.MaxUploads > 0 {
		if err := out.collect(q.ctx, b, after); err != nil {
			return err
		}
	}
	out.encode()
	q.xml(http.StatusOK, out)
	return nil
}

// collect fills a page with what comes after the key's marker, and after an upload to that key.
func (out *uploads) collect(ctx context.Context, b *storage.Bucket, after api.ID) error {
	from := storage.Upload{Key: out.KeyMarker, ID: after}
	for last := from; ; {
		page, err := b.Uploads(ctx, out.Prefix, from, maxKeys)
		if err != nil {
			return err
		}
		for _, u := range page {
			group, grouped := out.group(u.Key)
			if grouped && (group == out.KeyMarker || group == last.Key) {
				continue
			}
			if len(out.Upload)+len(out.CommonPrefixes) == out.MaxUploads {
				out.IsTruncated, out.NextKeyMarker = true, last.Key
				if !last.ID.IsZero() {
					out.NextUploadIDMarker = last.ID.String()
				}
				return nil
			}
			if grouped {
				out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{group})
				last = storage.Upload{Key: group}
			} else {
				out.Upload = append(out.Upload, upload{u.Key, u.ID.String(), "STANDARD", stamp(u.Created)})
				last = u
			}
		}
		if len(page) < maxKeys {
			return nil
		}
		from = page[len(page)-1]
	}
}

// group is the common prefix that stands for a key, if one does.
func (out *uploads) group(key string) (string, bool) {
	before, _, found := strings.Cut(key[len(out.Prefix):], out.Delimiter)
	return out.Prefix + before + out.Delimiter, found && out.Delimiter != ""
}

// encode does what encoding-type=url asks for.
func (out *uploads) encode() {
	if out.EncodingType != "url" {
		out.EncodingType = ""
		return
	}
	for _, s := range []*string{&out.Prefix, &out.Delimiter, &out.KeyMarker, &out.NextKeyMarker} {
		*s = encodeKey(*s)
	}
	for i := range out.Upload {
		out.Upload[i].Key = encodeKey(out.Upload[i].Key)
	}
	for i := range out.CommonPrefixes {
		out.CommonPrefixes[i].Prefix = encodeKey(out.CommonPrefixes[i].Prefix)
	}
}
