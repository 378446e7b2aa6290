package s3

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

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
	if !uploadKey(out.KeyMarker) {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the key-marker is not UTF-8 without NULs")
	}
	if out.MaxUploads > 0 && uploadKey(out.Prefix) {
		err := out.collect(after, func(after storage.Upload) ([]storage.Upload, error) { return b.Uploads(q.ctx, after, maxKeys) })
		if err != nil {
			return err
		}
	}
	out.encode()
	q.xml(http.StatusOK, out)
	return nil
}

// uploadKey tells whether the key of an upload may have a text in it.
func uploadKey(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// afterAll is an id that comes after all that there are.
var afterAll = api.ID(slices.Repeat([]byte{0xff}, len(api.ID{})))

// collect fills a page with what comes after the key's marker, and after an upload to that key. list has up to maxKeys uploads after one, in
// their order. What is left of a group that fills one of its answers is not asked for.
func (out *uploads) collect(after api.ID, list func(after storage.Upload) ([]storage.Upload, error)) error {
	last := storage.Upload{Key: out.KeyMarker, ID: after}
	if out.KeyMarker != "" && after.IsZero() {
		last.ID = afterAll
	}
	if group, grouped := out.group(out.KeyMarker); grouped && group == out.KeyMarker {
		last.ID = api.ID{}
	}
	for {
		from := last
		switch {
		case from.Key < out.Prefix:
			from = storage.Upload{Key: out.Prefix}
		case from.Key != "" && from.ID.IsZero(): // a group
			if from.Key = behind(from.Key); from.Key == "" {
				return nil
			}
		}
		page, err := list(from)
		if err != nil {
			return err
		}
		for _, u := range page {
			if !strings.HasPrefix(u.Key, out.Prefix) {
				return nil
			}
			group, grouped := out.group(u.Key)
			if grouped && group == last.Key {
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
	}
}

// group is the common prefix that stands for a key, if one does.
func (out *uploads) group(key string) (string, bool) {
	rest, within := strings.CutPrefix(key, out.Prefix)
	before, _, found := strings.Cut(rest, out.Delimiter)
	return out.Prefix + before + out.Delimiter, within && found && out.Delimiter != "" && uploadKey(out.Delimiter)
}

// behind is the first text after all that begin with a prefix, in the order of code points, which is that of their bytes in UTF-8;
// "" if nothing comes after them.
func behind(prefix string) string {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		switch r {
		case utf8.MaxRune:
			continue
		case 0xd7ff: // what follows is UTF-16's, and no code point
			r = 0xdfff
		}
		return prefix + string(r+1)
	}
	return ""
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
