package s3

import (
	"encoding/xml"
	"net/http"

	"satchel/api"
	"satchel/storage"
)

// delete removes an object, and the directories that this leaves empty. A
// missing one is no error.
func (q *request) delete() error {
	b, err := q.open("DeleteObject", q.key)
	if err != nil {
		return err
	}
	return q.noContent(q.remove(b, q.key, q.conditions().check()))
}

// remove removes the object of a key unless check refuses it; nil refuses nothing.
func (q *request) remove(b *storage.Bucket, key string, check func(*api.Node, storage.Object) error) error {
	path, dir, err := keyPath(key)
	none := err != nil // there can be no such object
	if !none {
		err = b.RemoveLeaf(q.ctx, path, dir, check)
		switch api.KindOf(err) {
		case api.NotFound, api.NotDirectory, api.IsDirectory, api.NotEmpty:
			none = true // a key that is none: a prefix of others, or nothing
		}
	}
	switch {
	case none && check != nil:
		return check(nil, storage.Object{})
	case none:
		return nil
	}
	return err
}

// deletion is the body of DeleteObjects.
type deletion struct {
	Quiet  bool
	Object []doomed
}

// doomed is one object that is to be deleted.
type doomed struct {
	Key, ETag              string
	VersionID              string `xml:"VersionId"`
	LastModifiedTime, Size string
}

func (q *request) deleteMany() error {
	var in deletion
	if err := q.readXML(&in); err != nil {
		return err
	}
	if len(in.Object) > maxKeys {
		return refuse(http.StatusBadRequest, "MalformedXML", "at most %d keys can be deleted at once", maxKeys)
	}
	type deleted struct{ Key string }
	type failed struct{ Key, Code, Message string }
	var out struct {
		XMLName xml.Name `xml:"DeleteResult"`
		XMLNS   string   `xml:"xmlns,attr"`
		Deleted []deleted
		Error   []failed
	}
	out.XMLNS = namespace
	for _, o := range in.Object {
		if err := q.deleteOne(o); err != nil {
			_, _, body := q.describe(err)
			if body.Code == "NoSuchBucket" {
				return err
			}
			out.Error = append(out.Error, failed{o.Key, body.Code, body.Message})
		} else if !in.Quiet {
			out.Deleted = append(out.Deleted, deleted{o.Key})
		}
	}
	q.xml(http.StatusOK, out)
	return nil
}

func (q *request) deleteOne(o doomed) error {
	b, err := q.open("DeleteObject", o.Key)
	switch {
	case err != nil:
		return err
	case o.VersionID != "" && o.VersionID != "null":
		return errNotImplemented("versions by id")
	case o.LastModifiedTime != "" || o.Size != "":
		return errNotImplemented("deleting on conditions other than the ETag")
	}
	return q.remove(b, o.Key, conditions{match: o.ETag}.check())
}
