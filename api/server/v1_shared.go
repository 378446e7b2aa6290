package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"satchel/api"
	"satchel/api/auth"
	"satchel/storage"
)

type bindTheirsInput struct {
	Body api.BindTheirs
}

type unbindInput struct {
	Bind api.ID `path:"bind"`
}

// sharedRoutes adds what the page of what others share does too.
func (s *server) sharedRoutes(v1 huma.API) {
	known(s, v1, get("theirs", "/shared", "What others share with the caller"), func(ctx context.Context, id auth.Identity, _ *struct{}) (*body[[]api.Theirs], error) {
		all, err := s.theirs(ctx, id)
		return answer(notNil(all), err)
	})
	known(s, v1, post("bind-theirs", "/shared/binds", "Show a folder that another one shares in the caller's drive"), func(ctx context.Context, id auth.Identity, in *bindTheirsInput) (*body[api.BoundAt], error) {
		at, err := webPath(in.Body.Path)
		if err != nil {
			return nil, err
		}
		path, err := s.drives.BindShared(ctx, caller(id), in.Body.Drive, in.Body.Node, at)
		return answer(api.BoundAt{Path: api.Name(api.JoinPath(path))}, err)
	})
	remove := huma.Operation{OperationID: "unbind-theirs", Method: http.MethodDelete, Path: "/v1/shared/binds/{bind}", Summary: "Take such a folder out of the caller's drive"}
	known(s, v1, remove, func(ctx context.Context, id auth.Identity, in *unbindInput) (*struct{}, error) {
		return nil, s.drives.Unbind(ctx, caller(id), in.Bind)
	})
}

// theirs is what others share with the caller, and where it is in his drive; and folders of his that are left of what was shared.
func (s *server) theirs(ctx context.Context, id auth.Identity) ([]api.Theirs, error) {
	shared, err := s.drives.SharedWith(ctx, caller(id))
	if err != nil {
		return nil, err
	}
	bound, err := s.drives.Bound(ctx, caller(id))
	if err != nil {
		return nil, err
	}
	at := map[[2]api.ID]storage.Bound{}
	for _, b := range bound {
		if b.Path != "" {
			at[[2]api.ID{b.Drive, b.Node}] = b
		}
	}
	all := make([]api.Theirs, 0, len(shared))
	for _, t := range shared {
		path, err := api.ParsePath(string(at[[2]api.ID{t.Drive, t.Node}].Path))
		if err != nil {
			return nil, err
		}
		all = append(all, api.Theirs{Drive: t.Drive, Node: t.Node, Name: t.Name, Type: t.Type, Size: t.Size, Mtime: t.Mtime, From: t.Sharer, FromEmail: t.Address,
			Permissions: t.Permissions, Bind: at[[2]api.ID{t.Drive, t.Node}].ID, Path: api.Name(api.JoinPath(path))})
	}
	for _, b := range bound {
		path, err := api.ParsePath(string(b.Path))
		if err != nil {
			return nil, err
		}
		if b.Ended && len(path) > 0 {
			all = append(all, api.Theirs{Drive: b.Drive, Node: b.Node, Name: path[len(path)-1], Type: api.Directory,
				Bind: b.ID, Path: api.Name(api.JoinPath(path)), Ended: true})
		}
	}
	return all, nil
}
