package server

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

// Limits of single requests.
const (
	maxMissing = 10_000
	maxWait    = 60 // seconds
)

// InDrive is the part of an input that names a drive. It is exported, as is
// NodeInput, since huma looks into embedded structs only then.
type InDrive struct {
	Drive string `path:"drive" doc:"A drive's id, or home: the caller's own"`
}

type NodeInput struct {
	InDrive
	Node api.ID `path:"node"`
}

type lookupInput struct {
	InDrive
	Path string `query:"path" doc:"Names in escaped form, joined by slashes; empty: the root"`
}

type bindsInput struct {
	InDrive
	Ended bool `query:"ended" doc:"Also those of which the caller may see nothing any more"`
}

type childrenInput struct {
	NodeInput
	After string `query:"after" doc:"Only entries after this name (escaped form)"`
	Limit int    `query:"limit" default:"1000" minimum:"1" maximum:"5000"`
}

type listingsInput struct {
	InDrive
	Body struct {
		Dirs  []api.ID `json:"dirs" maxItems:"128"`
		Limit int      `json:"limit,omitempty" doc:"Entries in all, at most 5000, which is the default"`
	}
}

type batchInput struct {
	InDrive
	Body api.Batch
}

type missingInput struct {
	InDrive
	Body struct {
		Hashes []api.Hash `json:"hashes"`
	}
}

type missingAnswer struct {
	Missing []api.Hash `json:"missing"`
}

type changesInput struct {
	InDrive
	Life  api.ID `query:"incarnation" doc:"Leave out what the device committed in batches of this incarnation; empty: in all batches"`
	Epoch api.ID `query:"epoch" doc:"The epoch of the cursor; empty: the present one"`
	After int64  `query:"after" minimum:"0" doc:"The seq of the cursor"`
	Wait  int    `query:"wait" minimum:"0" maximum:"60" doc:"Seconds to wait for a change"`
}

const listingsFormat = `As many single requests give them, but from one moment, and in the order of the question. A directory that can't be
listed has a "problem" ("not_found", "not_a_directory", "permission") instead. When the answer has all the entries that it may have, its last page may
be cut ("more"), and the directories behind that are missing: ask for them again. The first one is always there.`

// drive is the drive that a path names.
func (s *server) drive(ctx context.Context, id auth.Identity, name string) (*storage.Drive, error) {
	if name == "home" {
		return s.drives.Home(ctx, caller(id))
	}
	drive, err := api.ParseID(name)
	if err != nil {
		return nil, err
	}
	return s.drives.Drive(ctx, caller(id), drive)
}

// onDrive adds an operation on a drive; its handler gets the drive as its
// caller may use it.
func onDrive[I interface{ drive() string }, O any](s *server, v1 huma.API, op huma.Operation, h func(context.Context, *storage.Drive, I) (O, error)) {
	op.MaxBodyBytes = maxJSON
	known(s, v1, op, func(ctx context.Context, id auth.Identity, in *I) (*body[O], error) {
		d, err := s.drive(ctx, id, (*in).drive())
		if err != nil {
			return nil, err
		}
		return answer(h(ctx, d, *in))
	})
}

// listing is a page of a directory. Next is [api.NextHeader].
type listing struct {
	Next string `header:"Satchel-Next" doc:"The name, query-escaped, after which the next page begins, if there is one"`
	Body api.Listing
}

func (in InDrive) drive() string { return in.Drive }

