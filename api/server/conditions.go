package server

import (
	"net/http"
	"time"

	"satchel/api"
	"satchel/api/serve"
	"satchel/storage"
)

// putOptions says how a request's body becomes the content of the file at a path: it is all of it, of the size that it
// is said to have, and held to the request's conditions, which are judged before the body is sent and when it is committed.
func putOptions(r *http.Request, d *storage.Drive, path []api.Name) (o storage.PutOptions, err error) {
	if err := serve.Whole(r.Header); err != nil {
		return o, err
	}
	o.Size = max(0, r.ContentLength)
	conditions := serve.ConditionsOf(r.Header)
	if conditions.None() {
		return o, nil
	}
	if err := d.Room(r.Context(), path, o.Size); err != nil { // what would be refused without them is
		return o, err
	}
	known, err := d.Lookup(r.Context(), path)
	if err != nil && api.KindOf(err) != api.NotFound {
		return o, err
	}
	var modified time.Time // of the version that is known, as GET says it
	if err == nil && known.Type == api.File && conditions.Dated() {
		c, err := d.Content(r.Context(), known.ID, known.Version)
		if err != nil {
			return o, err
		}
		modified = c.Modified
	}
	o.Check = func(old *api.Node, _ storage.Object) error {
		if old == nil {
			return conditions.Hold(nil)
		}
		p := serve.Present{ETag: `"` + old.SHA256.String() + `"`, Modified: modified}
		if old.Version != known.Version {
			p.Modified = time.Unix(0, old.Ctime)
		}
		return conditions.Hold(&p)
	}
	switch {
	case err != nil:
		return o, o.Check(nil, storage.Object{})
	case known.Type == api.File:
		return o, o.Check(&known, storage.Object{})
	}
	return o, nil // a directory is refused as such
}