func (s *server) driveRoutes(v1 huma.API) {
	known(s, v1, get("drives", "/drives", "The drives that the caller may see"), func(ctx context.Context, id auth.Identity, _ *struct{}) (*body[[]api.DriveInfo], error) {
		drives, err := s.drives.Drives(ctx, caller(id))
		return answer(notNil(drives), err)
	})
	onDrive(s, v1, get("drive", "/drives/{drive}", "A drive; home is made on first use"), func(ctx context.Context, d *storage.Drive, _ InDrive) (api.DriveInfo, error) {
		return d.Info(ctx)
	})
	onDrive(s, v1, get("node", "/drives/{drive}/nodes/{node}", "A node"), func(ctx context.Context, d *storage.Drive, in NodeInput) (api.Node, error) {
		return d.Node(ctx, in.Node)
	})
	onDrive(s, v1, get("lookup", "/drives/{drive}/lookup", "The node at a path; symlinks are not followed"), func(ctx context.Context, d *storage.Drive, in lookupInput) (api.Node, error) {
		path, err := api.ParsePath(string(api.Unescape(in.Path)))
		if err != nil {
			return api.Node{}, err
		}
		return d.Lookup(ctx, path)
	})
	known(s, v1, get("children", "/drives/{drive}/nodes/{node}/children", "A page of a directory"), func(ctx context.Context, id auth.Identity, in *childrenInput) (*listing, error) {
		d, err := s.drive(ctx, id, in.Drive)
		if err != nil {
			return nil, err
		}
		l, err := d.Mirrored(ctx, in.Node, api.Unescape(in.After), in.Limit)
		if err != nil {
			return nil, err
		}
		out := &listing{Body: l}
		if n := len(l.Entries); l.More && n > 0 {
			out.Next = url.QueryEscape(l.Entries[n-1].Name.Escape())
		}
		return out, nil
	})
	listings := post("listings", "/drives/{drive}/listings", "The first pages of many directories")
	listings.Description = listingsFormat
	onDrive(s, v1, listings, func(ctx context.Context, d *storage.Drive, in listingsInput) ([]api.Listed, error) {
		return d.Listings(ctx, in.Body.Dirs, in.Body.Limit)
	})
	onDrive(s, v1, get("binds", "/drives/{drive}/binds", "The directories of the caller's drive that show another's"), func(ctx context.Context, d *storage.Drive, in bindsInput) ([]api.Bind, error) {
		return d.Bound(ctx, in.Ended)
	})
	known(s, v1, get("changes", "/drives/{drive}/changes", "What others changed after a cursor (long poll)"), func(ctx context.Context, id auth.Identity, in *changesInput) (*body[api.Changes], error) {
		if in.Wait > 0 {
			leave, ok := s.followers.take(1, id.User, true)
			if !ok {
				return nil, errFollowers(s.followers.each)
			}
			defer leave()
		}
		d, err := s.drive(ctx, id, in.Drive)
		if err != nil {
			return nil, err
		}
		return answer(s.changes(ctx, d, *in))
	})
	onDrive(s, v1, post("commit", "/drives/{drive}/batches", "Apply mutations in order, once"), func(ctx context.Context, d *storage.Drive, in batchInput) (api.Committed, error) {
		if n := len(in.Body.Mutations); n > api.MaxBatch {
			return api.Committed{}, api.Errorf(api.TooLarge, "the batch has %d mutations; at most %d are allowed", n, api.MaxBatch)
		}
		return d.Commit(ctx, in.Body)
	})
	onDrive(s, v1, post("missing", "/drives/{drive}/missing", "Which chunks the server lacks"), func(ctx context.Context, d *storage.Drive, in missingInput) (missingAnswer, error) {
		if n := len(in.Body.Hashes); n > maxMissing {
			return missingAnswer{}, api.Errorf(api.TooLarge, "%d hashes were asked for; at most %d are allowed", n, maxMissing)
		}
		missing, err := d.Missing(ctx, in.Body.Hashes)
		return missingAnswer{notNil(missing)}, err
	})
}

// changes waits for changes, but not longer than the server lives.
func (s *server) changes(ctx context.Context, d *storage.Drive, in changesInput) (api.Changes, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-s.stopping:
			cancel(errStopping)
		case <-done:
		}
	}()
	changes, err := d.Changes(ctx, in.Life, in.Epoch, in.After, time.Duration(min(in.Wait, maxWait))*time.Second)
	if err != nil && context.Cause(ctx) == errStopping {
		err = errStopping
	}
	return changes, err
}

var errStopping = api.Errorf(api.Unavailable, "the server is stopping")

// byteRoutes adds the operations whose bodies are bytes; huma only describes them.
func (s *server) byteRoutes(mux *http.ServeMux, v1 huma.API) {
	mux.HandleFunc("POST /v1/drives/{drive}/packs", s.postPack)
	mux.HandleFunc("GET /v1/drives/{drive}/nodes/{node}/content", s.getContent)
	pack := post("put-pack", "/drives/{drive}/packs", "Store a pack of chunks")
	pack.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": {}}}
	content := get("content", "/drives/{drive}/nodes/{node}/content", "A file's bytes; Range, If-None-Match and If-Match work")
	for _, op := range []huma.Operation{pack, content} {
		op.Security = []map[string][]string{{"token": {}}}
		for _, name := range []string{"drive", "node"} {
			if op.Method == http.MethodPost && name == "node" {
				continue
			}
			op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
		}
		v1.OpenAPI().AddOperation(&op)
	}
}

// notNil makes an empty list [] in JSON, not null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
